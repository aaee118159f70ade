#include "session/credentials.h"

#include <errno.h>
#include <unistd.h>

#include <algorithm>
#include <set>

namespace bulkhead::session {

Result<Credentials> read_credentials(Policy& policy) {
  std::set<std::string> used;
  for (const Grant& grant : policy.grants) {
    if (!grant.credential.empty()) used.insert(grant.credential);
  }
  SourceContext context;
  for (char** entry = ::environ; entry != nullptr && *entry != nullptr; ++entry)
    context.environment.emplace_back(*entry);

  Credentials out;
  Result<void> result;
  for (const std::string& name : used) {
    const Credential& credential = policy.credentials.at(name);
    auto read = read_secret(credential, context);
    if (!read) {
      if (!credential.optional || read.error().code != ENOENT) {
        result = tl::unexpected(std::move(read).error());
        break;
      }
      out.closed.push_back(read.error().message);
      std::erase_if(policy.grants, [&](const Grant& grant) { return grant.credential == name; });
      continue;
    }
    out.secrets.emplace(name, std::move(read->secret));
    out.tokens.push_back(make_slot(credential));
    out.notes.insert(out.notes.end(), read->notes.begin(), read->notes.end());
  }
  for (std::string& entry : context.environment) wipe(entry);
  BH_CHECK(std::move(result));
  return out;
}

}  // namespace bulkhead::session

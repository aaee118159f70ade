// Loading a policy comes back, whatever the text is: with a document or with one line that is safe
// to print. What was loaded and merged can be shown, and what is shown loads again to the same.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/text.h"
#include "expect.h"
#include "policy/layers.h"
#include "policy/load_parts.h"
#include "policy/show.h"
#include "policy/toml.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace bulkhead;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto refused = [](const std::string& message) {
    expect(!message.empty() && escape_for_terminal(message, message.size() + 1) == message);
  };
  // Once, whatever it is then taken for.
  const auto root = parse_toml(text, "f");
  if (!root) {
    refused(root.error().message);
    return 0;
  }
  for (const DocumentKind kind : {DocumentKind::preset, DocumentKind::profile, DocumentKind::policy}) {
    auto document = load_root(*root, "f", "user", kind);
    if (!document) {
      refused(document.error().message);
      continue;
    }
    const Place place{"/home/me/project", "/home/me"};
    auto policy = merge_layers({*document}, place);
    if (!policy) continue;
    // A grant that names a preset is not a grant yet (profile.h expands it).
    bool expanded = true;
    for (const Grant& grant : policy->grants) expanded = expanded && !grant.hosts.empty();
    if (!expanded) continue;
    // Nothing inside an opaque connection is judged, so it has no rules.
    for (const Grant& grant : policy->grants) expect(!grant.allow.empty() || grant.protocol == Protocol::tcp);
    auto again = load_document(policy_text(*policy), "shown", "user");
    expect(again.has_value());
    auto merged = merge_layers({*again}, place);
    expect(merged && merged->grants.size() == policy->grants.size() && merged->mounts.size() == policy->mounts.size());
  }
  return 0;
}

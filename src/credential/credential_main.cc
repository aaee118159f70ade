// bulkhead-credential: reads the session's secrets, gives each to its egress, and ends. request.h says what it is told.
//
// It has the environment of whoever started the session, because secrets are in it and commands run with it; nothing
// else of ours has. Nobody may look into it (not dumpable, no core), its memory stays out of swap where that is
// permitted, and it ends with a system-call filter: before it has read anything where no source is a program, else
// when the programs are done.
#include <errno.h>
#include <grp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <numeric>

#include "base/confine.h"
#include "base/ipc.h"
#include "base/text.h"
#include "credential/handover.h"
#include "credential/request.h"
#include "credential/source.h"

namespace {

using namespace bulkhead;

constexpr int supervisor_fd = 3;
constexpr int failure = 125;
constexpr rlim_t enough_to_lock = 4 * 1024 * 1024;  // with less, locking what is to come would make allocating fail

Result<void> keep_to_ourselves() {
  if (::prctl(PR_SET_DUMPABLE, 0) != 0) return fail_errno("prctl(PR_SET_DUMPABLE)", "", errno);
  constexpr rlimit none{0, 0};
  (void)::setrlimit(RLIMIT_CORE, &none);
  rlimit limit{};
  if (::getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_cur >= enough_to_lock) {
    (void)::mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT);
  }
  return {};
}

Result<void> become(uid_t uid, gid_t gid) {
  if (::setgroups(0, nullptr) != 0) return fail_errno("setgroups", "", errno);
  if (::setresgid(gid, gid, gid) != 0) return fail_errno("setresgid", "", errno);
  if (::setresuid(uid, uid, uid) != 0) return fail_errno("setresuid", "", errno);
  return {};
}

Result<void> give_up_the_rest() {
  if (::prctl(PR_SET_DUMPABLE, 0) != 0) return fail_errno("prctl(PR_SET_DUMPABLE)", "", errno);
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return fail_errno("prctl(PR_SET_NO_NEW_PRIVS)", "", errno);
  return allow_only(Role::reader);
}

Result<void> serve() {
  BH_CHECK(keep_to_ourselves());
  const UniqueFd supervisor(supervisor_fd);
  BH_TRY(ipc::Message message, ipc::receive(supervisor.get()));
  if (message.closed) return fail("the supervisor closed its socket");
  BH_TRY(const nlohmann::json object, ipc::parse(message.text));
  BH_TRY(const ReadRequest request, read_request_from(object));
  if (message.fds.size() != std::accumulate(request.recipients.begin(), request.recipients.end(), std::size_t{0})) {
    return fail("not one socket for each recipient of a credential");
  }

  const bool programs = std::ranges::any_of(request.credentials, runs_a_program, &Credential::source);
  const bool early = !programs && !request.become;
  if (early) BH_CHECK(give_up_the_rest());
  SourceContext context;
  for (char** entry = ::environ; entry != nullptr && *entry != nullptr; ++entry) context.environment.push_back(*entry);
  std::vector<Secret> secrets;
  std::vector<ReadResult> results;
  for (const Credential& credential : request.credentials) {
    auto read = read_secret(credential, context);
    ReadResult result;
    result.name = credential.name;
    if (read) {
      result.notes = std::move(read->notes);
      secrets.push_back(std::move(read->secret));
    } else {
      result.error = read.error().message;
      result.missing = read.error().code == ENOENT;
      secrets.emplace_back();
    }
    results.push_back(std::move(result));
  }
  if (request.become) BH_CHECK(become(request.become->first, request.become->second));
  if (!early) BH_CHECK(give_up_the_rest());

  BH_CHECK(ipc::send(supervisor.get(), to_json(results)));
  BH_TRY(message.text,
         ipc::receive(supervisor.get()).map([](ipc::Message released) { return std::move(released.text); }));
  if (message.text.empty()) return {};  // no session after all
  BH_TRY(const nlohmann::json released, ipc::parse(message.text));
  if (released.value("type", "") != "release") return fail("told something that makes no sense");
  std::size_t at = 0;
  for (std::size_t i = 0; i < secrets.size(); ++i) {
    for (std::size_t n = 0; n < request.recipients[i]; ++n, ++at) {
      if (secrets[i].empty()) continue;
      auto handed = hand_over(message.fds[at].get(), secrets[i]);
      // It may be gone already, because nothing that it could do is granted.
      if (!handed && handed.error().code != EPIPE) return handed;
    }
  }
  return {};
}

}  // namespace

int main() {
  try {
    if (auto done = serve(); !done) {
      std::fprintf(stderr, "bulkhead: credentials: %s\n", escape_for_terminal(done.error().message).c_str());
      return failure;
    }
  } catch (const std::exception& error) {  // a library's
    std::fprintf(stderr, "bulkhead: credentials: %s\n", escape_for_terminal(error.what()).c_str());
    return failure;
  }
  return 0;
}

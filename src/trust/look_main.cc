// bulkhead-look: reads what is in control files (reader.h), which strangers wrote, and says what they would do. It is
// given one socket, and with each request one memory file; it has no other descriptor, no environment, no file, no
// network, and starts nothing.
#include <errno.h>
#include <grp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "base/confine.h"
#include "base/helper.h"
#include "base/ipc.h"
#include "base/sys.h"
#include "trust/content.h"
#include "trust/look.h"
#ifdef BULKHEAD_CORRUPTIBLE  // test programs only (tests/turned/)
#include "turned/corruption.h"
#endif

#ifndef __has_feature  // GCC
#define __has_feature(name) 0
#endif

namespace {

using namespace bulkhead;

constexpr int asker_fd = 3;
constexpr uid_t nobody = 65534;

// A file that makes a parser slow or greedy ends this process, by its asker's hand or here, and counts as it is.
void bound() {
  constexpr rlimit none{0, 0}, seconds{30, 30};
  [[maybe_unused]] constexpr rlimit memory{rlim_t{512} << 20, rlim_t{512} << 20};
  (void)::setrlimit(RLIMIT_CORE, &none);
  (void)::setrlimit(RLIMIT_FSIZE, &none);
  (void)::setrlimit(RLIMIT_CPU, &seconds);
#if !__has_feature(address_sanitizer) && !__has_feature(thread_sanitizer)  // whose own memory would count
  (void)::setrlimit(RLIMIT_DATA, &memory);
#endif
}

// Root's asker has root's files; who answers it need not be root.
Result<void> be_nobody() {
  if (::geteuid() != 0) return {};
  if (::setgroups(0, nullptr) != 0 || ::setresgid(nobody, nobody, nobody) != 0 ||
      ::setresuid(nobody, nobody, nobody) != 0) {
    return fail_errno("setresuid", "nobody", errno);
  }
  if (::prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) return fail_errno("prctl(PR_SET_PDEATHSIG)", "", errno);
  // Or /proc/self would be root's, and the maps of the empty root's namespace could not be written.
  if (::prctl(PR_SET_DUMPABLE, 1) != 0) return fail_errno("prctl(PR_SET_DUMPABLE)", "", errno);
  return {};
}

Result<void> answer(int asker, const ipc::Message& message) {
  BH_TRY(const nlohmann::json request, ipc::parse(message.text));
  BH_TRY(const trust::Rule rule, trust::rule_from(request));
  if (message.fds.size() != 1) return fail("a request came without its file");
  BH_TRY(const std::string bytes, sys::read_all(message.fds[0].get(), trust::max_content, "it"));
#ifdef BULKHEAD_CORRUPTIBLE
  if (const auto said = corruption::trigger(bytes))
    return ipc::send(asker, std::string_view(trust::look_answer({true, {*said}})));
#endif
  return ipc::send(asker, std::string_view(trust::look_answer(trust::judge_bytes(rule, bytes))));
}

Result<void> serve() {
  const UniqueFd asker(asker_fd);
  bound();
  BH_CHECK(be_nobody());
  BH_CHECK(confine(Role::look));
  for (;;) {
    BH_TRY(const ipc::Message message, ipc::receive(asker.get()));
    if (message.closed) return {};
    BH_CHECK(answer(asker.get(), message));
  }
}

}  // namespace

int main() {
  return run_helper(serve, {SIGTERM});
}

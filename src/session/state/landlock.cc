#include "session/state/landlock.h"

#include <sys/syscall.h>
#include <unistd.h>

namespace bulkhead::session {

namespace {
// Debian 12's headers know ABI 2; the numbers are the kernel's (uapi/linux/landlock.h).
constexpr unsigned version_flag = 1U << 0;  // LANDLOCK_CREATE_RULESET_VERSION
}  // namespace

int landlock_abi() {
  const long abi = ::syscall(SYS_landlock_create_ruleset, nullptr, 0, version_flag);
  return abi < 0 ? 0 : static_cast<int>(abi);
}

std::string landlock_lacks(int abi) {
  if (abi <= 0) return "second file layer";
  struct Since {
    int abi;
    const char* what;
  };
  std::string lacks;
  // ABI 4's TCP rules (Linux 6.7) are not among them: the room is the network's boundary.
  for (const Since& since : {Since{2, "moves between folders"},                       // refer, Linux 5.19
                             Since{3, "truncation"},                                  // Linux 6.2
                             Since{5, "device ioctls"},                               // Linux 6.10
                             Since{6, "scoping of signals and abstract sockets"}}) {  // Linux 6.12
    if (abi >= since.abi) continue;
    lacks += (lacks.empty() ? "" : ", ") + std::string(since.what);
  }
  return lacks;
}

}  // namespace bulkhead::session

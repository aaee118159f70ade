// Limits of a session as a whole that no rlimit can express.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <vector>

#include "guest/protocol.h"
#include "policy/policy.h"

namespace bulkhead::session {

// A session without a policy for it still cannot fork the host to a halt.
inline constexpr std::uint64_t default_processes = 4096;

// What the shim sets before the workload starts. RLIMIT_NPROC counts only the sandbox, because it is set inside
// the sandbox's own user namespace (Linux 5.14). RLIMIT_DATA stops one process at once; RLIMIT_AS would break
// Java and Node, which reserve far more than they use.
std::vector<shim::Limit> process_limits(const Limits& limits);

// Anonymous memory, in bytes, of `root` and everything below it. Best effort: a process that ends meanwhile
// counts as nothing.
std::uint64_t anonymous_memory(pid_t root);

// What a session's processes have used of the processors so far, the ended ones included: watched from outside, because
// no resource limit counts more than one process. `root` and everything below it.
class CpuTime {
 public:
  // Call it a few times a second. What a process used that ends without anybody waiting for it (its parent ignores
  // SIGCHLD) is known as of the last call.
  std::chrono::milliseconds used(pid_t root);

 private:
  std::chrono::milliseconds seen_{}, gone_{};
};

}  // namespace bulkhead::session

// What a sandbox's workload uses. gVisor keeps all of it (its processes' memory and the in-memory folders alike) in one
// anonymous file of the sentry's, which the processes that run the workload's code map: it is in nobody's own memory.
#pragma once

#include <sys/types.h>

#include <cstdint>

namespace bulkhead::tier::gvisor {

// Bytes, of every such file that a process below `root` has open; 0 when it is too early to tell.
std::uint64_t application_memory(pid_t root);

// The sentry has that file open, and of runsc's children only it.
bool is_sentry(pid_t pid);

}  // namespace bulkhead::tier::gvisor

// From the shim's forked child to the workload: the last things done before exec.
#pragma once

#include "guest/link.h"
#include "guest/protocol.h"

namespace bulkhead::shim {

// The filter of system calls is a parent's already, and inherited (restrict_holder()): the same once more would only
// cost.
enum class Filtered { no, by_parent };

// Applies limits, Landlock (abi 0: none) and seccomp, closes what is not 0, 1, 2, and becomes the workload.
// Returns only when that failed.
Failed become_workload(const Setup& setup, int landlock_abi, const Link& link, Filtered filtered);

// close_range(2) to the last descriptor, or to one.
bool close_from(int first, unsigned flags);
void close_between(int first, int last);

// What the shim itself keeps from then on: no new privileges, no files (Landlock), the workload's seccomp.
Result<void> restrict_shim(const Setup& setup, int landlock_abi, Filtered filtered);

// What the one keeps who holds a session and starts its commands: as much as they may have, for they are its children.
Result<void> restrict_holder(const Setup& setup, int landlock_abi);

// st_dev of each of Setup::own that is there.
std::vector<std::uint64_t> own_devices(const Setup& setup);

// "message: No such file or directory", for the supervisor's stderr.
Failed failure(const Error& error);

}  // namespace bulkhead::shim

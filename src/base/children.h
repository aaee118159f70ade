// Who a process's children are, whichever of its threads started them.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <vector>

#include "base/fd.h"

namespace bulkhead {

// Of proc(5), CONFIG_PROC_CHILDREN, which lists them for each thread. Those that end or begin meanwhile may be missing.
std::vector<pid_t> children_of(pid_t pid);

// Stops (SIGSTOP) those of a process's children that are `wanted`. The value: whom to continue, by pidfd. Each is held
// before it is looked at, so its number can't be another process's by then. One that can't be stopped goes on.
std::vector<UniqueFd> stop_children(pid_t parent, const std::function<bool(pid_t)>& wanted);

// When it began, in clock ticks after boot, which tells it from a later one of the same number; 0: there is none, or it
// has ended and nobody has waited for it.
std::uint64_t began(pid_t pid);

}  // namespace bulkhead

// Who a process's children are, whichever of its threads started them.
#pragma once

#include <sys/types.h>

#include <vector>

namespace bulkhead {

// Of proc(5), CONFIG_PROC_CHILDREN, which lists them for each thread. Those that end or begin meanwhile may be missing.
std::vector<pid_t> children_of(pid_t pid);

}  // namespace bulkhead

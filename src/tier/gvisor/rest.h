// gVisor's systrap (2024) wakes 2,500 times a second to see how busy it is, also where nothing runs: two hundredths of
// a CPU for each sandbox (google/gvisor#13361, mended in 2026). So where nothing runs inside, its kernel is stopped.
#pragma once

#include <sys/types.h>

#include <vector>

#include "base/fd.h"

namespace bulkhead::tier::gvisor {

// The processes that run the workload's code, below `root`, which is runsc: systrap keeps each, whatever becomes of the
// workload's own.
std::vector<pid_t> stubs(pid_t root);

// Below `root`, which is runsc; by pidfd. One that is not found, or can't be stopped, goes on.
std::vector<UniqueFd> stop_sentry(pid_t root);

}  // namespace bulkhead::tier::gvisor

// gVisor's systrap (2024) wakes 2,500 times a second to see how busy it is, also where nothing runs: two hundredths of
// a CPU for each sandbox (google/gvisor#13361, mended in 2026). So where nothing runs inside, its kernel is stopped.
#pragma once

#include <sys/types.h>

namespace bulkhead::tier::gvisor {

// Below `root`, which is runsc. One that is not found, or can't be stopped, goes on.
void rest_sentry(pid_t root, bool resting);

}  // namespace bulkhead::tier::gvisor

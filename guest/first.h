// The first process of a sandbox that is saved or was (docs/gvisor.md, "Templates"). It is the only one that is in the
// saved memory, so all its copies have the same secrets of a process (canaries, addresses): it has none worth knowing,
// holds nothing of the host's, reads nothing, and only collects who has ended. The shim comes beside it, anew each
// time.
#pragma once

namespace bulkhead::shim {

// bulkhead-shim init. 0, 1 and 2 are the null device.
[[noreturn]] void be_first();

// bulkhead-shim alone: kills everything but the first process, and returns once nothing else is there. The value is an
// exit status; with 1, something that can't be killed is still there.
int leave_alone();

}  // namespace bulkhead::shim

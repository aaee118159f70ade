// Signals of a program that stands before a workload as its shell's job does: the supervisor of `run`, and `exec`.
#pragma once

#include <optional>

#include "base/fd.h"
#include "base/result.h"

namespace bulkhead::session {

// What a terminal, a shell and whoever ends the job send is blocked from now on and read from the descriptor
// (signalfd(2), non-blocking); SIGPIPE is ignored.
Result<UniqueFd> receive_job_signals();

// The number of the next that came; nullopt: none has.
std::optional<int> next_job_signal(int signals);

// By SIGTSTP's default action: the kernel leaves it out where no shell is there to continue us (an orphaned process
// group, setpgid(2)), and a workload must not stop whoever keeps its limits. Returns when it is continued, or at once.
void stop_as_a_job();

}  // namespace bulkhead::session

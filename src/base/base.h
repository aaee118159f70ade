// base/: what every other folder stands on. Small, no policy, no global state.
//
//   result.h   Error, Result<T>, BH_TRY        every fallible function returns Result
//   fd.h       UniqueFd                        every descriptor has one owner
//   sys.h      syscalls that return Result     an error reads `openat2 "/x": EXDEV (…)`
//   process.h  spawning confined helpers       PDEATHSIG, closed fds, empty environment, pidfd
//   ipc.h      typed messages + fds between our own processes (SEQPACKET, JSON)
//   confine.h  how a helper gives up what it does not need (mount ns, seccomp, no_new_privs)
//   text.h     escaping hostile text for a terminal, edit distance for suggestions
//   random.h   bytes from the kernel, as hex or base64url
#pragma once

#include "base/fd.h"
#include "base/result.h"
#include "base/sys.h"
#include "base/text.h"

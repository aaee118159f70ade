// The workload's seccomp filter (seccomp_gen.cc says what it refuses and why).
#pragma once

#include "base/fd.h"
#include "base/result.h"

namespace bulkhead::shim {

// Needs no_new_privs. For the calling thread and all it starts; can't be taken back. connect(2) is answered by whoever
// holds the listener (src/broker/broker.h); without one it fails with ENOSYS.
Result<void> apply_seccomp();
// On a kernel of the session's own (gVisor's): connect(2) is that kernel's, and nobody is asked.
Result<void> apply_seccomp_own_kernel();
// Before one of these: nothing gets a set-group-ID bit, either.
Result<void> refuse_set_group();
// The same as apply_seccomp(), and the listener.
Result<UniqueFd> apply_seccomp_with_listener();

}  // namespace bulkhead::shim

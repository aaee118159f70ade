// The workload's seccomp filter (seccomp_gen.cc says what it refuses and why).
#pragma once

#include "base/result.h"

namespace bulkhead::shim {

// Needs no_new_privs. For the calling thread and all it starts; can't be taken back.
Result<void> apply_seccomp();

}  // namespace bulkhead::shim

// The first program of a virtual machine (boot.h has the conversation). It gives the machine what a session sees,
// starts the shim, and carries the shim's descriptors over the one stream to the host (mux.h).
//
// Nothing here is a boundary against the workload but that the shim runs without privilege: who takes this kernel over
// has the machine, and what the host's side holds is outside of it.
#pragma once

#include <functional>

#include "guest/boot.h"

namespace bulkhead::shim {

// For tests, which do here as root of the machine what a workload could that took it over: everything stands, the shim
// does not run yet. `port`: the stream to the host; `record`: where it is said what runs, or -1.
using BeforeShim = std::function<void(const Boot& boot, int port, int record)>;

// For tests, too: the kernel's randomness has just been made the session's own.
using Seeded = std::function<void()>;

// As pid 1. Does not return while the machine runs.
int run_init(const BeforeShim& before_shim = {}, const Seeded& seeded = {});

}  // namespace bulkhead::shim

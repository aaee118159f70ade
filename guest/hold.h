// A session that lives (Setup::hold): the shim has no workload, and starts a command whenever it is told to, each as a
// child of its own that attends to it (attend.h). It is the parent of everything inside, whoever started it.
#pragma once

#include "guest/link.h"

namespace bulkhead::shim {

// `stream`: with own_kernel, what carries the commands' descriptors (mux.h); else not used.
[[noreturn]] void hold(const Link& link, const Setup& setup, int stream);

}  // namespace bulkhead::shim

// gVisor's sentry as the one that tells.
#pragma once

#include <memory>

#include "base/fd.h"
#include "trace/teller.h"

namespace bulkhead::trace {

// Waits for gVisor to connect to `listener`, and answers its greeting (google/gvisor, seccheck's README.md). Unset: the
// supervisor was gone before that.
Result<std::unique_ptr<Teller>> greet_sentry(int supervisor, UniqueFd listener);

}  // namespace bulkhead::trace

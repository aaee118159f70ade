#pragma once

#include "base/result.h"

namespace bulkhead::trace {

// Until something can be read from `fd`; false: the supervisor is gone. It says nothing: what can be read there is its
// end.
Result<bool> wait_for(int fd, int supervisor);

}  // namespace bulkhead::trace

// What of a session is plugged into a machine: its network card, and the folders that it is shown.
#pragma once

#include "base/result.h"

namespace bulkhead::shim {

// Returns once both are there. A machine that was saved had neither, and nothing tells it of new ones: the bus is
// looked at again. /sys is mounted.
Result<void> find_devices();

}  // namespace bulkhead::shim

// Where the kernel of the session's own is gVisor's of 2022 (tier/gvisor/fallback.h).
#pragma once

#include "base/result.h"

namespace bulkhead::shim {

// Descriptors come as the first message on the shim's socket, which is its standard input: one character each for 0, 1,
// 2 and the lane.
inline constexpr int stdin_socket = 0;
inline constexpr char with_descriptor = '1', without_descriptor = '0';

// They are put where they belong, the socket at `socket` and the lane behind it. Where 0 is missing there is /dev/null,
// where 1 or 2 is, what was there stays.
Result<void> take_descriptors(int socket);

}  // namespace bulkhead::shim

// Private copies of host folders (mount with copy = true): the workload gets its own, the host's is never
// writable, and the copy is thrown away at the end.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "policy/policy.h"

namespace bulkhead::session {

inline constexpr std::uint64_t max_copy_bytes = 512ULL << 20;
inline constexpr std::uint64_t max_copy_entries = 200'000;

// Copies the file or folder `source` (an O_PATH descriptor) to `name` below the directory `into`. Symlinks are
// copied as symlinks and never followed; sockets, FIFOs and devices are left out; setuid bits are dropped.
// `mount` says what of it (policy/policy.h). Refused above the two limits.
Result<void> copy_for_session(int source, const Mount& mount, int into, const std::string& name);

}  // namespace bulkhead::session

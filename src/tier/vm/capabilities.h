// What of capabilities(7) goes on over an exec by somebody who is not uid 0.
#pragma once

#include <cstdint>

#include "base/result.h"

namespace bulkhead::tier::vm {

inline constexpr std::uint64_t all_capabilities = ~std::uint64_t{0};

// Before exec, single-threaded, with CAP_SETPCAP: those of `kept` (by number) that the caller has it will have
// afterwards, and no other, ever.
Result<void> keep_capabilities(std::uint64_t kept);

}  // namespace bulkhead::tier::vm

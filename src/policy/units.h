// Sizes and durations as people write them in a policy.
//
// Size:      a whole number and a unit, nothing between: B, KB MB GB TB (powers of 1000) or KiB
//            MiB GiB TiB (powers of 1024). A limit thus errs to the stricter side. A plain TOML
//            integer means bytes.
// Duration:  a whole number and s, m, h or d: "30s", "90m", "4h", "2d"; more than nothing, at
//            most 365 days.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace bulkhead {

// The error says what is wrong and how to write it, without naming file or key.
Result<std::uint64_t> parse_size(std::string_view text);
Result<std::chrono::seconds> parse_duration(std::string_view text);

// What parse_size / parse_duration read back as the same value, in the largest unit that fits
// exactly.
std::string size_text(std::uint64_t bytes);
std::string duration_text(std::chrono::seconds duration);

}  // namespace bulkhead

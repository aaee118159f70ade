// Of files, by descriptor: are they the same, copying one, and is it a text that can be shown.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"

namespace bulkhead::review {

// Both regular files, from their beginnings.
Result<bool> same_content(int a, int b);
// A reflink where the file system has them; holes stay holes. `to` is empty.
Result<void> copy_content(int from, int to);
// Nothing when it is no text: a NUL byte in it, or longer than diff(1) is asked to read.
Result<std::optional<std::string>> read_text(int fd);

inline constexpr std::uint64_t max_text = 2U << 20;

}  // namespace bulkhead::review

// SHA-256, for what names a file by its content.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace bulkhead {

std::string sha256_hex(std::string_view bytes);

// Of a regular file from its beginning, a piece at a time. EFBIG when it holds more than `most` bytes.
Result<std::string> sha256_hex_of(int fd, std::uint64_t most);

}  // namespace bulkhead

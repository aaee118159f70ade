// SHA-256, for what names a file by its content.
#pragma once

#include <string>
#include <string_view>

namespace bulkhead {

std::string sha256_hex(std::string_view bytes);

}  // namespace bulkhead

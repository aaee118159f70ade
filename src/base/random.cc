#include "base/random.h"

#include <sys/random.h>

#include <cstdlib>

namespace bulkhead {

std::string random_bytes(std::size_t bytes) {
  std::string out(bytes, '\0');
  if (::getentropy(out.data(), bytes) != 0) std::abort();
  return out;
}

std::string random_hex(std::size_t bytes) {
  static constexpr char digits[] = "0123456789abcdef";
  std::string out;
  for (const char c : random_bytes(bytes)) {
    const auto byte = static_cast<unsigned char>(c);
    out += digits[byte >> 4];
    out += digits[byte & 15];
  }
  return out;
}

}  // namespace bulkhead

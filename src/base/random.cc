#include "base/random.h"

#include <sys/random.h>

#include <cstdlib>

#include "base/text.h"

namespace bulkhead {

std::string random_bytes(std::size_t bytes) {
  std::string out(bytes, '\0');
  if (::getentropy(out.data(), bytes) != 0) std::abort();
  return out;
}

std::string random_hex(std::size_t bytes) {
  return hex(random_bytes(bytes));
}

}  // namespace bulkhead

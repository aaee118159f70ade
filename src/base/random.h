// Random bytes from the kernel (getrandom(2)), never from a userspace generator.
#pragma once

#include <cstddef>
#include <string>

namespace bulkhead {

// `bytes` random bytes as lower-case hex. Aborts when the kernel has none: nothing may go on without.
std::string random_hex(std::size_t bytes);
std::string random_bytes(std::size_t bytes);

}  // namespace bulkhead

// A front, and a reader of control files (src/trust/look_main.cc), with a memory-corruption bug, and what an attacker
// does with it. Only in the test programs bulkhead-{front,look}-corruptible and -unconfined (tests/CMakeLists.txt):
// src/gateway/front/judge.cc and look_main.cc call trigger() where BULKHEAD_CORRUPTIBLE is defined, and no product is
// built so.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "gateway/http/http.h"

namespace bulkhead::corruption {

// A request with the header `x-corrupt: where` is answered with the address the attacker needs to know; one with
// `x-corrupt: HEX` overflows a buffer with those bytes, and what stands behind the buffer is a pointer that is called.
// The text is what front then answers. nullopt: an ordinary request.
std::optional<std::string> trigger(const http::RequestHead& head);

// A file that begins with `corrupt ` overflows a buffer with the rest of its first line; what stands behind the buffer
// chooses what is called. The text is what the reader then says of the file. nullopt: an ordinary file.
std::optional<std::string> trigger(std::string_view file);

}  // namespace bulkhead::corruption

// A front with a memory-corruption bug, and what an attacker does with it. Only in the test programs
// bulkhead-front-corruptible and -unconfined (tests/CMakeLists.txt): src/gateway/front/judge.cc calls trigger() where
// BULKHEAD_CORRUPTIBLE is defined, and no product is built so.
#pragma once

#include <optional>
#include <string>

#include "gateway/http/http.h"

namespace bulkhead::corruption {

// A request with the header `x-corrupt: where` is answered with the address the attacker needs to know; one with
// `x-corrupt: HEX` overflows a buffer with those bytes, and what stands behind the buffer is a pointer that is called.
// The text is what front then answers. nullopt: an ordinary request.
std::optional<std::string> trigger(const http::RequestHead& head);

}  // namespace bulkhead::corruption

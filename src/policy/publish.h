// What --publish and the policy's `publish` say: [ADDRESS:]PORT[:INSIDE].
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/result.h"
#include "policy/policy.h"

namespace bulkhead {

inline constexpr std::size_t max_published = 16;

// ADDRESS is one of the host's, IPv6 in brackets; without it 127.0.0.1. Without INSIDE the port is the same inside. A
// port below 1024 on the host is allowed here: whether the host gives it is for bind(2) to say.
Result<Publish> publish_from(std::string_view text);

}  // namespace bulkhead

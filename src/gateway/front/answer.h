// The answers front gives itself: what was refused or failed, why, and the rule that would allow it. For people and
// for agents, which read JSON when that is what they asked for.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "gateway/lane.h"

namespace bulkhead::front {

enum class Kind { denied, failed };  // the value of x-bulkhead

struct Answer {
  Kind kind = Kind::denied;
  std::uint16_t status = 403;
  std::string text;  // one line
  std::string add;   // TOML, or empty
};

// The whole response. `request` (may be empty) is looked at for Accept only; `head` answers a HEAD request.
std::string serialise(const Answer& answer, const lane::Headers& request, bool keep_alive, bool head);

}  // namespace bulkhead::front

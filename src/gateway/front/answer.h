// The answers front gives itself: what was refused or failed, why, and the rule that would allow it. For people and
// for agents, which read JSON when that is what they asked for.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "gateway/lane.h"

namespace bulkhead::front {

enum class Kind { denied, failed };  // the value of x-bulkhead

// Not granted, or no more of it; everything else that fails is nobody's decision.
constexpr bool is_denial(std::uint16_t status) {
  return status == 403 || status == 413 || status == 429;
}

struct Answer {
  Kind kind = Kind::denied;
  std::uint16_t status = 403;
  std::string text;  // one line
  std::string add;   // TOML, or empty
};

// As a message without framing: every version of HTTP can carry it.
struct Page {
  std::uint16_t status = 403;
  lane::Headers headers;
  std::string body;
};
// `request`: the request's headers, looked at for Accept only.
Page page_of(const Answer& answer, const lane::Headers& request);

// Does the client speak gRPC, which knows no page but a status in the trailers?
bool is_grpc(const lane::Headers& request);
// The answer as a gRPC client understands it: HTTP 200, grpc-status and grpc-message, no body ("Trailers-Only").
Page grpc_page_of(const Answer& answer);

// The whole HTTP/1 response. `request` (may be empty) is looked at for Accept only; `head` answers a HEAD request.
std::string serialise(const Answer& answer, const lane::Headers& request, bool keep_alive, bool head);

}  // namespace bulkhead::front

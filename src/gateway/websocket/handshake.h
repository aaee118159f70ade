// The opening handshake of a WebSocket (RFC 6455 §4). Front ends the client's and egress makes one of its own, so keys,
// answers and extensions never cross the gateway.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/lane.h"

namespace bulkhead::websocket {

// 16 random bytes in base64. Aborts where there is no randomness.
std::string make_key();
// What a server answers to `key` (§4.2.2).
std::string accept_of(std::string_view key);

// The only field of that name (lower case), or nullopt.
std::optional<std::string_view> only(const lane::Headers& headers, std::string_view name);
// The subprotocols that a request offers, in order.
std::vector<std::string> offered_protocols(const lane::Headers& headers);

// A server's 101 to a handshake with `key`: what is wrong with it, or nullopt. `protocol` becomes the subprotocol it
// chose, or empty.
std::optional<std::string> judge_switch(const lane::Headers& headers, std::string_view key,
                                        const std::vector<std::string>& offered, std::string& protocol);

}  // namespace bulkhead::websocket

// Messages of the Model Context Protocol: JSON-RPC 2.0, one a line (modelcontextprotocol.io, "Transports", stdio).
//
// Two lives of a connection: since 2026-07-28 each request says its revision in `_meta`, and there is
// `server/discover`; before that a connection begins with `initialize`. Which one a client means every request of its
// shows.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace bulkhead::mcp {

constexpr int parse_error = -32700, invalid_request = -32600, method_not_found = -32601, invalid_params = -32602,
              unsupported_version = -32022;
// Where a request says its revision, in `_meta`, and the first that has them say it.
inline constexpr const char* version_key = "io.modelcontextprotocol/protocolVersion";
inline constexpr const char* stateless_version = "2026-07-28";
inline constexpr std::size_t max_line = std::size_t{32} << 20;

struct Incoming {
  std::string method;
  nlohmann::json id;       // null: a notification, which has no answer
  nlohmann::json params;   // an object
  bool stateless = false;  // as since 2026-07-28
};

// What a line asks, or else what it is answered with (null: nothing, it was an answer to us or makes no sense as one).
struct Heard {
  std::optional<Incoming> incoming;
  nlohmann::json refusal;
};
Heard hear(std::string_view line);

// A revision that we speak.
bool is_version(std::string_view text);
nlohmann::json unsupported(const nlohmann::json& id, const nlohmann::json& asked);
nlohmann::json result_of(const Incoming& to, nlohmann::json result);
nlohmann::json error_of(const nlohmann::json& id, int code, const std::string& message);

// The answer to `initialize`, `server/discover`, `ping` and `tools/list`; null: it is none of those.
nlohmann::json answer_at_once(const Incoming& incoming);

// As it goes out, with its line end; invalid UTF-8 is replaced.
std::string line_of(const nlohmann::json& message);

}  // namespace bulkhead::mcp

// Which HTTP requests are messages of the Model Context Protocol, and how those that are not are refused: streamable
// HTTP of the revisions 2025-03-26 … 2025-11-25 (a session that `initialize` begins) and 2026-07-28 (each request for
// itself), modelcontextprotocol.io, "Transports". Pure functions over what gateway/http read; nothing here waits or
// runs.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>

#include "gateway/http/http.h"
#include "mcp/protocol.h"

namespace bulkhead::mcp {

inline constexpr const char* endpoint = "/mcp";
inline constexpr std::size_t max_body = std::size_t{32} << 20;

// An answer that is no stream.
struct Reply {
  std::uint16_t status = 200;
  nlohmann::json body = nullptr;  // null: none
  lane::Headers headers = {};
};
// With one line for people, as an error that answers no request in particular.
Reply refused(std::uint16_t status, int code, const std::string& why);

// Before its body is read: another path or method, a page in a browser, what can't take our answers, too large a body.
// nullopt: a POST whose body is to be read, or a DELETE.
std::optional<Reply> refuse_head(const http::RequestHead& head);

// The `Mcp-Session-Id` it names; nullopt: none. Refused: more than one, or no id that we could have given.
tl::expected<std::optional<std::string>, Reply> session_named(const http::RequestHead& head);

// What the body of a POST asks. Refused: it makes no sense, or its headers say something else than it does. nullopt:
// nothing is asked, and 202 is all there is to say.
tl::expected<std::optional<Incoming>, Reply> judge_message(const http::RequestHead& head, std::string_view body);

// The status that an answer goes out with.
std::uint16_t status_of(const Incoming& incoming, const nlohmann::json& answer);

}  // namespace bulkhead::mcp

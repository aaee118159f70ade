// The typed protocol between front and egress (docs/formats.md). One lane = one SOCK_STREAM socketpair end each;
// front sends `request [body…] end`, egress answers `response [body…] end` or `failure`. After both ends the
// lane may carry the next exchange. A frame out of order, an unknown kind or a length above the limit closes
// the lane: neither side repairs.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace bulkhead::lane {

enum class Kind : std::uint8_t { request = 1, body = 2, end = 3, response = 4, failure = 5 };

inline constexpr std::size_t header_size = 5;
inline constexpr std::size_t max_head = 256 * 1024;  // request and response payloads
inline constexpr std::size_t max_body = 64 * 1024;   // one body frame

using Headers = std::vector<std::pair<std::string, std::string>>;  // names lower case, in order

enum class BodyKind : std::uint8_t { none = 0, length = 1, streamed = 2 };

struct Request {
  std::string grant;  // Grant::id front judged it by; egress judges again
  std::string method, scheme, host;
  std::uint16_t port = 0;
  std::string target;        // origin-form: path and query, canonical
  Headers headers;           // what goes upstream, without Host, framing and the credential slot
  bool slot_filled = false;  // the request carried exactly this session's token in the grant's slot
  BodyKind body = BodyKind::none;
  std::uint64_t body_length = 0;
};

struct Response {
  std::uint16_t status = 0;
  Headers headers;  // already stripped and scrubbed; without framing
  BodyKind body = BodyKind::none;
  std::uint64_t body_length = 0;  // with BodyKind::none: what an answer to HEAD declares
};

struct Failure {
  std::uint16_t status = 502;  // what front answers: 502, 503, 504, 403
  std::string reason;          // stable word for evidence: "resolve", "address", "connect", "tls", "protocol", …
  std::string text;            // one line for people
};

std::string encode(const Request& request);  // whole frames, header included
std::string encode(const Response& response);
std::string encode(const Failure& failure);
std::string encode_body(std::string_view bytes);  // bytes.size() <= max_body
std::string encode_end();

struct FrameHeader {
  Kind kind;
  std::uint32_t length;
};
// nullopt: not a header either side may send (unknown kind, too long).
std::optional<FrameHeader> decode_header(std::string_view five_bytes);
Result<Request> decode_request(std::string_view payload);
Result<Response> decode_response(std::string_view payload);
Result<Failure> decode_failure(std::string_view payload);

}  // namespace bulkhead::lane

// The typed protocol between front and egress (docs/formats.md). One lane = one SOCK_STREAM socketpair end each;
// front sends `request [body…] end`, egress answers `response [body…] [trailers] end` or `failure`; trailers only where
// the response said a body follows. In place of `end`, `dropped`: the server ended an HTTP/2 stream with NO_ERROR and
// did not say whether this was all; the lane is closed behind it. After both ends the lane may carry the next exchange;
// an answer that broke off, or a request nobody wants any more, is a lane that is closed. Or a lane carries one opaque
// connection: front sends `tunnel`, egress answers `opened` or `failure`, then each sends `body…` and, when its side
// has no more, `end`; the lane ends with it. A request whose scheme is `ws` or `wss` asks for a WebSocket: a response
// of status 101 (its only header, if any, the subprotocol) turns the lane into one, and each side sends `message…` up
// to one that closes; egress may end it with a `failure`. The lane ends with it. A frame out of order, an unknown kind
// or a length above the limit closes the lane: neither side repairs.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace bulkhead::lane {

enum class Kind : std::uint8_t {
  request = 1,
  body = 2,
  end = 3,
  response = 4,
  failure = 5,
  trailers = 6,
  dropped = 7,
  tunnel = 16,
  opened = 17,
  message = 18
};

inline constexpr std::size_t header_size = 5;
inline constexpr std::size_t max_head = 256 * 1024;  // request and response payloads
inline constexpr std::size_t max_body = 64 * 1024;   // one body frame
inline constexpr std::uint32_t max_issued_number = 999'999'999;

using Headers = std::vector<std::pair<std::string, std::string>>;  // names lower case, in order

enum class BodyKind : std::uint8_t { none = 0, length = 1, streamed = 2 };

struct Request {
  std::string grant;  // Grant::id front judged it by; egress judges again
  std::string method, scheme, host;
  std::uint16_t port = 0;
  std::string target;        // origin-form: path and query, canonical
  Headers headers;           // what goes upstream, without Host, framing and the credential slot
  bool slot_filled = false;  // the request carried exactly this session's token in the grant's slot
  std::uint32_t issued = 0;  // and this number behind it: which of the values that servers handed out; 0 = none
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

// An opaque connection that a tcp grant allows.
struct Tunnel {
  std::string grant, host;
  std::uint16_t port = 0;
};

// RFC 6455 §5.2.
enum class Opcode : std::uint8_t { continuation = 0, text = 1, binary = 2, close = 8, ping = 9, pong = 10 };

// A part of a WebSocket's message, or one control frame whole.
struct Message {
  Opcode opcode = Opcode::binary;  // of a message's parts but the first: continuation
  bool last = true;
  std::string data;
};

std::string encode(const Request& request);  // whole frames, header included
std::string encode(const Response& response);
std::string encode(const Failure& failure);
std::string encode(const Tunnel& tunnel);
std::string encode_opened();
std::string encode_trailers(const Headers& trailers);        // not empty
std::string encode_body(std::string_view bytes);             // bytes.size() <= max_body
std::string encode(const Message& message);                  // data.size() < max_body
void append_body(std::string& out, std::string_view bytes);  // as many frames as it takes
std::string encode_end();
std::string encode_dropped();

struct FrameHeader {
  Kind kind;
  std::uint32_t length;
};
// nullopt: not a header either side may send (unknown kind, too long).
std::optional<FrameHeader> decode_header(std::string_view five_bytes);
Result<Request> decode_request(std::string_view payload);
Result<Response> decode_response(std::string_view payload);
Result<Failure> decode_failure(std::string_view payload);
Result<Tunnel> decode_tunnel(std::string_view payload);
Result<Message> decode_message(std::string_view payload);
Result<Headers> decode_trailers(std::string_view payload);  // as the response's: stripped and scrubbed

}  // namespace bulkhead::lane

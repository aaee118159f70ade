// The codec of gateway/lane.h. Layout of a payload, in the struct's order: strings are a u32 little-endian length
// and their bytes, numbers little-endian of their type's width, booleans one byte 0 or 1, Headers a u32 count and
// then name, value, name, value. Decoding is total: each read checks what is left, and a payload that is not used
// up exactly is refused, so that two sides can't read one frame differently.
#include "gateway/lane.h"

#include <algorithm>
#include <concepts>
#include <cstdio>
#include <cstdlib>

namespace bulkhead::lane {
namespace {

// More fields than any head has (http::Limits): a count is checked before it is believed.
constexpr std::uint32_t max_headers = 1024;

// In a message's first byte, beside its opcode.
constexpr std::uint8_t last_part = 0x80;

// Encoding what the other side would refuse is a programming error: ending here beats a lane that dies far away.
[[noreturn]] void too_long(const char* what) {
  std::fprintf(stderr, "bulkhead: lane: %s does not fit its frame\n", what);
  std::abort();
}

void append_header(std::string& out, Kind kind, std::size_t length) {
  out += static_cast<char>(kind);
  for (std::size_t i = 0; i < sizeof(std::uint32_t); ++i) out += static_cast<char>((length >> (8 * i)) & 0xff);
}

std::string empty_frame(Kind kind) {
  std::string out;
  append_header(out, kind, 0);
  return out;
}

// One frame.
class Writer {
 public:
  explicit Writer(Kind kind) {
    bytes_.reserve(512);  // most heads fit
    append_header(bytes_, kind, 0);
  }

  template <std::unsigned_integral T>
  void number(T value) {
    char bytes[sizeof(T)];
    for (std::size_t i = 0; i < sizeof(T); ++i) {
      bytes[i] = static_cast<char>((static_cast<std::uint64_t>(value) >> (8 * i)) & 0xff);
    }
    bytes_.append(bytes, sizeof(T));
  }
  void flag(bool value) { number<std::uint8_t>(value ? 1 : 0); }
  void text(std::string_view value) {
    if (value.size() > max_head) too_long("a string");
    number(static_cast<std::uint32_t>(value.size()));
    bytes_.append(value);
  }
  void headers(const Headers& value) {
    if (value.size() > max_headers) too_long("a head");
    number(static_cast<std::uint32_t>(value.size()));
    for (const auto& [name, content] : value) {
      text(name);
      text(content);
    }
  }
  void raw(std::string_view bytes) { bytes_.append(bytes); }
  std::string take(std::size_t limit) {
    const std::size_t length = bytes_.size() - header_size;
    if (length > limit) too_long("a payload");
    for (std::size_t i = 0; i < sizeof(std::uint32_t); ++i) {
      bytes_[1 + i] = static_cast<char>((length >> (8 * i)) & 0xff);
    }
    return std::move(bytes_);
  }

 private:
  std::string bytes_;
};

class Reader {
 public:
  explicit Reader(std::string_view bytes) : rest_(bytes) {}

  template <std::unsigned_integral T>
  T number() {
    const std::string_view raw = take(sizeof(T));
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < raw.size(); ++i) {
      value |= std::uint64_t{static_cast<unsigned char>(raw[i])} << (8 * i);
    }
    return static_cast<T>(value);
  }
  bool flag() {
    const auto value = number<std::uint8_t>();
    if (value > 1) bad_ = true;
    return value == 1;
  }
  std::string text() { return std::string(take(number<std::uint32_t>())); }
  Headers headers() {
    const auto count = number<std::uint32_t>();
    // Every field takes at least its two lengths, so a count can't make us reserve more than the payload's worth.
    if (count > max_headers || std::size_t{count} * 8 > rest_.size()) bad_ = true;
    Headers value;
    if (!bad_) value.reserve(count);
    for (std::uint32_t i = 0; i < count && !bad_; ++i) {
      std::string name = text();
      value.emplace_back(std::move(name), text());
    }
    return value;
  }
  BodyKind body_kind() {
    const auto value = number<std::uint8_t>();
    if (value > 2) bad_ = true;
    return bad_ ? BodyKind::none : static_cast<BodyKind>(value);
  }
  bool whole() const { return !bad_ && rest_.empty(); }

 private:
  std::string_view take(std::size_t count) {
    if (bad_ || count > rest_.size()) {
      bad_ = true;
      return {};
    }
    const std::string_view taken = rest_.substr(0, count);
    rest_.remove_prefix(count);
    return taken;
  }

  std::string_view rest_;
  bool bad_ = false;
};

auto malformed(const char* what) {
  return fail(std::string("lane: malformed ") + what + " frame");
}

// A length that says nothing must be zero: one value per meaning.
bool consistent(BodyKind kind, std::uint64_t length) {
  return kind == BodyKind::length || length == 0;
}

}  // namespace

std::string encode(const Request& request) {
  Writer writer(Kind::request);
  writer.text(request.grant);
  writer.text(request.method);
  writer.text(request.scheme);
  writer.text(request.host);
  writer.number(request.port);
  writer.text(request.target);
  writer.headers(request.headers);
  writer.flag(request.slot_filled);
  writer.number(request.issued);
  writer.number(static_cast<std::uint8_t>(request.body));
  writer.number(request.body == BodyKind::length ? request.body_length : std::uint64_t{0});
  return writer.take(max_head);
}

std::string encode(const Response& response) {
  Writer writer(Kind::response);
  writer.number(response.status);
  writer.headers(response.headers);
  writer.number(static_cast<std::uint8_t>(response.body));
  writer.number(response.body != BodyKind::streamed ? response.body_length : std::uint64_t{0});
  return writer.take(max_head);
}

std::string encode(const Failure& failure) {
  Writer writer(Kind::failure);
  writer.number(failure.status);
  writer.text(failure.reason);
  writer.text(failure.text);
  return writer.take(max_head);
}

std::string encode(const Tunnel& tunnel) {
  Writer writer(Kind::tunnel);
  writer.text(tunnel.grant);
  writer.text(tunnel.host);
  writer.number(tunnel.port);
  return writer.take(max_head);
}

std::string encode(const Message& message) {
  Writer writer(Kind::message);
  writer.number(static_cast<std::uint8_t>(static_cast<std::uint8_t>(message.opcode) | (message.last ? last_part : 0)));
  writer.raw(message.data);
  return writer.take(max_body);
}

std::string encode_opened() {
  return empty_frame(Kind::opened);
}

std::string encode_trailers(const Headers& trailers) {
  Writer writer(Kind::trailers);
  writer.headers(trailers);
  return writer.take(max_head);
}

std::string encode_body(std::string_view bytes) {
  if (bytes.size() > max_body) too_long("a payload");
  std::string out;
  out.reserve(header_size + bytes.size());
  append_header(out, Kind::body, bytes.size());
  return out.append(bytes);
}
void append_body(std::string& out, std::string_view bytes) {
  for (; !bytes.empty(); bytes.remove_prefix(std::min(bytes.size(), max_body))) {
    const std::string_view part = bytes.substr(0, max_body);
    append_header(out, Kind::body, part.size());
    out.append(part);
  }
}

std::string encode_end() {
  return empty_frame(Kind::end);
}
std::string encode_dropped() {
  return empty_frame(Kind::dropped);
}

std::optional<FrameHeader> decode_header(std::string_view five_bytes) {
  if (five_bytes.size() != header_size) return std::nullopt;
  Reader reader(five_bytes);
  const auto kind = reader.number<std::uint8_t>();
  const auto length = reader.number<std::uint32_t>();
  std::size_t limit = 0;
  switch (kind) {
    case static_cast<std::uint8_t>(Kind::request):
    case static_cast<std::uint8_t>(Kind::response):
    case static_cast<std::uint8_t>(Kind::failure):
    case static_cast<std::uint8_t>(Kind::tunnel):
    case static_cast<std::uint8_t>(Kind::trailers):
      limit = max_head;
      break;
    case static_cast<std::uint8_t>(Kind::body):
    case static_cast<std::uint8_t>(Kind::message):
      limit = max_body;
      break;
    case static_cast<std::uint8_t>(Kind::end):
    case static_cast<std::uint8_t>(Kind::dropped):
    case static_cast<std::uint8_t>(Kind::opened):
      break;
    default:
      return std::nullopt;
  }
  if (length > limit) return std::nullopt;
  return FrameHeader{static_cast<Kind>(kind), length};
}

Result<Request> decode_request(std::string_view payload) {
  if (payload.size() > max_head) return malformed("request");
  Reader reader(payload);
  Request request;
  request.grant = reader.text();
  request.method = reader.text();
  request.scheme = reader.text();
  request.host = reader.text();
  request.port = reader.number<std::uint16_t>();
  request.target = reader.text();
  request.headers = reader.headers();
  request.slot_filled = reader.flag();
  request.issued = reader.number<std::uint32_t>();
  request.body = reader.body_kind();
  request.body_length = reader.number<std::uint64_t>();
  const bool numbered = request.issued == 0 || (request.slot_filled && request.issued <= max_issued_number);
  if (!reader.whole() || !numbered || !consistent(request.body, request.body_length)) return malformed("request");
  return request;
}

Result<Response> decode_response(std::string_view payload) {
  if (payload.size() > max_head) return malformed("response");
  Reader reader(payload);
  Response response;
  response.status = reader.number<std::uint16_t>();
  response.headers = reader.headers();
  response.body = reader.body_kind();
  response.body_length = reader.number<std::uint64_t>();
  // An answer to HEAD declares a length and has no body.
  const bool declares = response.body == BodyKind::none || consistent(response.body, response.body_length);
  if (!reader.whole() || !declares) return malformed("response");
  return response;
}

Result<Failure> decode_failure(std::string_view payload) {
  if (payload.size() > max_head) return malformed("failure");
  Reader reader(payload);
  Failure failure;
  failure.status = reader.number<std::uint16_t>();
  failure.reason = reader.text();
  failure.text = reader.text();
  if (!reader.whole()) return malformed("failure");
  return failure;
}

Result<Tunnel> decode_tunnel(std::string_view payload) {
  if (payload.size() > max_head) return malformed("tunnel");
  Reader reader(payload);
  Tunnel tunnel;
  tunnel.grant = reader.text();
  tunnel.host = reader.text();
  tunnel.port = reader.number<std::uint16_t>();
  if (!reader.whole()) return malformed("tunnel");
  return tunnel;
}

Result<Message> decode_message(std::string_view payload) {
  if (payload.empty() || payload.size() > max_body) return malformed("message");
  const auto first = static_cast<std::uint8_t>(payload.front());
  Message message;
  message.opcode = static_cast<Opcode>(first & ~last_part);
  message.last = (first & last_part) != 0;
  switch (message.opcode) {
    case Opcode::continuation:
    case Opcode::text:
    case Opcode::binary:
    case Opcode::close:
    case Opcode::ping:
    case Opcode::pong:
      break;
    default:
      return malformed("message");
  }
  message.data = payload.substr(1);
  return message;
}

Result<Headers> decode_trailers(std::string_view payload) {
  if (payload.size() > max_head) return malformed("trailers");
  Reader reader(payload);
  Headers trailers = reader.headers();
  // None are said by not sending the frame.
  if (!reader.whole() || trailers.empty()) return malformed("trailers");
  return trailers;
}

}  // namespace bulkhead::lane

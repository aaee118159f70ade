// The codec of gateway/lane.h. Layout of a payload, in the struct's order: strings are a u32 little-endian length
// and their bytes, numbers little-endian of their type's width, booleans one byte 0 or 1, Headers a u32 count and
// then name, value, name, value. Decoding is total: each read checks what is left, and a payload that is not used
// up exactly is refused, so that two sides can't read one frame differently.
#include "gateway/lane.h"

#include <concepts>
#include <cstdio>
#include <cstdlib>

namespace bulkhead::lane {
namespace {

// More fields than any head has (http::Limits): a count is checked before it is believed.
constexpr std::uint32_t max_headers = 1024;

// Encoding what the other side would refuse is a programming error: ending here beats a lane that dies far away.
[[noreturn]] void too_long(const char* what) {
  std::fprintf(stderr, "bulkhead: lane: %s does not fit its frame\n", what);
  std::abort();
}

class Writer {
 public:
  template <std::unsigned_integral T>
  void number(T value) {
    for (std::size_t i = 0; i < sizeof(T); ++i) {
      bytes_.push_back(static_cast<char>((static_cast<std::uint64_t>(value) >> (8 * i)) & 0xff));
    }
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
  std::string take() { return std::move(bytes_); }

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

std::string frame(Kind kind, std::string_view payload, std::size_t limit) {
  if (payload.size() > limit) too_long("a payload");
  Writer writer;
  writer.number(static_cast<std::uint8_t>(kind));
  writer.number(static_cast<std::uint32_t>(payload.size()));
  std::string whole = writer.take();
  whole.append(payload);
  return whole;
}

auto malformed(const char* what) {
  return fail(std::string("lane: malformed ") + what + " frame");
}

// A length that says nothing must be zero: one value per meaning.
bool consistent(BodyKind kind, std::uint64_t length) {
  return kind == BodyKind::length || length == 0;
}

}  // namespace

std::string encode(const Request& request) {
  Writer writer;
  writer.text(request.grant);
  writer.text(request.method);
  writer.text(request.scheme);
  writer.text(request.host);
  writer.number(request.port);
  writer.text(request.target);
  writer.headers(request.headers);
  writer.flag(request.slot_filled);
  writer.number(static_cast<std::uint8_t>(request.body));
  writer.number(request.body == BodyKind::length ? request.body_length : std::uint64_t{0});
  return frame(Kind::request, writer.take(), max_head);
}

std::string encode(const Response& response) {
  Writer writer;
  writer.number(response.status);
  writer.headers(response.headers);
  writer.number(static_cast<std::uint8_t>(response.body));
  writer.number(response.body != BodyKind::streamed ? response.body_length : std::uint64_t{0});
  return frame(Kind::response, writer.take(), max_head);
}

std::string encode(const Failure& failure) {
  Writer writer;
  writer.number(failure.status);
  writer.text(failure.reason);
  writer.text(failure.text);
  return frame(Kind::failure, writer.take(), max_head);
}

std::string encode_body(std::string_view bytes) {
  return frame(Kind::body, bytes, max_body);
}
std::string encode_end() {
  return frame(Kind::end, {}, 0);
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
      limit = max_head;
      break;
    case static_cast<std::uint8_t>(Kind::body):
      limit = max_body;
      break;
    case static_cast<std::uint8_t>(Kind::end):
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
  request.body = reader.body_kind();
  request.body_length = reader.number<std::uint64_t>();
  if (!reader.whole() || !consistent(request.body, request.body_length)) return malformed("request");
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

}  // namespace bulkhead::lane

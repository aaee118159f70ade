#include "gateway/http/h2_rules.h"

#include <algorithm>
#include <array>

#include "base/text.h"
#include "gateway/http/gate.h"

namespace bulkhead::http {
namespace {

// RFC 9113 §8.2.2: they speak about an HTTP/1 connection, or frame a message in it.
constexpr std::array<std::string_view, 6> of_connection{"connection",        "proxy-connection", "keep-alive",
                                                        "transfer-encoding", "upgrade",          "http2-settings"};

Gated check_size(const lane::Headers& fields, const Limits& limits) {
  if (fields.size() > limits.headers) {
    return refuse(431, "headers", "more than " + std::to_string(limits.headers) + " header fields");
  }
  std::size_t size = 0;
  for (const auto& [name, value] : fields) size += name.size() + value.size() + 4;
  if (size > limits.head) {
    return refuse(431, "head-size", "the head is larger than " + std::to_string(limits.head) + " bytes");
  }
  return {};
}

// The value alphabet of HTTP/1's gate. What HTTP/1 trims is refused: there are no optional blanks here.
Gated check_value(std::string_view value, Side side) {
  for (const char c : value) {
    const auto byte = static_cast<unsigned char>(c);
    if ((byte < 0x20 && c != '\t') || byte == 0x7f) {
      return refuse(400, "control-byte", "a control character in a header field");
    }
    if (byte >= 0x80 && side == Side::request) {
      return refuse(400, "eight-bit", "a byte outside ASCII in a header field");
    }
  }
  const auto blank = [](char c) { return c == ' ' || c == '\t'; };
  if (!value.empty() && (blank(value.front()) || blank(value.back()))) {
    return refuse(400, "field", "a header value with blanks around it");
  }
  return {};
}

Gated check_field(std::string_view name, std::string_view value, Side side) {
  if (std::any_of(name.begin(), name.end(), is_upper)) {
    return refuse(400, "field-name", "an upper-case letter in a header name");
  }
  if (!is_token(name)) return refuse(400, "field-name", "a malformed header name");
  if (std::find(of_connection.begin(), of_connection.end(), name) != of_connection.end()) {
    return refuse(400, "connection", "the " + std::string(name) + " header has no place in HTTP/2");
  }
  // In a request it says that the client understands trailers, and nothing else.
  if (name == "te" && (side == Side::response || value != "trailers")) {
    return refuse(400, "connection", "a te header that says more than \"trailers\"");
  }
  return check_value(value, side);
}

bool is_pseudo(std::string_view name) {
  return name.starts_with(':');
}

struct Pseudo {
  std::string_view name;
  std::string_view value = {};
  bool seen = false;
};

// Takes the pseudo headers off the front of `fields`; `wanted` exactly, in any order.
template <std::size_t n>
tl::expected<std::size_t, Refusal> take_pseudo(const lane::Headers& fields, std::array<Pseudo, n>& wanted, Side side) {
  std::size_t taken = 0;
  for (; taken < fields.size() && is_pseudo(fields[taken].first); ++taken) {
    const auto& [name, value] = fields[taken];
    if (name == ":protocol") {
      return refuse(501, "extended-connect",
                    "CONNECT to a protocol inside HTTP/2 is not available; a WebSocket goes over HTTP/1.1");
    }
    const auto found = std::find_if(wanted.begin(), wanted.end(), [&](const Pseudo& p) { return p.name == name; });
    if (found == wanted.end()) return refuse(400, "pseudo", "a pseudo header that no such message has");
    if (found->seen) return refuse(400, "pseudo", "more than one " + std::string(found->name));
    if (auto ok = check_value(value, side); !ok) return tl::unexpected(std::move(ok).error());
    found->value = value;
    found->seen = true;
  }
  for (const Pseudo& pseudo : wanted) {
    if (!pseudo.seen) return refuse(400, "pseudo", "no " + std::string(pseudo.name));
  }
  return taken;
}

tl::expected<std::vector<Field>, Refusal> regular(const lane::Headers& fields, std::size_t from, Side side) {
  std::vector<Field> out;
  out.reserve(fields.size() - from + 1);
  for (std::size_t i = from; i < fields.size(); ++i) {
    const auto& [name, value] = fields[i];
    if (is_pseudo(name)) return refuse(400, "pseudo", "a pseudo header behind the others");
    if (auto ok = check_field(name, value, side); !ok) return tl::unexpected(std::move(ok).error());
    out.push_back({name, value});
  }
  return out;
}

Gated check_authority(std::vector<Field>& fields, std::string_view authority) {
  std::size_t hosts = 0;
  for (const Field& field : fields) {
    if (field.name != "host") continue;
    if (++hosts > 1) return refuse(400, "host-duplicate", "more than one Host header");
    if (field.value != authority) {
      return refuse(421, "host-mismatch", ":authority and the Host header name different hosts");
    }
  }
  if (hosts == 0) fields.insert(fields.begin(), {"host", authority});
  return {};
}

// From here on a broken answer is the server's fault.
tl::unexpected<Refusal> bad_answer(Refusal refusal) {
  refusal.status = 502;
  return tl::unexpected(std::move(refusal));
}

}  // namespace

tl::expected<RequestHead, Refusal> h2_request_head(lane::Headers fields, bool ended, std::string_view scheme,
                                                   const Limits& limits) {
  if (auto ok = check_size(fields, limits); !ok) return tl::unexpected(std::move(ok).error());
  std::array<Pseudo, 4> pseudo{{{":method"}, {":scheme"}, {":authority"}, {":path"}}};
  const auto& [method, given_scheme, authority, path] = pseudo;
  // A plain CONNECT has no scheme and no path, and deserves its own word.
  for (const auto& [name, value] : fields) {
    if (name == ":method" && value == "CONNECT") return refuse(405, "method", "CONNECT is not available");
  }
  const auto taken = take_pseudo(fields, pseudo, Side::request);
  if (!taken) return tl::unexpected(taken.error());
  if (given_scheme.value != scheme) {
    return refuse(400, "scheme", "a :scheme that is not the connection's, " + std::string(scheme));
  }
  if (auto ok = check_method(method.value); !ok) return tl::unexpected(std::move(ok).error());
  if (path.value.size() > limits.target) {
    return refuse(431, "target-size", "the request target is longer than " + std::to_string(limits.target) + " bytes");
  }
  // In HTTP/1 they would end the request line's word.
  if (path.value.find_first_of(" \t") != std::string_view::npos) return refuse(400, "target", "a blank in :path");
  auto rest = regular(fields, *taken, Side::request);
  if (!rest) return tl::unexpected(std::move(rest).error());
  if (auto ok = check_authority(*rest, authority.value); !ok) return tl::unexpected(std::move(ok).error());

  const RawRequest raw{.method = method.value, .target = path.value, .fields = std::move(*rest)};
  auto head = judge_request_fields(raw);
  if (!head) return tl::unexpected(std::move(head).error());
  if (ended && head->body == lane::BodyKind::length) {
    return refuse(400, "content-length", "a Content-Length and no body");
  }
  if (!ended && head->body == lane::BodyKind::none) {
    const bool declared = std::any_of(raw.fields.begin(), raw.fields.end(),
                                      [](const Field& field) { return field.name == "content-length"; });
    head->body = declared ? lane::BodyKind::length : lane::BodyKind::streamed;
  }
  head->headers = headers_of(raw.fields);
  return head;
}

tl::expected<ResponseHead, Refusal> h2_response_head(const lane::Headers& fields, bool ended, bool head_request,
                                                     const Limits& limits) {
  if (auto ok = check_size(fields, limits); !ok) return bad_answer(std::move(ok).error());
  std::array<Pseudo, 1> pseudo{{{":status"}}};
  const auto taken = take_pseudo(fields, pseudo, Side::response);
  if (!taken) return bad_answer(taken.error());
  const std::string_view status = pseudo[0].value;
  const bool digits =
      status.size() == 3 && std::all_of(status.begin(), status.end(), [](char c) { return c >= '0' && c <= '9'; });
  RawResponse raw;
  if (digits) {
    raw.status = static_cast<std::uint16_t>((status[0] - '0') * 100 + (status[1] - '0') * 10 + (status[2] - '0'));
  }
  if (!digits || raw.status < 100 || raw.status > 599) {
    return refuse(502, "status-line", "the server's status is none that HTTP knows");
  }
  auto rest = regular(fields, *taken, Side::response);
  if (!rest) return bad_answer(std::move(rest).error());
  raw.fields = std::move(*rest);
  auto head = judge_response_fields(raw, head_request);
  if (!head) return bad_answer(std::move(head).error());
  if (raw.status < 200) {
    if (ended) return refuse(502, "interim", "the server's interim answer is its last");
    return head;
  }
  head->keep_alive = true;
  head->until_close = false;
  if (ended && head->body == lane::BodyKind::length) {
    return refuse(502, "content-length", "the server announced a body and sent none");
  }
  if (ended) head->body = lane::BodyKind::none;
  head->headers = headers_of(raw.fields);
  return head;
}

tl::expected<lane::Headers, Refusal> h2_trailers(const lane::Headers& fields, bool ended, const Limits& limits) {
  if (!ended) return refuse(502, "trailer", "the server sent a second head");
  if (auto ok = check_size(fields, limits); !ok) return bad_answer(std::move(ok).error());
  auto rest = regular(fields, 0, Side::response);
  if (!rest) return bad_answer(std::move(rest).error());
  return headers_of(*rest);
}

}  // namespace bulkhead::http

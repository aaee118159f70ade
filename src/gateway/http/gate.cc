// The line- and field-level half of the gate. Input has passed HeadScanner: only CRLF line ends, no control bytes.
#include "gateway/http/gate.h"

#include <algorithm>
#include <array>

#include "base/text.h"

namespace bulkhead::http {
namespace {

// RFC 9110 §5.6.2.
constexpr auto token_characters = [] {
  std::array<bool, 256> table{};
  for (unsigned char c = 0; c < 0x7f; ++c) {
    const char letter = static_cast<char>(c);
    table[c] = is_digit(letter) || is_upper(letter) || is_lower(letter) ||
               std::string_view("!#$%&'*+-.^_`|~").find(letter) != std::string_view::npos;
  }
  return table;
}();

bool is_token_char(char c) {
  return token_characters[static_cast<unsigned char>(c)];
}
}  // namespace

bool is_token(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), is_token_char);
}

Gated check_method(std::string_view method) {
  if (method.empty() || method.size() > 32 || !is_upper(method.front()) ||
      !std::all_of(method.begin(), method.end(), [](char c) { return is_upper(c) || c == '-'; })) {
    return refuse(400, "method", "a malformed method");
  }
  // CONNECT would be a tunnel nobody judges; the others repeat a request, credential included (ATTACKS H15, H17).
  if (method == "CONNECT" || method == "TRACE" || method == "TRACK") {
    return refuse(405, "method", std::string(method) + " is not available");
  }
  return {};
}

namespace {

bool same_letters(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return is_upper(c) ? static_cast<char>(c - 'A' + 'a') : c; };
  return std::ranges::equal(a, b, {}, lower, lower);
}

// Cuts the next CRLF-ended line off `raw`.
std::string_view next_line(std::string_view& raw) {
  const auto end = raw.find("\r\n");
  const std::string_view line = raw.substr(0, end);
  raw.remove_prefix(end == std::string_view::npos ? raw.size() : end + 2);
  return line;
}

tl::expected<std::vector<Field>, Refusal> parse_fields(std::string_view raw, const Limits& limits) {
  std::vector<Field> fields;
  fields.reserve(16);
  for (std::string_view line = next_line(raw); !line.empty(); line = next_line(raw)) {
    const auto colon = line.find(':');
    if (colon == std::string_view::npos) return refuse(400, "field", "a header line without colon");
    // Also catches the blank before the colon and the empty name (ATTACKS H12).
    const std::string_view name = line.substr(0, colon);
    if (!is_token(name)) return refuse(400, "field-name", "a malformed header name");
    if (fields.size() == limits.headers) return refuse(431, "headers", "too many header fields");
    fields.push_back({name, trim_blanks(line.substr(colon + 1))});
  }
  return fields;
}

Gated check_version(std::string_view version) {
  if (version == "HTTP/1.1") return {};
  const bool shaped = version.size() == 8 && version.starts_with("HTTP/") && is_digit(version[5]) &&
                      version[6] == '.' && is_digit(version[7]);
  if (shaped) return refuse(505, "version", "only HTTP/1.1 is spoken here");
  return refuse(400, "start-line", "a malformed request line");
}

// Only the count of occurrences and the last value of a field.
struct Single {
  std::size_t count = 0;
  std::string_view value;
};
Single find(const std::vector<Field>& fields, std::string_view lower_name) {
  Single found;
  for (const Field& field : fields) {
    if (same_letters(field.name, lower_name)) {
      ++found.count;
      found.value = field.value;
    }
  }
  return found;
}

// Plain digits, no sign, no list, no leading zero, below 2^63 (ATTACKS H04).
std::optional<std::uint64_t> content_length(std::string_view value) {
  if (value.empty() || value.size() > 19 || !std::all_of(value.begin(), value.end(), is_digit)) return std::nullopt;
  if (value.size() > 1 && value.front() == '0') return std::nullopt;
  std::uint64_t number = 0;
  for (const char c : value) number = number * 10 + static_cast<std::uint64_t>(c - '0');  // 19 digits fit
  if (number > (std::uint64_t{1} << 63) - 1) return std::nullopt;
  return number;
}

struct Framing {
  lane::BodyKind body = lane::BodyKind::none;
  std::uint64_t length = 0;
  bool declared = false;  // either header was there
};

tl::expected<Framing, Refusal> framing(const std::vector<Field>& fields, Side side) {
  const Single length = find(fields, "content-length");
  const Single coding = find(fields, "transfer-encoding");
  // The two together are the classic smuggling pair (ATTACKS H03); neither wins here.
  if (length.count > 0 && coding.count > 0) {
    return refuse(400, "te-and-cl", "both Content-Length and Transfer-Encoding");
  }
  if (length.count > 1) return refuse(400, "content-length", "more than one Content-Length");
  if (coding.count > 1) return refuse(400, "transfer-encoding", "more than one Transfer-Encoding");
  Framing result;
  if (coding.count == 1) {
    const bool chunked = coding.value == "chunked" || (side == Side::response && same_letters(coding.value, "chunked"));
    if (!chunked) return refuse(400, "transfer-encoding", "a Transfer-Encoding other than \"chunked\"");
    result.body = lane::BodyKind::streamed;
    result.declared = true;
  } else if (length.count == 1) {
    const auto number = content_length(length.value);
    if (!number) return refuse(400, "content-length", "a malformed Content-Length");
    result.length = *number;
    result.body = *number == 0 ? lane::BodyKind::none : lane::BodyKind::length;
    result.declared = true;
  }
  return result;
}

// Does any Connection field list `word`? nullopt: a list that is no list of tokens.
std::optional<bool> connection_lists(const std::vector<Field>& fields, std::string_view word) {
  bool found = false;
  for (const Field& field : fields) {
    if (!same_letters(field.name, "connection") && !same_letters(field.name, "proxy-connection")) continue;
    for (const std::string& part : split(field.value, ',')) {
      const std::string_view token = trim_blanks(part);
      if (!is_token(token)) return std::nullopt;
      found |= same_letters(token, word);
    }
  }
  return found;
}

// One authority: no userinfo, no list, no blanks, nothing a URL parser could split elsewhere (ATTACKS H02, N09).
Gated check_host(const Single& host) {
  if (host.count == 0) return refuse(400, "host-missing", "no Host header");
  if (host.count > 1) return refuse(400, "host-duplicate", "more than one Host header");
  if (host.value.empty()) return refuse(400, "host-empty", "an empty Host header");
  if (host.value.size() > 270) return refuse(400, "host-malformed", "a Host header longer than any name");
  const bool shaped = std::all_of(host.value.begin(), host.value.end(), [](char c) {
    return is_digit(c) || is_upper(c) || (c >= 'a' && c <= 'z') ||
           std::string_view(".-_:[]").find(c) != std::string_view::npos;
  });
  if (!shaped) return refuse(400, "host-malformed", "a Host header that is no host and port");
  return {};
}

Gated check_target(const RawRequest& raw) {
  const std::string_view target = raw.target;
  if (target == "*") return refuse(405, "method", "requests about the server as a whole are not available");
  if (target.empty() || target.front() != '/') {
    const auto scheme = target.find("://");
    if (scheme == std::string_view::npos) return refuse(400, "target", "a request target that does not start with /");
    // Absolute form: nothing here is a proxy to its clients. Where it also names another host, say that (ATTACKS H01).
    const std::string_view rest = target.substr(scheme + 3);
    const std::string_view authority = rest.substr(0, rest.find_first_of("/?#"));
    if (const Single host = find(raw.fields, "host"); host.count == 1 && !same_letters(authority, host.value)) {
      return refuse(421, "host-mismatch", "the request target and the Host header name different hosts");
    }
    return refuse(400, "absolute-form", "a request target that is a whole URL");
  }
  // The scanner left no control and no 8-bit bytes; blanks can't be here since the line has exactly two.
  if (target.find('#') != std::string_view::npos) return refuse(400, "target", "a fragment in the request target");
  return {};
}

// 16 bytes in base64, as every encoder writes them: no whitespace, the unused bits zero.
bool is_websocket_key(std::string_view key) {
  const auto in_alphabet = [](char c) {
    return is_digit(c) || is_upper(c) || (c >= 'a' && c <= 'z') || c == '+' || c == '/';
  };
  return key.size() == 24 && key.ends_with("==") && std::all_of(key.begin(), key.end() - 2, in_alphabet) &&
         std::string_view("AQgw").find(key[21]) != std::string_view::npos;
}

// RFC 6455 §4.2.1. Whatever a server could take for half a handshake goes no further.
Gated check_websocket(const RawRequest& raw, const Framing& body) {
  if (raw.method != "GET") return refuse(400, "websocket", "a WebSocket is opened by GET");
  if (body.declared || find(raw.fields, "expect").count > 0) {
    return refuse(400, "websocket", "a WebSocket's opening request with a body");
  }
  const auto upgrades = connection_lists(raw.fields, "upgrade");
  if (!upgrades || !*upgrades) return refuse(400, "websocket", "an Upgrade that the Connection header does not list");
  const Single version = find(raw.fields, "sec-websocket-version");
  if (version.count != 1 || version.value != "13") {
    return refuse(400, "websocket", "a WebSocket of another version than 13");
  }
  const Single key = find(raw.fields, "sec-websocket-key");
  if (key.count != 1 || !is_websocket_key(key.value)) return refuse(400, "websocket", "a malformed Sec-WebSocket-Key");
  const Single protocols = find(raw.fields, "sec-websocket-protocol");
  if (protocols.count > 1) return refuse(400, "websocket", "more than one Sec-WebSocket-Protocol");
  for (std::string_view rest = protocols.value; protocols.count == 1;) {
    const auto comma = rest.find(',');
    if (!is_token(trim_blanks(rest.substr(0, comma))))
      return refuse(400, "websocket", "a malformed Sec-WebSocket-Protocol");
    if (comma == std::string_view::npos) break;
    rest.remove_prefix(comma + 1);
  }
  return {};
}

}  // namespace

lane::Headers headers_of(const std::vector<Field>& fields) {
  lane::Headers headers;
  headers.reserve(fields.size());
  for (const Field& field : fields) {
    if (std::any_of(field.value.begin(), field.value.end(),
                    [](char c) { return static_cast<unsigned char>(c) >= 0x80; })) {
      continue;
    }
    headers.emplace_back(lower_ascii(field.name), field.value);
  }
  return headers;
}

tl::expected<RawRequest, Refusal> parse_request_head(std::string_view raw, const Limits& limits) {
  const std::string_view line = next_line(raw);
  const auto first = line.find(' ');
  const auto second = first == std::string_view::npos ? first : line.find(' ', first + 1);
  if (second == std::string_view::npos || line.find(' ', second + 1) != std::string_view::npos ||
      line.find('\t') != std::string_view::npos) {
    return refuse(400, "start-line", "a malformed request line");
  }
  RawRequest request;
  request.method = line.substr(0, first);
  request.target = line.substr(first + 1, second - first - 1);
  if (auto ok = check_version(line.substr(second + 1)); !ok) return tl::unexpected(std::move(ok).error());
  if (auto ok = check_method(request.method); !ok) return tl::unexpected(std::move(ok).error());
  if (request.target.size() > limits.target) {
    return refuse(431, "target-size", "the request target is longer than " + std::to_string(limits.target) + " bytes");
  }
  auto fields = parse_fields(raw, limits);
  if (!fields) return tl::unexpected(std::move(fields).error());
  request.fields = std::move(*fields);
  return request;
}

tl::expected<RawRequest, Refusal> parse_connect_head(std::string_view raw, const Limits& limits) {
  const std::string_view line = next_line(raw);
  constexpr std::string_view method = "CONNECT ";
  const std::string_view version = line.substr(line.size() - std::min(line.size(), std::size_t{9}));
  if (!line.starts_with(method)) {
    return refuse(405, "method",
                  "the proxy port takes CONNECT; for plain HTTP leave the proxy out: every address is the gateway");
  }
  if ((version != " HTTP/1.1" && version != " HTTP/1.0") || line.size() < method.size() + version.size() + 1) {
    return refuse(400, "start-line", "a malformed request line");
  }
  RawRequest request;
  request.method = method.substr(0, method.size() - 1);
  request.target = line.substr(method.size(), line.size() - method.size() - version.size());
  if (request.target.find_first_of(" \t") != std::string_view::npos) {
    return refuse(400, "start-line", "a malformed request line");
  }
  auto fields = parse_fields(raw, limits);
  if (!fields) return tl::unexpected(std::move(fields).error());
  request.fields = std::move(*fields);
  for (const char* name : {"content-length", "transfer-encoding", "upgrade", "expect"}) {
    if (find(request.fields, name).count > 0)
      return refuse(400, "body", "a CONNECT with a " + std::string(name) + " header");
  }
  for (const char* name : {"proxy-authorization", "authorization", "cookie"}) {
    if (find(request.fields, name).count > 0) {
      return refuse(403, "foreign-credential",
                    "a CONNECT with a " + std::string(name) + " header; the proxy wants none");
    }
  }
  const Single host = find(request.fields, "host");
  const std::string_view name = request.target.substr(0, request.target.rfind(':'));
  if (host.count > 1) return refuse(400, "host-duplicate", "more than one Host header");
  if (host.count == 1 && !same_letters(host.value, request.target) && !same_letters(host.value, name)) {
    return refuse(421, "host-mismatch", "the CONNECT target and the Host header name different hosts");
  }
  return request;
}

tl::expected<RequestHead, Refusal> judge_request_fields(const RawRequest& raw) {
  const Single host = find(raw.fields, "host");
  if (auto ok = check_host(host); !ok) return tl::unexpected(std::move(ok).error());
  if (auto ok = check_target(raw); !ok) return tl::unexpected(std::move(ok).error());
  auto body = framing(raw.fields, Side::request);
  if (!body) return tl::unexpected(std::move(body).error());

  RequestHead head;
  head.method = raw.method;
  head.target = raw.target;
  head.host = host.value;
  head.body = body->body;
  head.body_length = body->body == lane::BodyKind::length ? body->length : 0;

  const auto close = connection_lists(raw.fields, "close");
  if (!close) return refuse(400, "connection", "a malformed Connection header");
  head.keep_alive = !*close;

  if (const Single expect = find(raw.fields, "expect"); expect.count > 0) {
    if (expect.count > 1 || !same_letters(expect.value, "100-continue")) {
      return refuse(417, "expect", "an expectation other than 100-continue");
    }
    head.expect_continue = true;
  }
  if (find(raw.fields, "max-forwards").count > 0) {
    return refuse(405, "max-forwards", "Max-Forwards belongs to methods that are not available");
  }
  // Java's client offers h2c on every plain-HTTP request and goes on in HTTP/1.1 when nobody takes it up, as RFC
  // 9110 §7.8 allows; the offer is never passed on. A WebSocket has grants of its own. Any other upgrade would end in
  // an opaque stream.
  const Single upgrade = find(raw.fields, "upgrade");
  head.websocket = upgrade.count == 1 && same_letters(upgrade.value, "websocket");
  if (head.websocket) {
    if (auto ok = check_websocket(raw, *body); !ok) return tl::unexpected(std::move(ok).error());
  } else if (upgrade.count > 0 && !(upgrade.count == 1 && upgrade.value == "h2c")) {
    return refuse(501, "upgrade", "protocol upgrades other than to WebSocket are not available");
  }
  if (find(raw.fields, "http2-settings").count > upgrade.count) {
    return refuse(400, "upgrade", "HTTP2-Settings without an upgrade");
  }
  return head;
}

tl::expected<RawResponse, Refusal> parse_response_head(std::string_view raw, const Limits& limits) {
  const std::string_view line = next_line(raw);
  // "HTTP/1.x NNN reason"; Beast too wants the blank after the status, so one without is refused by both.
  const bool shaped = line.size() >= 13 && line.starts_with("HTTP/1.") && (line[7] == '0' || line[7] == '1') &&
                      line[8] == ' ' && is_digit(line[9]) && is_digit(line[10]) && is_digit(line[11]) &&
                      line[12] == ' ';
  if (!shaped) return refuse(502, "status-line", "the server's status line is malformed");
  RawResponse response;
  response.minor = line[7] - '0';
  response.status = static_cast<std::uint16_t>((line[9] - '0') * 100 + (line[10] - '0') * 10 + (line[11] - '0'));
  if (response.status < 100 || response.status > 599) {
    return refuse(502, "status-line", "the server's status is none that HTTP knows");
  }
  auto fields = parse_fields(raw, limits);
  if (!fields) return tl::unexpected(std::move(fields).error());
  response.fields = std::move(*fields);
  return response;
}

tl::expected<ResponseHead, Refusal> judge_response_fields(const RawResponse& raw, bool head_request, bool may_switch) {
  auto body = framing(raw.fields, Side::response);
  if (!body) return tl::unexpected(std::move(body).error());
  ResponseHead head;
  head.status = raw.status;
  const auto close = connection_lists(raw.fields, "close");
  if (!close) return refuse(502, "connection", "the server's Connection header is malformed");
  head.keep_alive = raw.minor == 1 && !*close;

  if (raw.status < 200) {
    if (raw.status == 101 && !(may_switch && raw.minor == 1)) {
      return refuse(502, "upgrade", "the server switched protocols, which nobody asked for");
    }
    if (body->declared) return refuse(502, "interim", "the server's interim answer declares a body");
    return head;
  }
  if (raw.minor == 0 && body->body == lane::BodyKind::streamed) {
    return refuse(502, "transfer-encoding", "the server sent Transfer-Encoding in HTTP/1.0");
  }
  if (head_request || raw.status == 204 || raw.status == 304) {
    // A 204 that declares a body may well send one: what follows on this connection is not to be trusted.
    if (raw.status == 204 && body->body != lane::BodyKind::none) head.keep_alive = false;
    if (head_request && raw.status != 204 && raw.status != 304) head.body_length = body->length;
    return head;
  }
  head.body = body->body;
  head.body_length = body->length;
  if (!body->declared) {
    head.body = lane::BodyKind::streamed;
    head.until_close = true;
    head.keep_alive = false;
  }
  return head;
}

}  // namespace bulkhead::http

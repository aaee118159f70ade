// Heads as bytes, written from our own structs. What frames a message is written here and nowhere else.
#include <array>
#include <cstdio>
#include <cstdlib>

#include "gateway/http/http.h"

namespace bulkhead::http {
namespace {

// Passed over wherever `headers` has them: each decides about framing or this one connection.
constexpr std::array<std::string_view, 11> own{
    "host",    "content-length", "transfer-encoding", "connection", "proxy-connection", "keep-alive", "trailer", "te",
    "upgrade", "expect",         "http2-settings"};

[[noreturn]] void unfit(const char* what) {
  std::fprintf(stderr, "bulkhead: http: a %s that nobody checked reached the serialiser\n", what);
  std::abort();
}

// Last line of defence against a header injected through a value: every value was checked long before.
using Bytes = std::array<bool, 256>;
constexpr Bytes without_controls_and(std::string_view others) {
  Bytes table{};
  for (std::size_t c = 0; c < table.size(); ++c) {
    table[c] = (c >= 0x20 || c == '\t') && c != 0x7f && others.find(static_cast<char>(c)) == std::string_view::npos;
  }
  return table;
}
constexpr Bytes in_value = without_controls_and(""), in_word = without_controls_and(" \t"),
                in_name = without_controls_and(" \t:");

std::string_view checked(std::string_view text, const Bytes& allowed, const char* what) {
  for (const char c : text) {
    if (!allowed[static_cast<unsigned char>(c)]) unfit(what);
  }
  return text;
}

std::string_view checked_word(std::string_view text, const char* what, const Bytes& allowed = in_word) {
  if (text.empty()) unfit(what);
  return checked(text, allowed, what);
}

void field(std::string& out, std::string_view name, std::string_view value) {
  checked_word(name, "header name", in_name);
  out.append(name).append(": ").append(checked(value, in_value, "header value")).append("\r\n");
}

void fields(std::string& out, const lane::Headers& headers) {
  for (const auto& [name, value] : headers) {
    bool skip = false;
    for (const std::string_view reserved : own) skip |= name == reserved;
    if (!skip) field(out, name, value);
  }
}

const char* phrase(std::uint16_t status) {
  switch (status) {
    case 100:
      return "Continue";
    case 200:
      return "OK";
    case 201:
      return "Created";
    case 202:
      return "Accepted";
    case 204:
      return "No Content";
    case 206:
      return "Partial Content";
    case 301:
      return "Moved Permanently";
    case 302:
      return "Found";
    case 303:
      return "See Other";
    case 304:
      return "Not Modified";
    case 307:
      return "Temporary Redirect";
    case 308:
      return "Permanent Redirect";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 406:
      return "Not Acceptable";
    case 408:
      return "Request Timeout";
    case 409:
      return "Conflict";
    case 413:
      return "Content Too Large";
    case 415:
      return "Unsupported Media Type";
    case 417:
      return "Expectation Failed";
    case 421:
      return "Misdirected Request";
    case 422:
      return "Unprocessable Content";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 502:
      return "Bad Gateway";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    case 505:
      return "HTTP Version Not Supported";
    default:
      return "";
  }
}

}  // namespace

std::string serialise_request(std::string_view method, std::string_view host_header, std::string_view target,
                              const lane::Headers& headers, lane::BodyKind body, std::uint64_t body_length) {
  std::string out;
  // Enough at once: what growing leaves behind in freed memory could be a credential.
  std::size_t size = 256 + method.size() + host_header.size() + target.size();
  for (const auto& [name, value] : headers) size += name.size() + value.size() + 4;
  out.reserve(size);
  out.append(checked_word(method, "method")).append(" ");
  out.append(checked_word(target, "target")).append(" HTTP/1.1\r\n");
  field(out, "Host", checked_word(host_header, "host"));
  fields(out, headers);
  if (body == lane::BodyKind::length) {
    field(out, "Content-Length", std::to_string(body_length));
  } else if (body == lane::BodyKind::streamed) {
    field(out, "Transfer-Encoding", "chunked");
  } else if (method == "POST" || method == "PUT" || method == "PATCH") {
    // Servers may insist on a length where a body is usual (RFC 9110 §8.6).
    field(out, "Content-Length", "0");
  }
  out.append("\r\n");
  return out;  // itself: a copy would leave the credential behind in the original
}

std::string serialise_response(std::uint16_t status, const lane::Headers& headers, lane::BodyKind body,
                               std::uint64_t body_length, bool keep_alive, bool answers_head) {
  if (status < 100 || status > 999) unfit("status");
  std::string out;
  out.reserve(512);
  out.append("HTTP/1.1 ").append(std::to_string(status)).append(" ").append(phrase(status)).append("\r\n");
  fields(out, headers);
  const bool bodiless = status < 200 || status == 204 || status == 304;
  if (bodiless) {
    if (body != lane::BodyKind::none) unfit("body on a status without one");
  } else if (body == lane::BodyKind::streamed) {
    field(out, "Transfer-Encoding", "chunked");
  } else if (body == lane::BodyKind::length || body_length > 0 || !answers_head) {
    field(out, "Content-Length", std::to_string(body_length));
  }
  if (!keep_alive) field(out, "Connection", "close");
  return out.append("\r\n");
}

std::string serialise_upgrade(std::string_view host_header, std::string_view target, const lane::Headers& headers,
                              std::string_view key) {
  std::string out = serialise_request("GET", host_header, target, headers, lane::BodyKind::none, 0);
  out.resize(out.size() - 2);  // there was room for more than what follows: nothing is copied
  field(out, "Upgrade", "websocket");
  field(out, "Connection", "Upgrade");
  field(out, "Sec-WebSocket-Version", "13");
  field(out, "Sec-WebSocket-Key", key);
  out.append("\r\n");
  return out;
}

std::string serialise_switch(std::string_view accept, std::string_view protocol) {
  std::string out = "HTTP/1.1 101 Switching Protocols\r\n";
  field(out, "Upgrade", "websocket");
  field(out, "Connection", "Upgrade");
  field(out, "Sec-WebSocket-Accept", accept);
  if (!protocol.empty()) field(out, "Sec-WebSocket-Protocol", protocol);
  return out.append("\r\n");
}

std::string chunk(std::string_view bytes) {
  if (bytes.empty()) return {};
  char size[20];
  const int length = std::snprintf(size, sizeof size, "%zx\r\n", bytes.size());
  std::string out;
  out.reserve(bytes.size() + 20);
  out.append(size, static_cast<std::size_t>(length)).append(bytes).append("\r\n");
  return out;
}

std::string last_chunk() {
  return "0\r\n\r\n";
}

}  // namespace bulkhead::http

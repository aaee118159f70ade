#include "fuzz/peers/http_peer.h"

#include <http_parser.h>

#include "base/text.h"

namespace peers {
namespace {

HttpMessage& message(http_parser* parser) {
  return *static_cast<HttpMessage*>(parser->data);
}

http_parser_settings settings() {
  http_parser_settings out;
  http_parser_settings_init(&out);
  out.on_url = [](http_parser* p, const char* at, std::size_t size) {
    message(p).target.append(at, size);
    return 0;
  };
  out.on_header_field = [](http_parser* p, const char* at, std::size_t size) {
    auto& headers = message(p).headers;
    // A field may come in pieces; a value, once begun, ends it.
    if (headers.empty() || !headers.back().second.empty()) headers.emplace_back();
    headers.back().first.append(at, size);
    return 0;
  };
  out.on_header_value = [](http_parser* p, const char* at, std::size_t size) {
    auto& headers = message(p).headers;
    if (headers.empty()) return 1;
    if (headers.back().second.empty()) headers.back().second = ":";  // it has begun, empty or not
    headers.back().second.append(at, size);
    return 0;
  };
  out.on_headers_complete = [](http_parser* p) {
    message(p).head = true;
    message(p).status = p->status_code;
    if (p->type == HTTP_REQUEST) message(p).method = http_method_str(static_cast<http_method>(p->method));
    return 0;
  };
  out.on_body = [](http_parser* p, const char* at, std::size_t size) {
    message(p).body.append(at, size);
    return 0;
  };
  out.on_message_complete = [](http_parser* p) {
    message(p).whole = true;
    http_parser_pause(p, 1);
    return 0;
  };
  return out;
}

std::optional<HttpMessage> read(http_parser_type type, std::string_view bytes, bool closed) {
  static const http_parser_settings callbacks = settings();
  HttpMessage out;
  http_parser parser;
  http_parser_init(&parser, type);
  parser.data = &out;
  out.taken = http_parser_execute(&parser, &callbacks, bytes.data(), bytes.size());
  if (closed && !out.whole && HTTP_PARSER_ERRNO(&parser) == HPE_OK) {
    (void)http_parser_execute(&parser, &callbacks, bytes.data(), 0);
  }
  if (HTTP_PARSER_ERRNO(&parser) != HPE_OK && HTTP_PARSER_ERRNO(&parser) != HPE_PAUSED) return std::nullopt;
  for (auto& [name, value] : out.headers) {
    name = bulkhead::lower_ascii(name);
    value = bulkhead::trim_blanks(value.empty() ? value : value.substr(1));
  }
  return out;
}

}  // namespace

std::optional<HttpMessage> read_request(std::string_view bytes) {
  return read(HTTP_REQUEST, bytes, false);
}

std::optional<HttpMessage> read_response(std::string_view bytes, bool closed) {
  return read(HTTP_RESPONSE, bytes, closed);
}

}  // namespace peers

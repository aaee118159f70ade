// HTTP/1 read by somebody else: http_parser, which Node's servers were built on, from Debian.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace peers {

struct HttpMessage {
  std::string method, target, body;
  int status = 0;
  std::vector<std::pair<std::string, std::string>> headers;  // names lower case, values trimmed, in order
  bool head = false, whole = false;
  std::size_t taken = 0;  // up to the message's end
};

// nullopt: it refuses.
std::optional<HttpMessage> read_request(std::string_view bytes);
std::optional<HttpMessage> read_response(std::string_view bytes, bool closed);

}  // namespace peers

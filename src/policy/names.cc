#include "policy/names.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <utility>
#include <vector>

#include "base/text.h"

namespace bulkhead {
namespace {

bool is_alnum(char c) {
  return is_lower(c) || is_upper(c) || is_digit(c);
}

template <class Predicate>
bool all_of(std::string_view text, Predicate predicate) {
  return std::all_of(text.begin(), text.end(), predicate);
}

bool has_control(std::string_view text) {
  return !all_of(text, [](char c) { return static_cast<unsigned char>(c) >= 0x20 && c != 0x7f; });
}

// RFC 9110 token characters.
bool is_token(char c) {
  return is_alnum(c) || std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}

bool is_ipv4(const std::string& text) {
  in_addr address{};
  return inet_pton(AF_INET, text.c_str(), &address) == 1;
}

// The canonical form of an IPv6 address, or empty.
std::string canonical_ipv6(const std::string& text) {
  in6_addr address{};
  if (inet_pton(AF_INET6, text.c_str(), &address) != 1) return {};
  char buffer[INET6_ADDRSTRLEN];
  return inet_ntop(AF_INET6, &address, buffer, sizeof buffer) != nullptr ? buffer : "";
}

bool is_v4_mapped(const std::string& text) {
  in6_addr address{};
  return inet_pton(AF_INET6, text.c_str(), &address) == 1 && IN6_IS_ADDR_V4MAPPED(&address);
}

Result<void> check_labels(std::string_view host) {
  if (host.size() > 253) return fail("a host name has at most 253 characters");
  for (std::size_t begin = 0; begin <= host.size();) {
    const std::string_view label = host.substr(begin, host.find('.', begin) - begin);
    begin += label.size() + 1;
    if (label.empty()) return fail(in_quotes(host) + ": empty label; write the name without leading or trailing dot");
    if (label.size() > 63) return fail(in_quotes(host) + ": a label has at most 63 characters");
    if (label.find('*') != std::string_view::npos) {
      return fail(in_quotes(host) + ": a wildcard is the whole first label, like `*.example.com`, and stands for one");
    }
    if (!all_of(label, [](char c) { return is_lower(c) || is_digit(c) || c == '-'; })) {
      return fail(in_quotes(host) + ": a host name is letters, digits, `-` and `.` (others in their xn-- form)");
    }
    if (label.front() == '-' || label.back() == '-') return fail(in_quotes(host) + ": a label begins or ends with `-`");
  }
  return {};
}

}  // namespace

std::string in_quotes(std::string_view text) {
  return '"' + escape_for_terminal(text, 100) + '"';
}

std::string suggestion(std::string_view word, const std::vector<std::string>& candidates) {
  for (std::size_t i = 0; i + 1 < word.size(); ++i) {
    std::string swapped(word);
    std::swap(swapped[i], swapped[i + 1]);
    if (std::find(candidates.begin(), candidates.end(), swapped) != candidates.end()) return swapped;
  }
  return nearest(word, candidates);
}

Result<void> check_host(std::string_view host) {
  if (host.empty()) return fail("an empty host matches nothing; name one");
  if (host.find('/') != std::string_view::npos) {
    return fail(in_quotes(host) + ": a host, not a URL; paths go into [[grant.allow]]");
  }
  if (host.find(':') != std::string_view::npos) {
    const std::string text(host);
    const std::string canonical = canonical_ipv6(text);
    if (canonical.empty()) {
      return fail(in_quotes(host) + ": no host name; a port goes into `port`, and IPv6 is written without brackets");
    }
    if (is_v4_mapped(text)) return fail(in_quotes(host) + ": write the IPv4 address itself");
    if (canonical != host) return fail(in_quotes(host) + ": write the address as " + in_quotes(canonical));
    return {};
  }
  if (std::any_of(host.begin(), host.end(), is_upper)) {
    return fail(in_quotes(host) + ": host names are written in lower case: " + in_quotes(lower_ascii(host)));
  }
  // What ends in a number is an address or nothing: "1.2.3", "0x7f.1" and the like name different
  // hosts to different parsers.
  const std::string_view last = host.substr(host.rfind('.') + 1);
  const bool numeric = !last.empty() && (all_of(last, is_digit) || last.starts_with("0x"));
  if (numeric) {
    if (!is_ipv4(std::string(host))) return fail(in_quotes(host) + ": neither a host name nor a dotted IPv4 address");
    return {};
  }
  if (host.starts_with("*.")) {
    host.remove_prefix(2);
    if (host.find('.') == std::string_view::npos) {
      return fail(in_quotes("*." + std::string(host)) +
                  ": a wildcard needs at least two labels after it, like `*.example.com`");
    }
  }
  return check_labels(host);
}

namespace {

bool is_unreserved(char c) {
  return is_alnum(c) || std::string_view("-._~").find(c) != std::string_view::npos;
}

int hex_value(char c) {
  if (is_digit(c)) return c - '0';
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;  // lower case is not the canonical form
}

Result<void> check_literal(std::string_view segment) {
  for (std::size_t i = 0; i < segment.size(); ++i) {
    const char c = segment[i];
    if (c == '*' || c == '{' || c == '}') {
      return fail(in_quotes(segment) +
                  ": `*` and `{name}` stand for a whole segment, or `{name}` for all before a `:`");
    }
    if (c == '?') return fail("a query is not part of the path: its keys go into `query`");
    if (c == '%') {
      const int high = i + 1 < segment.size() ? hex_value(segment[i + 1]) : -1;
      const int low = i + 2 < segment.size() ? hex_value(segment[i + 2]) : -1;
      if (high < 0 || low < 0) return fail(in_quotes(segment) + ": `%` is followed by two upper-case hex digits");
      const int byte = high * 16 + low;
      if (byte < 0x20 || byte == 0x7f) return fail(in_quotes(segment) + ": an encoded control character");
      if (is_unreserved(static_cast<char>(byte)) && byte < 0x80) {
        return fail(in_quotes(segment) + ": write that character itself, not percent-encoded");
      }
      i += 2;
      continue;
    }
    if (!is_unreserved(c) && std::string_view("!$&'()+,;=:@").find(c) == std::string_view::npos) {
      return fail(in_quotes(segment) + ": a character no canonical path has; percent-encode it");
    }
  }
  return {};
}

}  // namespace

bool is_address(std::string_view host) {
  const std::string text(host);
  return check_host(host) && (is_ipv4(text) || !canonical_ipv6(text).empty());
}

Result<void> check_path_template(std::string_view path) {
  if (path.empty() || path.front() != '/') {
    return fail(in_quotes(path) + ": a path starts with `/` (to allow every path of a host, say \"/**\")");
  }
  if (path.size() > 2048) return fail("a path template has at most 2048 characters");
  const std::vector<std::string> segments = split(path.substr(1), '/');
  for (std::size_t i = 0; i < segments.size(); ++i) {
    const std::string& segment = segments[i];
    const bool last = i + 1 == segments.size();
    if (segment.empty()) {
      if (!last) return fail(in_quotes(path) + ": `//` is not canonical");
      continue;
    }
    if (segment == "." || segment == "..") return fail(in_quotes(path) + ": `.` and `..` are not canonical");
    if (segment == "*") continue;
    if (segment == "**") {
      if (!last) return fail(in_quotes(path) + ": `**` stands only at the end");
      continue;
    }
    std::string_view rest = segment;
    if (const std::size_t close = rest.find('}');
        rest.starts_with('{') && close != std::string_view::npos && close > 1 &&
        all_of(rest.substr(1, close - 1), [](char c) { return is_alnum(c) || c == '_' || c == '-'; })) {
      rest.remove_prefix(close + 1);
      if (rest.empty()) continue;
      if (rest.size() < 2 || rest.front() != ':') {
        return fail(in_quotes(segment) + ": behind `{name}` stands nothing, or `:` and a function's name");
      }
      rest.remove_prefix(1);
    }
    BH_CHECK(check_literal(rest));
  }
  return {};
}

Result<void> check_package(std::string_view name) {
  const auto word = [](std::string_view text) {
    return !text.empty() && text.front() != '.' && text != "-" && all_of(text, [](char c) {
      return is_alnum(c) || std::string_view("._-~").find(c) != std::string_view::npos;
    });
  };
  std::string_view rest = name;
  const std::size_t slash = name.find('/');
  const bool scoped = name.starts_with('@') && slash != std::string_view::npos;
  if (scoped) rest.remove_prefix(slash + 1);
  if (name.size() <= 214 && word(rest) && (!scoped || word(name.substr(1, slash - 1)))) return {};
  return fail(in_quotes(name) + ": a package is a name of letters, digits, `.`, `_`, `-` and `~`, or \"@scope/name\"");
}

Result<void> check_grpc_path(std::string_view path) {
  const auto word = [](std::string_view text, bool dots) {
    return !text.empty() && text.front() != '.' && text.back() != '.' && text.find("..") == std::string_view::npos &&
           std::all_of(text.begin(), text.end(), [&](char c) {
             return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
                    (dots && c == '.');
           });
  };
  const std::size_t slash = path.find('/', 1);
  const bool shaped = path.starts_with('/') && slash != std::string_view::npos &&
                      word(path.substr(1, slash - 1), true) &&
                      (path.substr(slash + 1) == "*" || word(path.substr(slash + 1), false));
  if (shaped) return {};
  return fail(in_quotes(path) + " is no gRPC method; write \"/package.Service/Method\", or \"/package.Service/*\"");
}

Result<void> check_method(std::string_view method) {
  static const std::vector<std::string> known{"GET",     "HEAD",     "POST",      "PUT",    "PATCH", "DELETE",
                                              "OPTIONS", "PROPFIND", "PROPPATCH", "MKCOL",  "COPY",  "MOVE",
                                              "LOCK",    "UNLOCK",   "SEARCH",    "REPORT", "QUERY"};
  if (method.empty()) return fail("an empty method matches nothing; name one");
  std::string upper(method);
  for (char& c : upper) {
    if (is_lower(c)) c = static_cast<char>(c - 'a' + 'A');
  }
  if (upper == "CONNECT") return fail("CONNECT can't be granted: it would open a tunnel that nobody judges");
  if (upper == "TRACE") return fail("TRACE can't be granted: its answer repeats the request, credential included");
  const bool is_known = std::find(known.begin(), known.end(), upper) != known.end();
  if (is_known && upper != method) return fail(in_quotes(method) + ": methods are upper case: \"" + upper + '"');
  if (!is_known) {
    const std::string near = suggestion(upper, known);
    return fail(in_quotes(method) + " is no method known here" +
                (near.empty() ? "" : "; did you mean \"" + near + "\"?"));
  }
  return {};
}

Result<void> check_media_type(std::string_view type) {
  if (type.find(';') != std::string_view::npos) {
    return fail(in_quotes(type) + ": without parameters, which are not compared");
  }
  if (lower_ascii(type) != type) return fail(in_quotes(type) + ": write it in lower case");
  const std::size_t slash = type.find('/');
  const auto token = [](std::string_view text) { return !text.empty() && all_of(text, is_token); };
  if (slash == std::string_view::npos || type.size() > 127 || !token(type.substr(0, slash)) ||
      !token(type.substr(slash + 1)) || type.find('*') != std::string_view::npos) {
    return fail(in_quotes(type) + ": one media type, like \"application/json\"");
  }
  return {};
}

Result<void> check_query_key(std::string_view key) {
  if (key.empty()) return fail("an empty query key matches nothing; leave it out");
  if (key.size() > 128 || has_control(key) || key.find_first_of("&=#? +%") != std::string_view::npos) {
    return fail(in_quotes(key) +
                ": a query key is at most 128 characters without `&`, `=`, `#`, `?`, `+`, `%` and blanks");
  }
  if (key != "*" && key.find('*') != std::string_view::npos) {
    return fail(in_quotes(key) + ": `*` stands alone, for any key");
  }
  return {};
}

Result<void> check_request_header(std::string_view name) {
  if (name == "*") return {};
  const std::string_view start = name.ends_with('*') ? name.substr(0, name.size() - 1) : name;
  if (start.empty() || name.size() > 128 || !all_of(start, is_token) || start.find('*') != std::string_view::npos) {
    return fail(in_quotes(name) + " is no header name; write it out, or its start and `*`, e.g. \"x-app-*\"");
  }
  if (lower_ascii(start) != start) return fail(in_quotes(name) + ": header names are written in lower case");
  return {};
}

Result<void> check_query_entry(std::string_view entry) {
  const std::size_t equals = entry.find('=');
  if (equals == std::string_view::npos) return check_query_key(entry);
  const std::string_view key = entry.substr(0, equals);
  const std::string_view value = entry.substr(equals + 1);
  if (key == "*") return fail(in_quotes(entry) + ": a value belongs to one key, not to any");
  BH_CHECK(check_query_key(key));
  if (value.size() > 1024 || has_control(value) || value.find('%') != std::string_view::npos) {
    return fail(in_quotes(entry) + ": a value is at most 1024 characters, written decoded, without `%`");
  }
  if (value.find('*') < value.size() - 1) {
    return fail(in_quotes(entry) + ": `*` stands for the rest of a value, at its end only");
  }
  return {};
}

Result<std::string> check_carrier_header(std::string_view name) {
  if (name.empty() || name.size() > 64 || !all_of(name, is_token)) return fail(in_quotes(name) + " is no header name");
  std::string lower = lower_ascii(name);
  static const std::vector<std::string> never{"host",         "content-length",   "transfer-encoding",
                                              "connection",   "keep-alive",       "te",
                                              "trailer",      "upgrade",          "expect",
                                              "content-type", "content-encoding", "cookie",
                                              "set-cookie",   "forwarded",        "via",
                                              "range",        "accept",           "user-agent",
                                              "referer",      "origin",           "accept-encoding",
                                              "location"};
  if (std::find(never.begin(), never.end(), lower) != never.end() || lower.starts_with("proxy-") ||
      lower.starts_with("x-forwarded-") || lower.starts_with("sec-")) {
    return fail(in_quotes(name) + ": that header can't carry a credential");
  }
  return lower;
}

Result<void> check_variable(std::string_view name) {
  if (name.empty() || is_digit(name.front()) || name.size() > 128 ||
      !all_of(name, [](char c) { return is_alnum(c) || c == '_'; })) {
    return fail(in_quotes(name) + ": a variable's name is letters, digits and `_`, and starts with no digit");
  }
  return {};
}

Result<void> check_name(std::string_view name) {
  if (name.empty() || name.size() > 64 || name.front() == '-' ||
      !all_of(name, [](char c) { return is_lower(c) || is_digit(c) || c == '-'; })) {
    return fail(in_quotes(name) + ": a name is a-z, 0-9 and `-`, at most 64 characters");
  }
  return {};
}

Result<void> check_path(std::string_view path) {
  if (path.empty()) return fail("an empty path");
  if (path.size() > 4095) return fail("a path has at most 4095 bytes");
  if (has_control(path)) return fail(in_quotes(path) + ": a control character in a path");
  if (path.front() == '~' && path != "~" && !path.starts_with("~/")) {
    return fail(in_quotes(path) + ": `~` is your own home folder only; write other people's as absolute paths");
  }
  return {};
}

Result<void> check_inner_path(std::string_view path) {
  if (path.empty()) return fail("an empty name");
  if (path.size() > 4095 || has_control(path)) return fail(in_quotes(path) + ": not a usable path");
  if (path.front() == '/' || path.front() == '~') return fail(in_quotes(path) + ": written relative to the mount");
  for (const std::string& part : split(path, '/')) {
    if (part.empty() || part == "." || part == "..") return fail(in_quotes(path) + ": no empty part, no `.`, no `..`");
  }
  return {};
}

Result<void> check_control_pattern(std::string_view text) {
  BH_CHECK(check_inner_path(text));
  const std::vector<std::string> names = split(text, '/');
  for (const std::string& name : names) {
    if (name.find("**") == std::string::npos) continue;
    if (name != "**") return fail(in_quotes(text) + ": `**` is a name of its own");
    if (&name == &names.front())
      return fail(in_quotes(text) + ": it holds at any depth by itself, without a leading `**`");
  }
  return {};
}

Result<void> check_dns_server(std::string_view server) {
  const auto bad = [&] {
    return fail(in_quotes(server) +
                ": a DNS server is an address with or without port, like \"9.9.9.9\" or "
                "\"[2620:fe::fe]:53\"");
  };
  std::string address(server), port;
  if (server.starts_with("[")) {
    const std::size_t close = server.find("]:");
    if (close == std::string_view::npos) return bad();
    address = server.substr(1, close - 1);
    port = server.substr(close + 2);
    if (canonical_ipv6(address).empty() || port.empty()) return bad();
  } else if (std::count(server.begin(), server.end(), ':') == 1) {
    const std::size_t colon = server.find(':');
    address = server.substr(0, colon);
    port = server.substr(colon + 1);
    if (port.empty()) return bad();
  }
  if (!is_ipv4(address) && canonical_ipv6(address).empty()) return bad();
  if (!port.empty()) {
    std::uint16_t number = 0;
    const auto [rest, error] = std::from_chars(port.data(), port.data() + port.size(), number);
    if (error != std::errc{} || rest != port.data() + port.size() || number == 0) return bad();
  }
  return {};
}

}  // namespace bulkhead

#include "gateway/grant/target.h"

#include <algorithm>
#include <array>
#include <optional>

#include "base/text.h"
#include "policy/names.h"

namespace bulkhead::grant {
namespace {

// RFC 3986 unreserved, sub-delims without `;`, `:` and `@`. A `;` begins parameters of a segment or
// a query pair in some servers and is plain text in others.
constexpr auto path_characters = [] {
  std::array<bool, 256> table{};
  for (unsigned char c = 'a'; c <= 'z'; ++c) table[c] = true;
  for (unsigned char c = 'A'; c <= 'Z'; ++c) table[c] = true;
  for (unsigned char c = '0'; c <= '9'; ++c) table[c] = true;
  for (const unsigned char c : std::string_view("-._~!$&'()*+,=:@")) table[c] = true;
  return table;
}();

constexpr bool is_unreserved(unsigned char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
         c == '_' || c == '~';
}

int hex(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

// The byte behind a `%`, or -1 where there is none that a canonical target may hold.
int escaped(std::string_view text, std::size_t at) {
  const int high = at + 2 < text.size() ? hex(text[at + 1]) : -1;
  const int low = at + 2 < text.size() ? hex(text[at + 2]) : -1;
  if (high < 0 || low < 0) return -1;
  const int byte = high * 16 + low;
  if (byte < 0x20 || byte == 0x7f || is_unreserved(static_cast<unsigned char>(byte))) return -1;
  return byte;
}

tl::unexpected<NotCanonical> refuse(std::string text) {
  return tl::unexpected(NotCanonical{std::move(text)});
}

tl::expected<void, NotCanonical> check_segment(std::string_view segment) {
  if (segment == "." || segment == "..") return refuse("`.` or `..` in the path");
  std::string bytes;  // what is encoded, with the text between; filled only when there is any
  for (std::size_t i = 0; i < segment.size(); ++i) {
    if (segment[i] == '%') {
      const int byte = escaped(segment, i);
      if (byte < 0) return refuse("a percent-encoding in the path that is malformed or needless");
      if (byte == '\\') return refuse("an encoded backslash in the path");
      // Decoded once more by a careless server, this would be another path.
      if (byte == '%' && i + 4 < segment.size() && hex(segment[i + 3]) >= 0 && hex(segment[i + 4]) >= 0) {
        return refuse("a path that is percent-encoded twice");
      }
      if (bytes.empty()) bytes = segment.substr(0, i);
      bytes += static_cast<char>(byte);
      i += 2;
    } else if (!path_characters[static_cast<unsigned char>(segment[i])]) {
      return refuse("a character in the path that no canonical path has");
    } else if (!bytes.empty()) {
      bytes += segment[i];
    }
  }
  // An overlong encoding of `.` or `/` (%c0%ae, %c0%af) is one of them to a careless decoder.
  if (!valid_utf8(bytes)) return refuse("percent-encoded bytes in the path that are no UTF-8");
  return {};
}

bool has_encoded_slash(std::string_view segment) {
  const auto at = segment.find("%2");
  if (at == std::string_view::npos) return false;
  for (std::size_t i = at; i + 2 < segment.size(); ++i) {
    if (segment[i] == '%' && segment[i + 1] == '2' && (segment[i + 2] == 'f' || segment[i + 2] == 'F')) return true;
  }
  return false;
}

// `@scope%2fname`, as npm asks for packages of a scope.
bool is_scoped_package(std::string_view segment) {
  const auto at = segment.find('%');
  if (segment.front() != '@' || at == std::string_view::npos || at < 2 || at + 3 >= segment.size()) return false;
  const std::string_view name = segment.substr(at + 3);
  return has_encoded_slash(segment.substr(at, 3)) && name != "." && name != ".." &&
         name.find('%') == std::string_view::npos;
}

tl::expected<std::string, NotCanonical> decoded_key(std::string_view key) {
  if (key.empty()) return refuse("an empty key in the query");
  std::string out;
  for (std::size_t i = 0; i < key.size(); ++i) {
    if (key[i] == '%') {
      const int byte = escaped(key, i);
      if (byte < 0 || byte == '%') return refuse("a percent-encoding in a query key that is malformed or needless");
      out += static_cast<char>(byte);
      i += 2;
    } else {
      out += key[i] == '+' ? ' ' : key[i];
    }
  }
  return out;
}

tl::expected<void, NotCanonical> read_query(std::string_view query, Target& out) {
  out.has_query = true;
  if (query.empty()) return refuse("an empty query");
  for (std::size_t i = 0; i < query.size(); ++i) {
    const auto c = static_cast<unsigned char>(query[i]);
    if (c == '%') {
      const int high = i + 2 < query.size() ? hex(query[i + 1]) : -1;
      const int low = i + 2 < query.size() ? hex(query[i + 2]) : -1;
      if (high < 0 || low < 0) return refuse("a malformed percent-encoding in the query");
    } else if (!path_characters[c] && c != '/' && c != '?' && c != '[' && c != ']') {
      return refuse("a character in the query that no canonical query has");
    }
  }
  for (std::size_t begin = 0; begin <= query.size();) {
    const std::size_t end = std::min(query.find('&', begin), query.size());
    const std::string_view pair = query.substr(begin, end - begin);
    const std::size_t equals = std::min(pair.find('='), pair.size());
    auto key = decoded_key(pair.substr(0, equals));
    if (!key) return tl::unexpected(std::move(key).error());
    out.query_keys.push_back(std::move(*key));
    out.query_values.push_back(pair.substr(std::min(equals + 1, pair.size())));
    begin = end + 1;
  }
  return {};
}

// Exact but for the case of percent-encodings, which means nothing.
bool same_segment(std::string_view wanted, std::string_view segment) {
  if (wanted.size() != segment.size()) return false;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    if (wanted[i] == segment[i]) continue;
    const bool digit = (i >= 1 && wanted[i - 1] == '%') || (i >= 2 && wanted[i - 2] == '%');
    if (!digit || hex(wanted[i]) != hex(segment[i])) return false;
  }
  return true;
}

bool segment_matches(std::string_view wanted, std::string_view segment) {
  const std::size_t close = wanted.starts_with('{') ? wanted.find('}') : std::string_view::npos;
  if (wanted != "*" && close == std::string_view::npos) return same_segment(wanted, segment);
  if (close != std::string_view::npos && close + 1 < wanted.size()) {  // `{name}:verb`
    const std::string_view verb = wanted.substr(close + 1);
    if (!segment.ends_with(verb)) return false;
    segment.remove_suffix(verb.size());
    if (segment.find(':') != std::string_view::npos || segment.find("%3") != std::string_view::npos) return false;
    wanted = wanted.substr(0, close + 1);
  }
  if (segment.empty()) return false;
  if (wanted == "{package}" && segment == "-") return false;
  if (wanted == "{scope}" && (segment.size() < 2 || segment.front() != '@')) return false;
  return !has_encoded_slash(segment) || (wanted == "{package}" && is_scoped_package(segment));
}

// The value as the server reads it; none where servers could disagree about that.
std::optional<std::string> decoded_value(std::string_view value) {
  std::string out;
  for (std::size_t i = 0; i < value.size(); ++i) {
    if (value[i] == '+') return std::nullopt;  // a blank to some, itself to others
    if (value[i] != '%') {
      out += value[i];
      continue;
    }
    const int byte = hex(value[i + 1]) * 16 + hex(value[i + 2]);  // read_query() has seen both
    if (byte < 0x20 || byte == 0x7f || byte == '%') return std::nullopt;
    out += static_cast<char>(byte);
    i += 2;
  }
  if (!valid_utf8(out)) return std::nullopt;
  return out;
}

bool value_matches(std::string_view wanted, std::string_view value) {
  if (!wanted.ends_with('*')) return wanted == value;
  wanted.remove_suffix(1);
  if (!value.starts_with(wanted)) return false;
  // `a/*` is not to be left again.
  for (const std::string& part : split(value.substr(wanted.size()), '/')) {
    if (part == "." || part == "..") return false;
  }
  return true;
}

// Is `key` there, exactly once, with a value that `allowed` lists for it?
bool has_value(const std::vector<std::string>& allowed, std::string_view key, const Target& target) {
  std::optional<std::string> value;
  std::size_t count = 0;
  for (std::size_t i = 0; i < target.query_keys.size(); ++i) {
    if (target.query_keys[i] != key) continue;
    ++count;
    value = decoded_value(target.query_values[i]);
  }
  if (count != 1 || !value) return false;
  return std::any_of(allowed.begin(), allowed.end(), [&](std::string_view entry) {
    const std::size_t equals = entry.find('=');
    return equals != std::string_view::npos && entry.substr(0, equals) == key &&
           value_matches(entry.substr(equals + 1), *value);
  });
}

std::string values_of(const std::vector<std::string>& allowed, std::string_view key) {
  std::vector<std::string> entries;
  for (const std::string& entry : allowed) {
    if (entry.starts_with(std::string(key) + "=")) entries.push_back(escape_for_terminal(entry, 100));
  }
  return join(entries, ", ");
}

}  // namespace

tl::expected<Target, NotCanonical> split_target(std::string_view target) {
  if (target.empty() || target.front() != '/') return refuse("a request target that does not start with `/`");
  Target out;
  const std::size_t mark = target.find('?');
  out.path = target.substr(0, mark);
  for (std::size_t begin = 1;;) {
    const std::size_t end = std::min(out.path.find('/', begin), out.path.size());
    const std::string_view segment = out.path.substr(begin, end - begin);
    const bool last = end == out.path.size();
    if (segment.empty() && !last) return refuse("`//` in the path");
    if (auto ok = check_segment(segment); !ok) return tl::unexpected(std::move(ok).error());
    out.segments.push_back(segment);
    if (last) break;
    begin = end + 1;
  }
  if (mark != std::string_view::npos) {
    if (auto ok = read_query(target.substr(mark + 1), out); !ok) return tl::unexpected(std::move(ok).error());
  }
  return out;
}

bool path_matches(std::string_view path_template, const Target& target) {
  if (path_template.empty() || path_template.front() != '/') return false;
  std::size_t i = 0;
  for (std::size_t begin = 1;;) {
    const std::size_t end = std::min(path_template.find('/', begin), path_template.size());
    const std::string_view wanted = path_template.substr(begin, end - begin);
    if (wanted == "**") {
      return std::none_of(target.segments.begin() + static_cast<std::ptrdiff_t>(i), target.segments.end(),
                          has_encoded_slash);
    }
    if (i == target.segments.size()) return false;
    if (!segment_matches(wanted, target.segments[i++])) return false;
    if (end == path_template.size()) return i == target.segments.size();
    begin = end + 1;
  }
}

std::string package_in(std::string_view path_template, const Target& target) {
  const std::vector<std::string> wanted =
      split(path_template.substr(std::min<std::size_t>(1, path_template.size())), '/');
  for (std::size_t i = 0; i < wanted.size() && i < target.segments.size(); ++i) {
    if (wanted[i] != "{package}") continue;
    std::string out;
    if (i > 0 && wanted[i - 1] == "{scope}") out = std::string(target.segments[i - 1]) + "/";
    out += target.segments[i];
    if (const std::size_t slash = out.find('%'); slash != std::string::npos) out.replace(slash, 3, "/");
    return lower_ascii(out);
  }
  return {};
}

bool query_matches(const std::vector<std::string>& allowed, const Target& target) {
  return query_mismatch(allowed, target).empty();
}

std::string query_mismatch(const std::vector<std::string>& allowed, const Target& target) {
  if (allowed.size() == 1 && allowed.front() == "*") return {};
  std::string unknown;
  for (const std::string& key : target.query_keys) {
    const bool known = std::any_of(allowed.begin(), allowed.end(),
                                   [&](std::string_view entry) { return entry.substr(0, entry.find('=')) == key; });
    if (!known) unknown += (unknown.empty() ? "" : ", ") + escape_for_terminal(key, 60);
  }
  if (!unknown.empty()) return "allows no query key " + unknown;
  for (const std::string_view entry : allowed) {
    const std::size_t equals = entry.find('=');
    if (equals == std::string_view::npos) continue;
    const std::string_view key = entry.substr(0, equals);
    if (!has_value(allowed, key, target)) {
      return "wants \"" + escape_for_terminal(key, 60) +
             "\" in the query once, as it lists it: " + values_of(allowed, key);
    }
  }
  return {};
}

std::string template_for(const Target& target) {
  std::string out;
  for (const std::string_view segment : target.segments) {
    out += '/';
    const bool literal = segment.empty() || check_path_template("/" + std::string(segment));
    // What is a wildcard in a template is plain text in a request: `/**` must not become one.
    out += literal && segment.find('*') == std::string_view::npos && !segment.starts_with('{') ? segment : "*";
  }
  return out;
}

}  // namespace bulkhead::grant

// Text that may come from inside a boundary, made safe for people to read; and the little that is done to text
// everywhere.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead {

// Control characters, DEL, C1, bidi overrides and isolates, zero-width characters and invalid UTF-8 become
// \xNN or \u{NNNN}; everything else stays. What comes out can't move a cursor, forge a line or hide text
// (Trojan Source, CVE-2021-42574). Cut to `limit` bytes of input with "…" when longer.
std::string escape_for_terminal(std::string_view text, std::size_t limit = 1024);

// "did you mean": the candidate nearest to `word` (Levenshtein, at most a third of its length), or empty.
std::string nearest(std::string_view word, const std::vector<std::string>& candidates);

std::string join(const std::vector<std::string>& parts, std::string_view separator);
std::vector<std::string> split(std::string_view text, char separator);
std::string lower_ascii(std::string_view text);
std::string_view trim_blanks(std::string_view text);  // spaces and tabs, at both ends
std::string hex(std::string_view bytes, std::string_view digits = "0123456789abcdef");
// The bytes that hex() made this of; nullopt: it made no such thing.
std::optional<std::string> unhex(std::string_view text);

// ASCII, whatever the locale.
constexpr bool is_lower(char c) {
  return c >= 'a' && c <= 'z';
}
constexpr bool is_upper(char c) {
  return c >= 'A' && c <= 'Z';
}
constexpr bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

// Is this well-formed UTF-8 (RFC 3629: no overlongs, no surrogates)?
bool valid_utf8(std::string_view text);

}  // namespace bulkhead

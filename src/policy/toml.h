// TOML text -> a small tree of our own. The parser (toml++ 3.3.0) stays inside toml.cc, because it
// is heavy to compile and needs its own care: it aborts on `[= 1]` when its assertions are on, and
// it overflows the stack on 40,000 dotted keys. So text is judged before it gets that far: at most
// max_toml_bytes, valid UTF-8, no NUL, at most max_toml_dots dots on a line (strings and comments
// count too: telling them apart would be parsing).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace bulkhead {

inline constexpr std::size_t max_toml_bytes = 256 * 1024;
inline constexpr std::size_t max_toml_dots = 200;

struct TomlEntry;

struct TomlValue {
  enum class Type { string, integer, real, boolean, date, array, table };
  Type type = Type::table;
  int line = 0;  // from 1
  std::string string;
  std::int64_t integer = 0;
  bool boolean = false;
  std::vector<TomlValue> items;    // array
  std::vector<TomlEntry> entries;  // table, sorted by key
};

struct TomlEntry {
  std::string key;
  int line = 0;
  TomlValue value;
};

// `name` is what errors call the text: "NAME:LINE: what". Never throws, never aborts.
Result<TomlValue> parse_toml(std::string_view text, const std::string& name);

// "a string", "an integer", …
const char* name_of(TomlValue::Type type);

// `text` as a TOML basic string, quotes included; whatever escape_for_terminal would escape becomes
// \uXXXX, so that it is safe to show and still reads back as the same string. `text` must be valid
// UTF-8.
std::string toml_string(std::string_view text);
std::string toml_list(const std::vector<std::string>& words);  // ["a", "b"]

}  // namespace bulkhead

// TOML that is read is the same to a parser that is not ours: toml11, from Debian.
#include <cstddef>
#include <cstdint>
#include <sstream>
#include <string>
#include <string_view>
#include <toml.hpp>

#include "fuzz/peers/expect.h"
#include "policy/toml.h"

namespace {
using bulkhead::TomlValue;

// TOML lets a reader write line ends inside a text as it likes.
std::string with_plain_line_ends(std::string text) {
  for (std::size_t at = 0; (at = text.find("\r\n", at)) != std::string::npos;) text.erase(at, 1);
  return text;
}

void same(const TomlValue& ours, const toml::value& theirs) {
  switch (ours.type) {
    case TomlValue::Type::table:
      expect(theirs.is_table() && theirs.as_table().size() == ours.entries.size());
      for (const auto& entry : ours.entries) {
        expect(theirs.contains(entry.key));
        same(entry.value, theirs.at(entry.key));
      }
      break;
    case TomlValue::Type::array:
      expect(theirs.is_array() && theirs.as_array().size() == ours.items.size());
      for (std::size_t i = 0; i < ours.items.size(); ++i) same(ours.items[i], theirs.as_array()[i]);
      break;
    case TomlValue::Type::string:
      expect(theirs.is_string() && with_plain_line_ends(theirs.as_string().str) == with_plain_line_ends(ours.string));
      break;
    case TomlValue::Type::integer:
      expect(theirs.is_integer() && theirs.as_integer() == ours.integer);
      break;
    case TomlValue::Type::boolean:
      expect(theirs.is_boolean() && theirs.as_boolean() == ours.boolean);
      break;
    case TomlValue::Type::real:
      expect(theirs.is_floating());
      break;
    case TomlValue::Type::date:
      break;  // no key of ours takes one
  }
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  const auto ours = bulkhead::parse_toml(text, "f");
  if (!ours) return 0;
  try {
    std::istringstream stream(text);
    same(*ours, toml::parse(stream, "f"));
  } catch (const std::exception&) {
    // It refuses more than it has to.
  }
  return 0;
}

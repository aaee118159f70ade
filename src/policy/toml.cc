#include "policy/toml.h"

// NDEBUG would turn the parser's assertions into assumptions, and a wrong assumption is undefined
// behaviour. Without it, and with TOML_ASSERT empty, they are nothing at all.
#undef NDEBUG
#define TOML_ASSERT(expression) static_cast<void>(0)
#define TOML_MAX_NESTED_VALUES 24
#define TOML_ENABLE_FORMATTERS 0
#define TOML_ENABLE_WINDOWS_COMPAT 0
#include <toml++/toml.h>

#include <algorithm>
#include <cstdio>
#include <exception>

#include "base/text.h"
#include "policy/shipped_toml.h"

namespace bulkhead {
namespace {

std::string at(const std::string& name, std::size_t line) {
  return name + ":" + std::to_string(line) + ": ";
}

// What the parser must never see.
Result<void> judge_text(std::string_view text, const std::string& name) {
  if (text.size() > max_toml_bytes) {
    return fail(name + ": larger than " + std::to_string(max_toml_bytes / 1024) + " KiB, so it is not read");
  }
  std::size_t line = 1, dots = 0, start = 0;
  const auto line_is_utf8 = [&](std::size_t end) { return valid_utf8(text.substr(start, end - start)); };
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\0') return fail(at(name, line) + "holds a NUL byte: not a text file");
    if (text[i] == '.' && ++dots > max_toml_dots) {
      return fail(at(name, line) + "more than " + std::to_string(max_toml_dots) +
                  " dots on one line; break it into several");
    }
    if (text[i] == '\n') {
      if (!line_is_utf8(i)) return fail(at(name, line) + "not valid UTF-8");
      ++line;
      dots = 0;
      start = i + 1;
    }
  }
  if (!line_is_utf8(text.size())) return fail(at(name, line) + "not valid UTF-8");
  return {};
}

TomlValue convert(const toml::node& node, int inherited_line) {
  TomlValue out;
  // Tables that a dotted key made carry no position of their own.
  out.line = node.source().begin.line != 0 ? static_cast<int>(node.source().begin.line) : inherited_line;
  switch (node.type()) {
    case toml::node_type::string:
      out.type = TomlValue::Type::string;
      out.string = **node.as_string();
      break;
    case toml::node_type::integer:
      out.type = TomlValue::Type::integer;
      out.integer = **node.as_integer();
      break;
    case toml::node_type::floating_point:
      out.type = TomlValue::Type::real;
      break;
    case toml::node_type::boolean:
      out.type = TomlValue::Type::boolean;
      out.boolean = **node.as_boolean();
      break;
    case toml::node_type::array:
      out.type = TomlValue::Type::array;
      for (const toml::node& item : *node.as_array()) out.items.push_back(convert(item, out.line));
      break;
    case toml::node_type::table:
      out.type = TomlValue::Type::table;
      for (const auto& [key, value] : *node.as_table()) {
        const int line = key.source().begin.line != 0 ? static_cast<int>(key.source().begin.line) : out.line;
        out.entries.push_back({std::string(key.str()), line, convert(value, line)});
      }
      break;
    default:  // dates and times, of which a policy has none
      out.type = TomlValue::Type::date;
      break;
  }
  return out;
}

}  // namespace

Result<TomlValue> parse_toml(std::string_view text, const std::string& name) {
#ifndef BULKHEAD_MAKES_SHIPPED_TOML
  if (auto known = shipped_toml(text)) return std::move(*known);
#endif
  BH_CHECK(judge_text(text, name));
  try {
    const toml::table table = toml::parse(text);
    return convert(table, 1);
  } catch (const toml::parse_error& error) {
    const std::size_t line = std::max<std::size_t>(1, error.source().begin.line);
    return fail(at(name, line) + escape_for_terminal(error.description()));
  } catch (const std::exception& error) {
    return fail(name + ": can't be read as TOML: " + escape_for_terminal(error.what()));
  }
}

const char* name_of(TomlValue::Type type) {
  switch (type) {
    case TomlValue::Type::string:
      return "a string";
    case TomlValue::Type::integer:
      return "an integer";
    case TomlValue::Type::real:
      return "a fraction";
    case TomlValue::Type::boolean:
      return "true or false";
    case TomlValue::Type::date:
      return "a date";
    case TomlValue::Type::array:
      return "an array";
    case TomlValue::Type::table:
      return "a table";
  }
  return "?";
}

std::string toml_string(std::string_view text) {
  std::string out = "\"";
  for (std::size_t i = 0; i < text.size();) {
    const auto lead = static_cast<unsigned char>(text[i]);
    const std::size_t length = std::min<std::size_t>(lead >= 0xf0   ? 4
                                                     : lead >= 0xe0 ? 3
                                                     : lead >= 0xc0 ? 2
                                                                    : 1,
                                                     text.size() - i);
    const std::string_view one = text.substr(i, length);
    if (one == "\"" || one == "\\") {
      out += '\\';
      out += one;
    } else if (escape_for_terminal(one) != one) {
      std::uint32_t point = length == 1 ? lead : lead & (0xffU >> (length + 1));
      for (std::size_t k = 1; k < length; ++k) {
        point = (point << 6) | (static_cast<unsigned char>(one[k]) & 0x3fU);
      }
      char buffer[16];
      std::snprintf(buffer, sizeof buffer, point > 0xffff ? "\\U%08x" : "\\u%04x", point);
      out += buffer;
    } else {
      out += one;
    }
    i += length;
  }
  return out + "\"";
}

std::string toml_list(const std::vector<std::string>& words) {
  std::vector<std::string> quoted;
  for (const std::string& word : words) quoted.push_back(toml_string(word));
  return "[" + join(quoted, ", ") + "]";
}

}  // namespace bulkhead

#include "policy/shipped_toml.h"

namespace bulkhead {
namespace {

void put_number(std::string& out, std::uint64_t number) {
  for (; number >= 0x80; number >>= 7) out += static_cast<char>(0x80 | (number & 0x7f));
  out += static_cast<char>(number);
}

void put_text(std::string& out, std::string_view text) {
  put_number(out, text.size());
  out += text;
}

void put(std::string& out, const TomlValue& value) {
  out += static_cast<char>(value.type);
  put_number(out, static_cast<std::uint64_t>(value.line));
  switch (value.type) {
    case TomlValue::Type::string:
      return put_text(out, value.string);
    case TomlValue::Type::integer:
      return put_number(out, static_cast<std::uint64_t>(value.integer));
    case TomlValue::Type::boolean:
      return put_number(out, value.boolean ? 1 : 0);
    case TomlValue::Type::array:
      put_number(out, value.items.size());
      for (const TomlValue& item : value.items) put(out, item);
      return;
    case TomlValue::Type::table:
      put_number(out, value.entries.size());
      for (const TomlEntry& entry : value.entries) {
        put_text(out, entry.key);
        put_number(out, static_cast<std::uint64_t>(entry.line));
        put(out, entry.value);
      }
      return;
    case TomlValue::Type::real:
    case TomlValue::Type::date:
      return;
  }
}

class Reader {
 public:
  explicit Reader(std::string_view bytes) : bytes_(bytes) {}

  std::uint64_t number() {
    std::uint64_t out = 0;
    for (int shift = 0;; shift += 7) {
      const auto byte = static_cast<unsigned char>(bytes_.at(at_++));
      out |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
      if (byte < 0x80) return out;
    }
  }

  std::string text() {
    const std::size_t size = number();
    const std::string_view out = bytes_.substr(at_, size);
    at_ += size;
    return std::string(out);
  }

  TomlValue value() {
    TomlValue out;
    out.type = static_cast<TomlValue::Type>(bytes_.at(at_++));
    out.line = static_cast<int>(number());
    switch (out.type) {
      case TomlValue::Type::string:
        out.string = text();
        break;
      case TomlValue::Type::integer:
        out.integer = static_cast<std::int64_t>(number());
        break;
      case TomlValue::Type::boolean:
        out.boolean = number() != 0;
        break;
      case TomlValue::Type::array:
        for (std::size_t left = number(); left > 0; --left) out.items.push_back(value());
        break;
      case TomlValue::Type::table:
        for (std::size_t left = number(); left > 0; --left) {
          std::string key = text();
          const int line = static_cast<int>(number());
          out.entries.push_back({std::move(key), line, value()});
        }
        break;
      case TomlValue::Type::real:
      case TomlValue::Type::date:
        break;
    }
    return out;
  }

 private:
  std::string_view bytes_;
  std::size_t at_ = 0;
};

}  // namespace

std::string pack_toml(const TomlValue& value) {
  std::string out;
  put(out, value);
  return out;
}

TomlValue unpack_toml(std::string_view bytes) {
  return Reader(bytes).value();
}

}  // namespace bulkhead

// An event as JSON, written while its fields are said: for what is recorded of every request. To build a tree of it
// first costs more than all the rest of the record.
#pragma once

#include <algorithm>
#include <charconv>
#include <concepts>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "evidence/limits.h"

namespace bulkhead::evidence {

// Appends `text` as a JSON string. Plain ASCII stands for itself; everything else the JSON library writes, U+FFFD for
// what is no UTF-8.
void append_text(std::string& out, std::string_view text);

// A name as this program writes it, which needs no escaping: known when it is compiled.
struct Name {
  consteval Name(const char* name) : text(name) {  // NOLINT(google-explicit-constructor): a literal is one
    const auto plain = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '.'; };
    if (text.empty() || !std::ranges::all_of(text, plain)) throw "no plain name";
  }
  std::string_view text;
};

// `"a":1,"b":"x"`: what stands between an object's braces.
class Fields {
 public:
  Fields& add(Name name, std::string_view value) {
    append_text(begin(name), value);
    return *this;
  }
  template <std::integral T>
  Fields& add(Name name, T value) {
    std::string& out = begin(name);
    if constexpr (std::same_as<T, bool>) {
      out += value ? "true" : "false";
    } else {
      char digits[24];
      out.append(digits, std::to_chars(digits, digits + sizeof digits, value).ptr);
    }
    return *this;
  }
  Fields& add(Name name, std::span<const std::string_view> values) {
    std::string& out = begin(name);
    char before = '[';
    for (const std::string_view value : values) {
      out += std::exchange(before, ',');
      append_text(out, value);
    }
    out += values.empty() ? "[]" : "]";
    return *this;
  }

  std::string_view text() const { return text_; }
  void reserve(std::size_t size) { text_.reserve(size); }

 private:
  std::string& begin(Name name) {
    if (!text_.empty()) text_ += ',';
    return text_.append("\"").append(name.text).append("\":");
  }
  std::string text_;
};

class Event {
 public:
  // Of an event's own field: none that only the writer sets.
  struct Key : Name {
    consteval Key(const char* name) : Name(name) {  // NOLINT(google-explicit-constructor)
      if (std::ranges::find(reserved_keys, text) != reserved_keys.end()) throw "a reserved key";
    }
  };

  explicit Event(Name type) : type_(type.text) { fields_.reserve(512); }  // most fit
  template <class T>
  Event& add(Key key, const T& value) {
    fields_.add(key, value);
    return *this;
  }

  std::string_view type() const { return type_; }
  std::string_view fields() const { return fields_.text(); }

 private:
  std::string_view type_;
  Fields fields_;
};

}  // namespace bulkhead::evidence

// How messages between the two sides of the boundary are written down: little-endian numbers, and strings as their
// length and bytes, without NUL.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead::shim {

class Writer {
 public:
  void number(std::uint64_t value, int bytes = 4) {
    for (int i = 0; i < bytes; ++i) out.push_back(static_cast<char>((value >> (8 * i)) & 0xff));
  }
  void string(std::string_view text) {
    number(text.size());
    out.append(text);
  }
  void strings(const std::vector<std::string>& list) {
    number(list.size());
    for (const std::string& s : list) string(s);
  }
  void devices(const std::vector<std::uint64_t>& list) {
    number(list.size());
    for (const std::uint64_t device : list) number(device, 8);
  }
  std::string out;
};

// Never reads past the end; the first mistake makes every later answer empty and ok() false.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : rest_(bytes) {}

  std::uint64_t wide(int bytes) {
    if (rest_.size() < static_cast<std::size_t>(bytes)) return bad();
    std::uint64_t value = 0;
    for (int i = 0; i < bytes; ++i) {
      value |= static_cast<std::uint64_t>(static_cast<unsigned char>(rest_[static_cast<std::size_t>(i)])) << (8 * i);
    }
    rest_.remove_prefix(static_cast<std::size_t>(bytes));
    return value;
  }
  std::uint32_t number() { return static_cast<std::uint32_t>(wide(4)); }
  int number_up_to(int most) {
    const std::uint32_t value = number();
    return value <= static_cast<std::uint32_t>(most) ? static_cast<int>(value) : static_cast<int>(bad());
  }
  bool boolean() {
    const std::uint64_t value = wide(1);
    if (value > 1) bad();
    return value == 1;
  }
  std::string string() {
    const std::uint32_t size = number();
    if (size > rest_.size()) {
      bad();
      return {};
    }
    std::string text(rest_.substr(0, size));
    rest_.remove_prefix(size);
    if (text.find('\0') != std::string::npos) bad();
    return text;
  }
  std::string bytes(std::size_t size) {
    if (size > rest_.size()) {
      bad();
      return {};
    }
    std::string out(rest_.substr(0, size));
    rest_.remove_prefix(size);
    return out;
  }
  // How many entries follow, each of at least `least` bytes: memory use stays in proportion to the input.
  std::uint32_t count(std::size_t least) {
    const std::uint32_t n = number();
    return n <= rest_.size() / least ? n : static_cast<std::uint32_t>(bad());
  }
  std::vector<std::string> strings() {
    std::vector<std::string> list(count(4));
    for (std::string& s : list) s = string();
    return list;
  }
  std::vector<std::uint64_t> devices() {
    std::vector<std::uint64_t> list(count(8));
    for (std::uint64_t& device : list) device = wide(8);
    return list;
  }
  bool ok() const { return ok_; }
  bool at_end() const { return ok_ && rest_.empty(); }

 private:
  std::uint64_t bad() {
    ok_ = false;
    rest_ = {};
    return 0;
  }
  std::string_view rest_;
  bool ok_ = true;
};

}  // namespace bulkhead::shim

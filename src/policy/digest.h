// SHA-256, for what names a file by its content.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

namespace bulkhead {

std::string sha256_hex(std::string_view bytes);

// Of a regular file from its beginning, a piece at a time. EFBIG when it holds more than `most` bytes.
Result<std::string> sha256_hex_of(int fd, std::uint64_t most);

// A piece at a time.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  void add(std::string_view bytes);
  std::string hex();  // once

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace bulkhead

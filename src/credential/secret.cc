#include "credential/secret.h"

#include <string.h>
#include <sys/mman.h>

#include <algorithm>
#include <utility>

namespace bulkhead {

void wipe(std::string& text) {
  text.resize(text.capacity());  // what an earlier, longer value left behind the end goes too
  ::explicit_bzero(text.data(), text.size());
  text.clear();
}

Secret::Secret(std::string_view bytes)
    : bytes_(bytes.empty() ? nullptr : std::make_unique<char[]>(bytes.size())), size_(bytes.size()) {
  if (size_ == 0) return;
  (void)::mlock(bytes_.get(), size_);
  std::ranges::copy(bytes, bytes_.get());
}

Secret::Secret(Secret&& other) noexcept : bytes_(std::move(other.bytes_)), size_(std::exchange(other.size_, 0)) {}

Secret& Secret::operator=(Secret&& other) noexcept {
  if (this != &other) {
    clear();
    bytes_ = std::move(other.bytes_);
    size_ = std::exchange(other.size_, 0);
  }
  return *this;
}

Secret::~Secret() {
  clear();
}

// No munlock: locks don't nest (mlock(2)), and a neighbour on the same page may be a secret too.
void Secret::clear() {
  if (size_ != 0) ::explicit_bzero(bytes_.get(), size_);
  bytes_.reset();
  size_ = 0;
}

}  // namespace bulkhead

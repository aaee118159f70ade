#include "credential/secret.h"

#include <string.h>
#include <sys/mman.h>

#include <algorithm>
#include <new>
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

SecretBuffer::SecretBuffer(std::size_t capacity) : capacity_(capacity) {
  void* pages = ::mmap(nullptr, capacity_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (pages == MAP_FAILED) throw std::bad_alloc();
  bytes_ = static_cast<char*>(pages);
  (void)::mlock(bytes_, capacity_);
  (void)::madvise(bytes_, capacity_, MADV_DONTDUMP);
}

SecretBuffer::SecretBuffer(SecretBuffer&& other) noexcept
    : bytes_(std::exchange(other.bytes_, nullptr)),
      capacity_(std::exchange(other.capacity_, 0)),
      size_(std::exchange(other.size_, 0)) {}

SecretBuffer& SecretBuffer::operator=(SecretBuffer&& other) noexcept {
  if (this != &other) {
    release();
    bytes_ = std::exchange(other.bytes_, nullptr);
    capacity_ = std::exchange(other.capacity_, 0);
    size_ = std::exchange(other.size_, 0);
  }
  return *this;
}

SecretBuffer::~SecretBuffer() {
  release();
}

bool SecretBuffer::add(std::string_view text) {
  if (text.size() > left()) return false;
  std::ranges::copy(text, space());
  added(text.size());
  return true;
}

// The whole of it: a read that was begun may have written behind what was counted.
void SecretBuffer::release() {
  if (bytes_ == nullptr) return;
  ::explicit_bzero(bytes_, capacity_);
  ::munmap(bytes_, capacity_);
  bytes_ = nullptr;
}

}  // namespace bulkhead

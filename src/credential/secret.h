// A secret in memory: one owner, no copies by accident, wiped when it goes.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

namespace bulkhead {

// Overwrites the text and empties it. The compiler may not leave this out.
void wipe(std::string& text);

class Secret {
 public:
  Secret() = default;
  // Copies `bytes`; the caller wipes its own. The copy is locked into memory where RLIMIT_MEMLOCK
  // lets us: a secret that could be swapped is still better than a session that can't start.
  explicit Secret(std::string_view bytes);
  Secret(Secret&& other) noexcept;
  Secret& operator=(Secret&& other) noexcept;
  Secret(const Secret&) = delete;
  Secret& operator=(const Secret&) = delete;
  ~Secret();

  // The bytes. The name is what to look for in a review: every use of it is a place where they
  // could leak.
  std::string_view reveal() const { return {bytes_.get(), size_}; }
  bool empty() const { return size_ == 0; }

 private:
  void clear();
  std::unique_ptr<char[]> bytes_;
  std::size_t size_ = 0;
};

// Where bytes that will be a Secret come in: pages of their own, locked where permitted, in no core dump, wiped.
class SecretBuffer {
 public:
  explicit SecretBuffer(std::size_t capacity);
  SecretBuffer(SecretBuffer&& other) noexcept;
  SecretBuffer& operator=(SecretBuffer&& other) noexcept;
  SecretBuffer(const SecretBuffer&) = delete;
  SecretBuffer& operator=(const SecretBuffer&) = delete;
  ~SecretBuffer();

  char* space() { return bytes_ + size_; }
  std::size_t left() const { return capacity_ - size_; }
  void added(std::size_t count) { size_ += count; }
  // False: there is no room for all of it, and none was taken.
  bool add(std::string_view text);
  std::string_view view() const { return {bytes_, size_}; }

 private:
  void release();
  char* bytes_ = nullptr;
  std::size_t capacity_ = 0, size_ = 0;
};

}  // namespace bulkhead

// Bytes read from a client and not yet understood; pipelined requests wait here. Fixed size.
#pragma once

#include <memory>
#include <string_view>

#include "gateway/front/stream.h"

namespace bulkhead::front {

class Input {
 public:
  std::string_view view() const { return {bytes_.get() + begin_, end_ - begin_}; }
  bool empty() const { return begin_ == end_; }
  void consume(std::size_t n) { begin_ += n; }
  // Only when empty. False: the end, see Stream::read.
  Task<bool> fill(Stream& stream) {
    if (!bytes_) bytes_ = std::make_unique_for_overwrite<char[]>(size);
    begin_ = 0;
    end_ = co_await stream.read(bytes_.get(), size);
    co_return end_ > 0;
  }
  // Only when empty, after a fill(). False: nothing more is here yet.
  bool fill_now(Stream& stream) {
    begin_ = 0;
    end_ = stream.read_now(bytes_.get(), size);
    return end_ > 0;
  }
  // An idle connection needs no buffer.
  void rest() {
    if (empty()) bytes_.reset();
  }

 private:
  static constexpr std::size_t size = 16 * 1024;  // a TLS record
  std::unique_ptr<char[]> bytes_;
  std::size_t begin_ = 0, end_ = 0;
};

}  // namespace bulkhead::front

// The egress end of a lane, read frame by frame (gateway/lane.h).
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <optional>
#include <string_view>
#include <vector>

#include "gateway/lane.h"

namespace bulkhead::egress {

struct Frame {
  lane::Kind kind;
  std::string_view payload;  // valid until the next call
};

class Frames {
 public:
  using Socket = boost::asio::local::stream_protocol::socket;
  explicit Frames(Socket& socket) : socket_(socket) {}

  // The next frame; nullopt when the lane is closed, was cut in the middle of a frame, or carries a header that
  // nobody may send. After that the lane is of no more use.
  boost::asio::awaitable<std::optional<Frame>> next();
  // Would next() return at once?
  bool ready() const;
  // Has everything received been used?
  bool empty() const { return begin_ == end_; }
  // Between exchanges: gives back the memory a large frame took, and waits for the next frame before looking for it.
  void rest();

 private:
  std::optional<Frame> take();
  Socket& socket_;
  std::vector<char> buffer_;
  std::size_t begin_ = 0, end_ = 0;
  std::size_t reads_ = 0;
  bool resting_ = true;
};

}  // namespace bulkhead::egress

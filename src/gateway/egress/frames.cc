#include "gateway/egress/frames.h"

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cstring>

#include "gateway/egress/limits.h"

namespace bulkhead::egress {
namespace asio = boost::asio;

bool Frames::ready() const {
  if (end_ - begin_ < lane::header_size) return false;
  const auto header = lane::decode_header({buffer_.data() + begin_, lane::header_size});
  return !header || end_ - begin_ - lane::header_size >= header->length;
}

std::optional<Frame> Frames::take() {
  const auto header = lane::decode_header({buffer_.data() + begin_, lane::header_size});
  if (!header) return std::nullopt;
  const Frame frame{header->kind, {buffer_.data() + begin_ + lane::header_size, header->length}};
  begin_ += lane::header_size + header->length;
  return frame;
}

asio::awaitable<std::optional<Frame>> Frames::next() {
  while (!ready()) {
    if (begin_ == end_) begin_ = end_ = 0;
    std::size_t need = lane::header_size;
    if (end_ - begin_ >= lane::header_size) {
      need += lane::decode_header({buffer_.data() + begin_, lane::header_size})->length;  // ready() saw it is one
    }
    if (begin_ + need > buffer_.size() && begin_ != 0) {
      std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
      end_ -= begin_;
      begin_ = 0;
    }
    if (need > buffer_.size()) buffer_.resize(std::max(need, idle_buffer));
    boost::system::error_code ec;
    const auto space = asio::buffer(buffer_.data() + end_, buffer_.size() - end_);
    const std::size_t n = co_await socket_.async_read_some(space, asio::redirect_error(asio::use_awaitable, ec));
    if (ec || n == 0) co_return std::nullopt;
    end_ += n;
  }
  co_return take();
}

void Frames::shrink() {
  if (begin_ != end_ || buffer_.size() <= idle_buffer) return;
  begin_ = end_ = 0;
  std::vector<char>().swap(buffer_);
}

}  // namespace bulkhead::egress

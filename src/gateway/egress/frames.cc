#include "gateway/egress/frames.h"

#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cstring>
#include <utility>

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
    // What does not fit a small buffer is a body, and more of it will come.
    if (need > buffer_.size()) {
      buffer_.resize(need <= idle_buffer ? idle_buffer : std::max(need, lane::header_size + lane::max_body));
    }
    const auto space = asio::buffer(buffer_.data() + end_, buffer_.size() - end_);
    ssize_t here = -1;
    // At once what is there: through the event loop it would cost another turn of it. But a long body lets others run
    // in between.
    if (!std::exchange(resting_, false) && ++reads_ % at_once != 0) {
      here = ::recv(socket_.native_handle(), space.data(), space.size(), MSG_DONTWAIT);
    }
    if (here < 0) {
      boost::system::error_code ec;
      here =
          static_cast<ssize_t>(co_await socket_.async_read_some(space, asio::redirect_error(asio::use_awaitable, ec)));
      if (ec) co_return std::nullopt;
    }
    if (here == 0) co_return std::nullopt;
    end_ += static_cast<std::size_t>(here);
  }
  co_return take();
}

void Frames::rest() {
  if (begin_ != end_) return;
  resting_ = true;
  if (buffer_.size() <= idle_buffer) return;
  begin_ = end_ = 0;
  std::vector<char>().swap(buffer_);
}

}  // namespace bulkhead::egress

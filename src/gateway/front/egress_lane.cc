#include "gateway/front/egress_lane.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include <utility>

#include "base/ipc.h"
#include "base/sys.h"

namespace bulkhead::front {
namespace {

// Most answers are small; one that fills the small buffer goes on in a large one.
constexpr std::size_t small_buffer = 16 * 1024, large_buffer = 64 * 1024;

}  // namespace

EgressLane::EgressLane(asio::io_context& context, UniqueFd socket) : socket_(context, socket.release()) {}

EgressLane::~EgressLane() {
  boost::system::error_code ignored;
  socket_.close(ignored);
}

Task<bool> EgressLane::wait(Wait::wait_type direction) {
  if (abandoned_) co_return false;
  auto [error] = co_await socket_.async_wait(direction, no_throw);
  co_return !error && !abandoned_;
}

Task<bool> EgressLane::send(std::string_view bytes) {
  while (!bytes.empty()) {
    if (abandoned_) co_return false;
    const ssize_t n = ::send(socket_.native_handle(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n > 0) bytes.remove_prefix(static_cast<std::size_t>(n));
    if (n >= 0 || errno == EINTR) continue;
    if (errno != EAGAIN || !co_await wait(Wait::wait_write)) co_return false;
  }
  co_return true;
}

Task<bool> EgressLane::fill() {
  if (std::exchange(asked_, false) && !broken_ && !co_await wait(Wait::wait_read)) co_return false;
  if (begin_ == end_) begin_ = end_ = 0;
  if (!buffer_ || (filled_ && end_ == 0 && size_ < large_buffer)) {
    size_ = filled_ ? large_buffer : small_buffer;
    buffer_ = std::make_unique_for_overwrite<char[]>(size_);
  }
  if (begin_ > 0 && size_ - end_ < lane::header_size) {
    ::memmove(buffer_.get(), buffer_.get() + begin_, end_ - begin_);
    end_ -= std::exchange(begin_, 0);
  }
  for (;;) {
    if (abandoned_ || broken_) co_return false;
    const ssize_t n = ::recv(socket_.native_handle(), buffer_.get() + end_, size_ - end_, 0);
    filled_ = n > 0 && static_cast<std::size_t>(n) == size_ - end_;
    if (n > 0) end_ += static_cast<std::size_t>(n);
    if (n > 0) co_return true;
    if (n < 0 && errno == EINTR) continue;
    if (n == 0 || errno != EAGAIN || !co_await wait(Wait::wait_read)) co_return false;
  }
}

bool EgressLane::open_frame() {
  const std::string_view here(buffer_.get() + begin_, end_ - begin_);
  if (here.size() < lane::header_size) return false;
  frame_ = lane::decode_header(here.substr(0, lane::header_size));
  broken_ = !frame_ || (frame_->kind == lane::Kind::end && frame_->length != 0);
  if (broken_) return false;
  begin_ += lane::header_size;
  left_ = frame_->length;
  head_.clear();
  return true;
}

std::optional<EgressLane::Piece> EgressLane::next() {
  while (!broken_ && (frame_ || open_frame())) {
    const lane::Kind kind = frame_->kind;
    const std::string_view part(buffer_.get() + begin_, std::min<std::size_t>(left_, end_ - begin_));
    begin_ += part.size();
    left_ -= static_cast<std::uint32_t>(part.size());
    const bool whole = left_ == 0;
    if (whole) frame_.reset();
    if (kind == lane::Kind::body) {
      if (!part.empty()) return Piece{kind, part};
      if (!whole) return std::nullopt;
      continue;  // an empty frame says nothing
    }
    // Heads are small and mostly arrive whole: then no copy is made.
    if (whole && head_.empty()) return Piece{kind, part};
    head_.append(part);
    if (whole) return Piece{kind, head_};
    return std::nullopt;
  }
  return std::nullopt;
}

void EgressLane::abandon() {
  abandoned_ = true;
  boost::system::error_code ignored;
  socket_.cancel(ignored);
}

bool EgressLane::is_idle_and_alive() {
  if (abandoned_ || broken_ || begin_ != end_ || frame_) return false;
  char byte = 0;
  const ssize_t n = ::recv(socket_.native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return n < 0 && (errno == EAGAIN || errno == EINTR);
}

void EgressLane::rest() {
  buffer_.reset();
  filled_ = false;
  begin_ = end_ = 0;
  head_ = {};
}

LanePool::LanePool(asio::io_context& context, UniqueFd control, Bounds bounds)
    : context_(context), control_(std::move(control)), bounds_(bounds) {
  // A busy egress must not stop the session's other requests: a full socket is a refused lane.
  (void)sys::set_nonblocking(control_.get(), true);
}

std::unique_ptr<EgressLane> LanePool::take() {
  while (!idle_.empty()) {
    std::unique_ptr<EgressLane> lane = std::move(idle_.back());
    idle_.pop_back();
    if (lane->is_idle_and_alive()) return lane;
    drop(std::move(lane));
  }
  if (open_ >= bounds_.open) return nullptr;
  auto pair = sys::socket_pair(SOCK_STREAM);
  if (!pair || !sys::set_nonblocking(pair->first.get(), true)) return nullptr;
  const int theirs = pair->second.get();
  if (!ipc::send(control_.get(), std::string_view(R"({"type":"lane"})"), std::span(&theirs, 1))) return nullptr;
  ++open_;
  return std::make_unique<EgressLane>(context_, std::move(pair->first));
}

void LanePool::give_back(std::unique_ptr<EgressLane> lane) {
  if (idle_.size() >= bounds_.idle) return drop(std::move(lane));
  lane->rest();
  idle_.push_back(std::move(lane));
}

void LanePool::drop(std::unique_ptr<EgressLane> lane) {
  if (lane) --open_;
}

}  // namespace bulkhead::front

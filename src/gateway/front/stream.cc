#include "gateway/front/stream.h"

#include <errno.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>

#include "gateway/tls/bulk.h"
#include "gateway/tls/errors.h"

namespace bulkhead::front {

Stream::Stream(asio::io_context& context, UniqueFd socket) : socket_(context, socket.release()) {}

Stream::~Stream() {
  ssl_.reset();
  boost::system::error_code ignored;
  socket_.close(ignored);
}

Task<bool> Stream::wait(Wait::wait_type direction) {
  if (expired_ || abandoned_) co_return false;
  auto [error] = co_await socket_.async_wait(direction, no_throw);
  co_return !error && !expired_ && !abandoned_;
}

Task<bool> Stream::readable() {
  // What OpenSSL or the kernel already holds makes no new edge.
  if (ssl_ && ::SSL_has_pending(ssl_.get()) == 1) co_return true;
  co_return co_await wait(Wait::wait_read);
}

Stream::Step Stream::tls_step(int result) {
  const int error = ::SSL_get_error(ssl_.get(), result);
  tls::clear_errors();
  if (error == SSL_ERROR_WANT_READ) return Step::want_read;
  if (error == SSL_ERROR_WANT_WRITE) return Step::want_write;
  return Step::end;
}

Stream::Step Stream::try_read(char* into, std::size_t size, std::size_t& got) {
  got = 0;
  if (ssl_) {
    tls::clear_errors();
    const int result = ::SSL_read_ex(ssl_.get(), into, size, &got);
    return result == 1 ? Step::done : tls_step(result);
  }
  for (;;) {
    const ssize_t n = ::recv(socket_.native_handle(), into, size, 0);
    if (n > 0) got = static_cast<std::size_t>(n);
    if (n > 0) return Step::done;
    if (n < 0 && errno == EINTR) continue;
    return n < 0 && errno == EAGAIN ? Step::want_read : Step::end;
  }
}

Stream::Step Stream::try_write(std::string_view bytes, std::size_t& put) {
  put = 0;
  if (ssl_) {
    tls::clear_errors();
    const int result = ::SSL_write_ex(ssl_.get(), bytes.data(), bytes.size(), &put);
    return result == 1 ? Step::done : tls_step(result);
  }
  for (;;) {
    const ssize_t n = ::send(socket_.native_handle(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n >= 0) put = static_cast<std::size_t>(n);
    if (n >= 0) return Step::done;
    if (errno == EINTR) continue;
    return errno == EAGAIN ? Step::want_write : Step::end;
  }
}

Task<std::size_t> Stream::read(char* into, std::size_t size) {
  for (;;) {
    if (stopped_ || expired_ || abandoned_) co_return 0;
    std::size_t got = 0;
    const Step step = try_read(into, size, got);
    if (step == Step::done) co_return got;
    if (step == Step::end) co_return 0;
    if (!co_await wait(step == Step::want_read ? Wait::wait_read : Wait::wait_write)) co_return 0;
  }
}

std::size_t Stream::read_now(char* into, std::size_t size) {
  std::size_t got = 0;
  if (stopped_ || expired_ || abandoned_) return 0;
  return try_read(into, size, got) == Step::done ? got : 0;  // an end, or an error, comes again
}

void Stream::expect_much(bool on) {
  if (ssl_) tls::read_records(ssl_.get(), on ? 4 : 0);
}

Task<bool> Stream::write(std::string_view bytes, std::chrono::milliseconds patience) {
  const tls::Together together(socket_.native_handle(), ssl_ ? bytes.size() : 0);
  while (!bytes.empty()) {
    if (expired_ || abandoned_) co_return false;
    std::size_t put = 0;
    const Step step = try_write(bytes, put);
    if (step == Step::end) co_return false;
    if (step == Step::done) {
      bytes.remove_prefix(put);
      continue;
    }
    write_deadline_ = Clock::now() + patience;
    if (!co_await wait(step == Step::want_read ? Wait::wait_read : Wait::wait_write)) co_return false;
    write_deadline_ = Clock::time_point::max();
  }
  co_return true;
}

Task<bool> Stream::handshake(const tls::ServerContext& context, tls::Handshake& handshake) {
  auto ssl = context.accept(socket_.native_handle(), handshake);
  if (!ssl) co_return false;
  ssl_ = std::move(*ssl);
  for (;;) {
    tls::clear_errors();
    const int result = ::SSL_accept(ssl_.get());
    if (result == 1) co_return true;
    const Step step = tls_step(result);
    if (step == Step::end) co_return false;
    if (!co_await wait(step == Step::want_read ? Wait::wait_read : Wait::wait_write)) co_return false;
  }
}

bool Stream::speaks_h2() const {
  const unsigned char* name = nullptr;
  unsigned int size = 0;
  if (ssl_) ::SSL_get0_alpn_selected(ssl_.get(), &name, &size);
  return std::string_view(reinterpret_cast<const char*>(name), size) == "h2";
}

std::string_view Stream::peek_raw(char* into, std::size_t size) {
  const ssize_t n = ::recv(socket_.native_handle(), into, size, MSG_PEEK | MSG_DONTWAIT);
  return {into, n > 0 ? static_cast<std::size_t>(n) : 0};
}

bool Stream::discard_raw(std::size_t size) {
  std::array<char, 4096> sink;
  while (size > 0) {
    const ssize_t n = ::recv(socket_.native_handle(), sink.data(), std::min(size, sink.size()), MSG_DONTWAIT);
    if (n <= 0) return false;
    size -= static_cast<std::size_t>(n);
  }
  return true;
}

void Stream::end_writing() {
  ::shutdown(socket_.native_handle(), SHUT_WR);
}

Task<void> Stream::linger(std::chrono::milliseconds patience, std::size_t limit) {
  if (expired_ || abandoned_) co_return;
  set_deadline(patience);
  if (ssl_) {
    tls::clear_errors();
    ::SSL_shutdown(ssl_.get());  // close_notify; the client's own is not waited for
    tls::clear_errors();
  }
  ::shutdown(socket_.native_handle(), SHUT_WR);
  // Raw bytes from here on: nobody will look at them.
  std::array<char, 4096> sink;
  for (std::size_t total = 0; total < limit;) {
    const ssize_t n = ::recv(socket_.native_handle(), sink.data(), sink.size(), MSG_DONTWAIT);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) co_return;
    if (n > 0) total += static_cast<std::size_t>(n);
    if (n < 0 && !co_await wait(Wait::wait_read)) co_return;
  }
}

Stream::Peek Stream::peek() {
  char byte = 0;
  if (ssl_) {
    tls::clear_errors();
    std::size_t got = 0;
    const int result = ::SSL_peek_ex(ssl_.get(), &byte, 1, &got);
    if (result == 1) return Peek::data;
    return tls_step(result) == Step::end ? Peek::gone : Peek::nothing;
  }
  const ssize_t n = ::recv(socket_.native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  if (n > 0) return Peek::data;
  return n < 0 && (errno == EAGAIN || errno == EINTR) ? Peek::nothing : Peek::gone;
}

void Stream::watch(const std::weak_ptr<void>& owner, std::function<void()> gone) {
  gone_ = std::move(gone);
  if (!armed_) arm(owner);
}

void Stream::arm(const std::weak_ptr<void>& owner) {
  armed_ = true;
  socket_.async_wait(Wait::wait_read, [this, owner](boost::system::error_code error) {
    const auto alive = owner.lock();
    if (!alive) return;
    armed_ = false;
    // Nobody watches any more: the bytes belong to whoever reads next.
    if (error || !gone_) return;
    const Peek seen = peek();
    if (seen == Peek::nothing) return arm(owner);
    // Data is the next request, pipelined; it waits. Its sender is found gone when we write.
    if (seen == Peek::gone) std::exchange(gone_, nullptr)();
  });
}

void Stream::check_deadline(Clock::time_point now) {
  if (expired_ || now < std::min(read_deadline_, write_deadline_)) return;
  expired_ = true;
  boost::system::error_code ignored;
  socket_.cancel(ignored);
}

bool Stream::take_expired() {
  // A client that took nothing for so long gets no last answer either.
  if (!expired_ || write_deadline_ != Clock::time_point::max()) return false;
  clear_deadline();
  expired_ = false;
  return true;
}

void Stream::stop_reading() {
  stopped_ = true;
  boost::system::error_code ignored;
  socket_.cancel(ignored);
}

void Stream::abandon() {
  abandoned_ = true;
  boost::system::error_code ignored;
  socket_.cancel(ignored);
}

}  // namespace bulkhead::front

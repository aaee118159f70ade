#include "gateway/egress/connection.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <utility>

#include "gateway/tls/bulk.h"
#include "gateway/tls/errors.h"

namespace bulkhead::egress {
namespace asio = boost::asio;
using asio::ip::tcp;

Connection::Connection(tcp::socket socket, std::shared_ptr<Registry> registry)
    : socket_(std::move(socket)), registry_(std::move(registry)) {
  boost::system::error_code ignored;
  socket_.set_option(tcp::no_delay(true), ignored);  // or a small request waits 40 ms for an ACK
  socket_.native_non_blocking(true, ignored);
  registry_->connections.insert(this);
}

Connection::~Connection() {
  registry_->connections.erase(this);
  // A polite close_notify where it fits the socket buffer; nobody waits for the answer.
  if (ssl_ && !aborted_ && !broken_ && ::SSL_is_init_finished(ssl_.get()) == 1) ::SSL_shutdown(ssl_.get());
  ssl_.reset();
  proxy_ssl_.reset();
  tls::clear_errors();
}

void Connection::abort() {
  aborted_ = true;
  boost::system::error_code ignored;
  socket_.cancel(ignored);
  // The descriptor stays open until the destructor: OpenSSL still has its number.
  socket_.shutdown(tcp::socket::shutdown_both, ignored);
}

void Connection::end_writing() {
  // The other direction goes on, as it does without TLS.
  if (top() != nullptr) {
    ::SSL_shutdown(top());
    tls::clear_errors();
    return;
  }
  boost::system::error_code ignored;
  socket_.shutdown(tcp::socket::shutdown_send, ignored);
}

void Connection::stop_writing() {
  no_writing_ = true;
  boost::system::error_code ignored;
  socket_.cancel(ignored);
}

const char* Connection::tls_version() const {
  return ssl_ ? ::SSL_get_version(ssl_.get()) : "";
}

bool Connection::speaks_h2() const {
  return ssl_ && protocol_of(ssl_.get()) == "h2";
}

asio::awaitable<Result<void>> Connection::wait(int ssl_error, bool for_write) {
  const auto what = ssl_error == SSL_ERROR_WANT_WRITE ? tcp::socket::wait_write : tcp::socket::wait_read;
  boost::system::error_code ec;
  co_await socket_.async_wait(what, asio::redirect_error(asio::use_awaitable, ec));
  if (timed_out_) co_return fail("nothing moved for too long", ETIMEDOUT);
  if (aborted_) co_return fail("given up", ECANCELED);
  if (for_write && no_writing_) co_return fail("no longer wanted", ECANCELED);
  // stop_writing() cancels a reader's wait too, if it is called at the wrong time: then the wait just begins anew.
  if (ec && ec != asio::error::operation_aborted) co_return fail(ec.message(), ec.value());
  co_return Result<void>();
}

asio::awaitable<Result<void>> Connection::handshake(Trust& trust, std::string host, bool literal, bool only_http1) {
  auto ssl = trust.client(host, literal, only_http1);
  if (!ssl) co_return tl::unexpected(std::move(ssl).error());
  ssl_ = std::move(*ssl);
  if (proxy_ssl_) {
    BIO* through = ::BIO_new(::BIO_f_ssl());
    if (through == nullptr) co_return fail("no memory for TLS");
    ::BIO_set_ssl(through, proxy_ssl_.get(), BIO_NOCLOSE);
    ::SSL_set_bio(ssl_.get(), through, through);
  } else if (::SSL_set_fd(ssl_.get(), socket_.native_handle()) != 1) {
    co_return fail("no memory for TLS");
  }
  co_return co_await shake_hands(ssl_.get(), "the server");
}

asio::awaitable<Result<void>> Connection::handshake_with_proxy(Trust& trust, std::string host, bool literal) {
  auto ssl = trust.client(host, literal, true);
  if (!ssl) co_return tl::unexpected(std::move(ssl).error());
  proxy_ssl_ = std::move(*ssl);
  if (::SSL_set_fd(proxy_ssl_.get(), socket_.native_handle()) != 1) co_return fail("no memory for TLS");
  co_return co_await shake_hands(proxy_ssl_.get(), "the proxy");
}

asio::awaitable<Result<void>> Connection::shake_hands(SSL* ssl, const char* with) {
  for (;;) {
    tls::clear_errors();
    errno = 0;
    const int done = ::SSL_connect(ssl);
    if (done == 1) break;
    const int saved = errno;
    const int error = ::SSL_get_error(ssl, done);
    if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE) {
      broken_ = true;
      if (error == SSL_ERROR_SYSCALL && ::SSL_get_verify_result(ssl) == X509_V_OK) {
        co_return fail(saved == 0 ? std::string(with) + " closed the connection"
                                  : errno_error("handshake", "", saved).message);
      }
      co_return fail(tls_error(ssl, "handshake"));
    }
    if (auto waited = co_await wait(error, false); !waited) co_return waited;
  }
  if (std::string why = refusal_after_handshake(ssl); !why.empty()) {
    broken_ = true;
    co_return fail(std::move(why));
  }
  co_return Result<void>();
}

asio::awaitable<Result<std::size_t>> Connection::peek_some(std::span<char> into) {
  for (;;) {
    int error = SSL_ERROR_WANT_READ;
    if (SSL* ssl = top()) {
      tls::clear_errors();
      std::size_t n = 0;
      const int done = ::SSL_peek_ex(ssl, into.data(), into.size(), &n);
      if (done == 1) co_return n;
      error = ::SSL_get_error(ssl, done);
      if (error == SSL_ERROR_ZERO_RETURN) co_return std::size_t{0};
      if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE) {
        broken_ = true;
        co_return fail(tls_error(ssl, "TLS"), EPROTO);
      }
    } else {
      const ssize_t n = ::recv(socket_.native_handle(), into.data(), into.size(), MSG_PEEK);
      if (n >= 0) co_return static_cast<std::size_t>(n);
      if (errno != EAGAIN && errno != EINTR) co_return tl::unexpected(errno_error("read", "", errno));
    }
    if (auto waited = co_await wait(error, false); !waited) co_return tl::unexpected(std::move(waited).error());
  }
}

asio::awaitable<Result<void>> Connection::skip(std::size_t count) {
  char away[1024];
  while (count > 0) {
    const auto got = co_await read_some({away, std::min(count, sizeof away)});
    if (!got) co_return tl::unexpected(got.error());
    if (*got == 0) co_return fail("the connection ended");
    count -= *got;
  }
  co_return Result<void>();
}

bool Connection::has_pending() const {
  return (ssl_ && ::SSL_has_pending(ssl_.get()) == 1) || (proxy_ssl_ && ::SSL_has_pending(proxy_ssl_.get()) == 1);
}

asio::awaitable<Result<std::size_t>> Connection::read_some(std::span<char> into) {
  if (std::exchange(asked_, false) && !has_pending()) {
    if (auto waited = co_await wait(SSL_ERROR_WANT_READ, false); !waited) {
      co_return tl::unexpected(std::move(waited).error());
    }
  }
  for (;;) {
    int error = SSL_ERROR_WANT_READ;
    if (SSL* ssl = top()) {
      std::size_t got = 0;
      do {  // what OpenSSL has already taken from the socket, in one go
        tls::clear_errors();
        errno = 0;
        std::size_t n = 0;
        const int done = ::SSL_read_ex(ssl, into.data() + got, into.size() - got, &n);
        const int saved = errno;
        if (done == 1) {
          got += n;
          continue;
        }
        if (got != 0) break;  // the error, if it is one, comes again
        error = ::SSL_get_error(ssl, done);
        if (error == SSL_ERROR_ZERO_RETURN) co_return std::size_t{0};
        if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE) {
          broken_ = true;
          if (error == SSL_ERROR_SYSCALL && saved != 0) co_return tl::unexpected(errno_error("read", "", saved));
          // Includes an end without close_notify: somebody may have cut it short.
          co_return fail(tls_error(ssl, "TLS"), EPROTO);
        }
        break;
      } while (got < into.size() && ::SSL_has_pending(ssl) == 1);
      if (got != 0) {
        extend(registry_->timeouts.quiet);
        co_return got;
      }
    } else {
      const ssize_t n = ::recv(socket_.native_handle(), into.data(), into.size(), 0);
      if (n > 0) extend(registry_->timeouts.quiet);
      if (n >= 0) co_return static_cast<std::size_t>(n);
      if (errno != EAGAIN && errno != EINTR) co_return tl::unexpected(errno_error("read", "", errno));
    }
    if (auto waited = co_await wait(error, false); !waited) co_return tl::unexpected(std::move(waited).error());
  }
}

asio::awaitable<Result<void>> Connection::write(std::string_view bytes) {
  while (!bytes.empty()) {
    if (no_writing_) co_return fail("no longer wanted", ECANCELED);
    int error = SSL_ERROR_WANT_WRITE;
    if (SSL* ssl = top()) {
      tls::clear_errors();
      errno = 0;
      std::size_t n = 0;
      const int done = ::SSL_write_ex(ssl, bytes.data(), bytes.size(), &n);
      const int saved = errno;
      if (done == 1) {
        bytes.remove_prefix(n);
        extend(registry_->timeouts.quiet);
        continue;
      }
      error = ::SSL_get_error(ssl, done);
      if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE) {
        broken_ = true;
        if (error == SSL_ERROR_SYSCALL && saved != 0) co_return tl::unexpected(errno_error("write", "", saved));
        co_return fail(tls_error(ssl, "TLS"), EPROTO);
      }
    } else {
      const ssize_t n = ::send(socket_.native_handle(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n > 0) {
        bytes.remove_prefix(static_cast<std::size_t>(n));
        extend(registry_->timeouts.quiet);
        continue;
      }
      if (n < 0 && errno != EAGAIN && errno != EINTR) co_return tl::unexpected(errno_error("write", "", errno));
    }
    if (auto waited = co_await wait(error, true); !waited) co_return waited;
  }
  co_return Result<void>();
}

void Connection::expect_much(bool on) {
  if (top() != nullptr) tls::read_records(top(), on ? 4 : 2);
}

bool Connection::quiet() {
  if (aborted_ || broken_) return false;
  char byte = 0;
  SSL* ssl = top();
  // Through TLS it would cost buffers to see that nothing is there.
  const bool nothing = ::recv(socket_.native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
  if (ssl == nullptr || (nothing && !has_pending())) return nothing;
  tls::clear_errors();
  std::size_t n = 0;
  const int done = ::SSL_peek_ex(ssl, &byte, 1, &n);  // also takes in session tickets
  const bool quiet = done != 1 && ::SSL_get_error(ssl, done) == SSL_ERROR_WANT_READ;
  if (!quiet) broken_ = true;
  tls::clear_errors();
  return quiet;
}

}  // namespace bulkhead::egress

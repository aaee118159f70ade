// One connection to an upstream: TCP, or TLS over it; through a proxy that is spoken to in TLS, both over that TLS. Not
// thread-safe; one reader and one writer at a time, which may be different coroutines (a response can begin while the
// request is still going up).
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <chrono>
#include <memory>
#include <set>
#include <span>
#include <string>

#include "base/result.h"
#include "gateway/egress/limits.h"
#include "gateway/egress/trust.h"

namespace bulkhead::egress {

class Connection {
 public:
  using Clock = std::chrono::steady_clock;
  // Being in it is what puts a connection under a deadline (pool.h). Shared, because a connection that a coroutine
  // still holds may outlive the pool.
  struct Registry {
    Timeouts timeouts;
    std::set<Connection*> connections;
  };

  Connection(boost::asio::ip::tcp::socket socket, std::shared_ptr<Registry> registry);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // Puts TLS over the TCP connection. On an error nothing but the handshake was sent.
  boost::asio::awaitable<Result<void>> handshake(Trust& trust, std::string host, bool literal, bool only_http1 = false);

  // The same to the proxy it goes through, first. What comes after goes over it.
  boost::asio::awaitable<Result<void>> handshake_with_proxy(Trust& trust, std::string host, bool literal);

  // At least one byte; 0 = the peer ended the stream properly. After an error the connection is of no more use.
  boost::asio::awaitable<Result<std::size_t>> read_some(std::span<char> into);
  boost::asio::awaitable<Result<void>> write(std::string_view bytes);
  // As read_some, but they stay there; skip() takes the first `count` of them.
  boost::asio::awaitable<Result<std::size_t>> peek_some(std::span<char> into);
  boost::asio::awaitable<Result<void>> skip(std::size_t count);

  // An answer is on its way: the next read_some() waits for it before it looks.
  void expect_answer() { asked_ = true; }
  // A large answer has begun: reads are worth larger buffers.
  void expect_much(bool on);

  // Nothing more is written: the peer sees the end. Without TLS to the upstream only.
  void end_writing();
  // For as long as it is open nobody minds that nothing moves.
  void never_expire() { patient_ = true, deadline_ = Clock::time_point::max(); }

  // … but from now on only for so long as a handshake may take: what is left is to end it.
  void expect_end() {
    patient_ = true;  // no byte prolongs it
    deadline_ = Clock::now() + registry_->timeouts.handshake;
  }

  // May a new request go on it? Not when the peer has closed it, nor when it has sent something unasked.
  bool quiet();

  // Ends what the two coroutines wait for, with an error.
  void abort();
  // Ends only a write that waits. Call from the reading side, while it isn't waiting itself.
  void stop_writing();

  // Past this, abort(). Pushed on by every byte in either direction.
  void extend(std::chrono::milliseconds by) {
    if (!patient_) deadline_ = Clock::now() + by;
  }
  void rest() {  // kept for the next request: only the pool's clock runs
    idle_since = Clock::now();
    deadline_ = Clock::time_point::max();
  }
  Clock::time_point deadline() const { return deadline_; }
  void expire() {
    timed_out_ = true;
    abort();
  }
  bool timed_out() const { return timed_out_; }

  std::string key;      // scheme, host and port: which requests it may carry
  std::string address;  // the address that was dialled, or asked of the proxy, for evidence; "" where it chose one
  std::string proxy;    // HOST:PORT of the proxy it goes through, or ""
  bool reused = false;
  Clock::time_point idle_since;
  bool speaks_h2() const;           // what the handshake agreed on
  const char* tls_version() const;  // "TLSv1.3", or "" without TLS

 private:
  boost::asio::awaitable<Result<void>> wait(int ssl_error, bool for_write);
  boost::asio::awaitable<Result<void>> shake_hands(SSL* ssl, const char* with);
  bool has_pending() const;                                          // in OpenSSL, where the socket does not show it
  SSL* top() const { return ssl_ ? ssl_.get() : proxy_ssl_.get(); }  // what bytes go through; null: the socket
  boost::asio::ip::tcp::socket socket_;
  // Each goes before what it is on: it holds the descriptor's number, or the other.
  std::unique_ptr<SSL, Trust::FreeSsl> proxy_ssl_;
  std::unique_ptr<SSL, Trust::FreeSsl> ssl_;  // to the upstream
  const std::shared_ptr<Registry> registry_;
  Clock::time_point deadline_ = Clock::time_point::max();
  bool timed_out_ = false, aborted_ = false, no_writing_ = false;
  bool patient_ = false;
  bool asked_ = false;   // expect_answer()
  bool broken_ = false;  // TLS failed: it may not even say goodbye (SSL_shutdown(3))
};

}  // namespace bulkhead::egress

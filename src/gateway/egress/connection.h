// One connection to an upstream: TCP, or TLS over it. Not thread-safe; one reader and one writer at a time, which
// may be different coroutines (a response can begin while the request is still going up).
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
  boost::asio::awaitable<Result<void>> handshake(Trust& trust, std::string host, bool literal);

  // At least one byte; 0 = the peer ended the stream properly. After an error the connection is of no more use.
  boost::asio::awaitable<Result<std::size_t>> read_some(std::span<char> into);
  boost::asio::awaitable<Result<void>> write(std::string_view bytes);

  // May a new request go on it? Not when the peer has closed it, nor when it has sent something unasked.
  bool quiet();

  // Ends what the two coroutines wait for, with an error.
  void abort();
  // Ends only a write that waits. Call from the reading side, while it isn't waiting itself.
  void stop_writing();

  // Past this, abort(). Pushed on by every byte in either direction.
  void extend(std::chrono::milliseconds by) { deadline_ = Clock::now() + by; }
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
  std::string address;  // the address that was dialled, for evidence
  bool reused = false;
  Clock::time_point idle_since;
  const char* tls_version() const;  // "TLSv1.3", or "" without TLS

 private:
  boost::asio::awaitable<Result<void>> wait(int ssl_error, bool for_write);
  boost::asio::ip::tcp::socket socket_;
  std::unique_ptr<SSL, Trust::FreeSsl> ssl_;  // before socket_ goes: it holds the descriptor's number
  const std::shared_ptr<Registry> registry_;
  Clock::time_point deadline_ = Clock::time_point::max();
  bool timed_out_ = false, aborted_ = false, no_writing_ = false;
  bool broken_ = false;  // TLS failed: it may not even say goodbye (SSL_shutdown(3))
};

}  // namespace bulkhead::egress

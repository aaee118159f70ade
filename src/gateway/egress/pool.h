// Connections of this egress, kept for the next request to the same scheme, host and port: idle ones that speak
// HTTP/1, and the one that speaks HTTP/2, busy or not; and the clock that ends what has been quiet for too long. All of
// them belong to one credential: nothing is shared across egresses.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "gateway/egress/connection.h"
#include "gateway/egress/h2_connection.h"

namespace bulkhead::egress {

class Pool {
 public:
  Pool(boost::asio::io_context& io, const Timeouts& timeouts)
      : registry_(std::make_shared<Connection::Registry>(Connection::Registry{timeouts, {}})), tick_(io) {}
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  // The most recently used connection for `key` that is still quiet, or nullptr.
  std::shared_ptr<Connection> take(const std::string& key);
  // Keeps it, or closes it where that is too many.
  void put(std::shared_ptr<Connection> connection);

  // The HTTP/2 connection for `key` while it takes requests, or nullptr.
  std::shared_ptr<H2Connection> h2(const std::string& key);
  // From now on it is the one.
  void put(std::shared_ptr<H2Connection> connection);
  // Does this server speak HTTP/2, as far as is known? Then one dials, and the others wait for it.
  bool speaks_h2(const std::string& key) const { return speak_h2_.contains(key); }
  using Dials = std::map<std::string, boost::asio::steady_timer>;  // each is cancelled when its dial is over
  // While it lives its owner dials; the others wait() until nobody does. May outlive the pool, as coroutines do.
  class Dialling {
   public:
    Dialling(std::shared_ptr<Dials> dials, std::string key) : dials_(std::move(dials)), key_(std::move(key)) {}
    ~Dialling();
    Dialling(const Dialling&) = delete;
    Dialling& operator=(const Dialling&) = delete;

   private:
    const std::shared_ptr<Dials> dials_;
    const std::string key_;
  };
  // Null: somebody else dials already.
  std::shared_ptr<Dialling> dial(const std::string& key);
  boost::asio::awaitable<void> wait(const std::string& key);
  // Closes all that are idle, and takes no new requests on those that are not: what they were opened for may no longer
  // be granted.
  void clear();

  // To put new connections under the clock: hand this to their constructor, then call watch().
  std::shared_ptr<Connection::Registry> registry() const { return registry_; }
  void watch();

 private:
  void sweep();
  std::shared_ptr<Connection::Registry> registry_;
  std::map<std::string, std::deque<std::shared_ptr<Connection>>> idle_;
  std::size_t count_ = 0;
  std::map<std::string, std::shared_ptr<H2Connection>> h2_;
  std::set<std::string> speak_h2_;
  const std::shared_ptr<Dials> dials_ = std::make_shared<Dials>();
  boost::asio::steady_timer tick_;
  bool ticking_ = false;
};

}  // namespace bulkhead::egress

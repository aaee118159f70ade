// Idle connections of this egress, kept for the next request to the same scheme, host and port; and the clock that
// ends what has been quiet for too long. All of them belong to one credential: nothing is shared across egresses.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <deque>
#include <map>
#include <memory>
#include <string>

#include "gateway/egress/connection.h"

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

  // To put new connections under the clock: hand this to their constructor, then call watch().
  std::shared_ptr<Connection::Registry> registry() const { return registry_; }
  void watch();

 private:
  void sweep();
  std::shared_ptr<Connection::Registry> registry_;
  std::map<std::string, std::deque<std::shared_ptr<Connection>>> idle_;
  std::size_t count_ = 0;
  boost::asio::steady_timer tick_;
  bool ticking_ = false;
};

}  // namespace bulkhead::egress

// A granted host -> a connection to it. The name is resolved once, every address is judged, and exactly a judged
// address is dialled: nothing can change between the check and the connect (DNS rebinding).
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/address.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <tl/expected.hpp>

#include "gateway/egress/connection.h"
#include "gateway/egress/pool.h"
#include "gateway/egress/resolver.h"
#include "gateway/egress/trust.h"
#include "gateway/lane.h"

namespace bulkhead::egress {

// Why an address that a name resolved to may not be dialled ("private network"), or nullopt.
using AddressCheck = std::function<std::optional<std::string>(const boost::asio::ip::address&)>;

struct Target {
  std::string host;  // canonical; an IPv6 literal in brackets
  std::uint16_t port = 0;
  bool tls = true;
  std::string key() const;          // for the pool
  std::string host_header() const;  // without the scheme's default port
  // The address when the host is a literal. Literals are granted as such, so they are not judged again.
  std::optional<boost::asio::ip::address> literal() const;
};

class Dialer {
 public:
  Dialer(boost::asio::io_context& io, Resolver& resolver, Trust& trust, Pool& pool, AddressCheck check,
         const Timeouts& timeouts)
      : io_(io), resolver_(resolver), trust_(trust), pool_(pool), check_(std::move(check)), timeouts_(timeouts) {}

  // A new connection, TLS verified. Reasons of failure: "resolve" (502, 504), "address" (403), "connect" (502, 504),
  // "tls" (502, 504).
  boost::asio::awaitable<tl::expected<std::shared_ptr<Connection>, lane::Failure>> dial(Target target);

 private:
  boost::asio::awaitable<tl::expected<std::vector<boost::asio::ip::address>, lane::Failure>> addresses(
      const Target& target);
  boost::asio::awaitable<Result<boost::asio::ip::tcp::socket>> connect(const boost::asio::ip::tcp::endpoint& to,
                                                                       std::chrono::steady_clock::duration limit);
  boost::asio::io_context& io_;
  Resolver& resolver_;
  Trust& trust_;
  Pool& pool_;
  AddressCheck check_;
  const Timeouts timeouts_;
};

}  // namespace bulkhead::egress

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
#include "gateway/egress/upstream_proxy.h"
#include "gateway/lane.h"

namespace bulkhead::egress {

// Why an address that a name resolved to may not be dialled ("private network"), or nullopt.
using AddressCheck = std::function<std::optional<std::string>(const boost::asio::ip::address&)>;

struct Target {
  std::string host;  // canonical; an IPv6 literal in brackets
  std::uint16_t port = 0;
  bool tls = true;
  std::string address = {};         // dialled in place of what the name resolves to (Grant::address)
  bool opaque = false;              // a tcp grant's: its server may speak first
  bool only_http1 = false;          // offer the server nothing newer
  std::string key() const;          // for the pool
  std::string host_header() const;  // without the scheme's default port
  // The address when the host is a literal. Literals are granted as such, so they are not judged again.
  std::optional<boost::asio::ip::address> literal() const;
};

class Dialer {
 public:
  Dialer(boost::asio::io_context& io, Resolver& resolver, Trust& trust, Pool& pool, const UpstreamProxy& proxy,
         AddressCheck check, const Timeouts& timeouts)
      : io_(io),
        resolver_(resolver),
        trust_(trust),
        pool_(pool),
        proxy_(proxy),
        check_(std::move(check)),
        timeouts_(timeouts) {}

  // A new connection, TLS verified. Reasons of failure: "resolve" (502, 504), "address" (403), "connect" (502, 504),
  // "proxy" (502, 504), "tls" (502, 504).
  boost::asio::awaitable<tl::expected<std::shared_ptr<Connection>, lane::Failure>> dial(Target target);

 private:
  using Clock = std::chrono::steady_clock;
  using Addresses = tl::expected<std::vector<boost::asio::ip::address>, lane::Failure>;
  using Dialled = tl::expected<std::shared_ptr<Connection>, lane::Failure>;
  boost::asio::awaitable<Addresses> addresses(const Target& target);
  // The proxy's own: what the policy names is not judged.
  boost::asio::awaitable<Addresses> proxy_addresses();
  boost::asio::awaitable<Dialled> dial_directly(const Target& target);
  boost::asio::awaitable<Dialled> dial_by_proxy(const Target& target);
  // TCP to the first of `to` that answers.
  boost::asio::awaitable<Dialled> open(const std::vector<boost::asio::ip::address>& to, std::uint16_t port,
                                       std::string name, Clock::time_point end);
  boost::asio::awaitable<std::optional<lane::Failure>> verify(const Target& target, Connection& connection);
  boost::asio::awaitable<Result<boost::asio::ip::tcp::socket>> connect(const boost::asio::ip::tcp::endpoint& to,
                                                                       std::chrono::steady_clock::duration limit);
  boost::asio::io_context& io_;
  Resolver& resolver_;
  Trust& trust_;
  Pool& pool_;
  const UpstreamProxy& proxy_;
  AddressCheck check_;
  const Timeouts timeouts_;
};

}  // namespace bulkhead::egress

#include "gateway/egress/dial.h"

#include <algorithm>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "base/text.h"
#include "gateway/egress/limits.h"
#include "policy/policy.h"

namespace bulkhead::egress {
namespace asio = boost::asio;
using asio::ip::tcp;

namespace {

tl::unexpected<lane::Failure> failure(std::uint16_t status, std::string reason, std::string text) {
  return tl::unexpected<lane::Failure>(lane::Failure{status, std::move(reason), std::move(text)});
}

std::string without_brackets(const std::string& host) {
  return host.starts_with('[') && host.ends_with(']') ? host.substr(1, host.size() - 2) : host;
}

std::string shown(const Target& target) {
  return escape_for_terminal(target.host) + ":" + std::to_string(target.port);
}

}  // namespace

std::string Target::key() const {
  return (tls ? "https " : "http ") + host + " " + std::to_string(port) + (address.empty() ? "" : " " + address);
}

std::string Target::host_header() const {
  return port == usual_port(!tls) ? host : host + ":" + std::to_string(port);
}

std::optional<asio::ip::address> Target::literal() const {
  boost::system::error_code ec;
  const auto parsed = asio::ip::make_address(without_brackets(host), ec);
  return ec ? std::nullopt : std::optional(parsed);
}

asio::awaitable<Dialer::Addresses> Dialer::addresses(const Target& target) {
  const auto is_proxy = [&](const std::vector<asio::ip::address>& proxies, const asio::ip::address& address) {
    const bool mapped = address.is_v6() && address.to_v6().is_v4_mapped();
    const asio::ip::address meant = mapped ? asio::ip::make_address_v4(asio::ip::v4_mapped, address.to_v6()) : address;
    return std::ranges::find(proxies, meant) != proxies.end();
  };
  // Nobody inside speaks to the proxy, however the grant calls it.
  std::vector<asio::ip::address> proxies;
  if (proxy_.used() && target.port == proxy_.policy().proxy_port) {
    auto found = co_await proxy_addresses();
    if (!found) co_return found;
    proxies = std::move(*found);
  }
  const auto proxy_itself = [&] {
    return failure(403, "address", shown(target) + " is the proxy of [upstream], which no grant may lead to");
  };
  if (const auto literal = target.literal()) {
    if (is_proxy(proxies, *literal)) co_return proxy_itself();
    co_return std::vector{*literal};
  }
  if (!target.address.empty()) {
    boost::system::error_code ec;
    const auto address = asio::ip::make_address(target.address, ec);
    if (ec) co_return failure(502, "address", "the grant's address is none");
    if (is_proxy(proxies, address)) co_return proxy_itself();
    co_return std::vector{address};
  }
  auto found = co_await resolver_.resolve(target.host);
  if (!found) co_return failure(found.error().code == ETIMEDOUT ? 504 : 502, "resolve", found.error().message);
  std::vector<asio::ip::address> good;
  std::string refused;
  for (const asio::ip::address& address : *found) {
    if (is_proxy(proxies, address)) co_return proxy_itself();
    if (const auto why = check_(address)) {
      refused += (refused.empty() ? "" : ", ") + address.to_string() + " (" + *why + ")";
    } else if (good.size() < max_dialled_addresses) {
      good.push_back(address);
    }
  }
  if (good.empty()) {
    co_return failure(403, "address",
                      "\"" + escape_for_terminal(target.host) + "\" resolves to " + refused +
                          ", which no name may lead to; grant the address itself if that is meant");
  }
  co_return good;
}

asio::awaitable<Result<tcp::socket>> Dialer::connect(const tcp::endpoint& to,
                                                     std::chrono::steady_clock::duration limit) {
  // Shared with the timer's handler, which may be queued already when the connect is done.
  struct Attempt {
    Attempt(asio::io_context& io, std::chrono::steady_clock::duration limit_) : socket(io), timer(io, limit_) {}
    tcp::socket socket;
    asio::steady_timer timer;
    bool late = false, done = false;
  };
  const auto attempt = std::make_shared<Attempt>(io_, limit);
  boost::system::error_code ec;
  attempt->socket.open(to.protocol(), ec);
  if (ec) co_return fail(ec.message(), ec.value());
  attempt->timer.async_wait([attempt](boost::system::error_code error) {
    if (error || attempt->done) return;
    attempt->late = true;
    boost::system::error_code ignored;
    attempt->socket.cancel(ignored);
  });
  co_await attempt->socket.async_connect(to, asio::redirect_error(asio::use_awaitable, ec));
  attempt->done = true;
  attempt->timer.cancel();
  if (attempt->late) co_return fail("no answer", ETIMEDOUT);
  if (ec) co_return fail(ec.message(), ec.value());
  co_return std::move(attempt->socket);
}

asio::awaitable<Dialer::Dialled> Dialer::dial(Target target) {
  if (proxy_.carries(target.host)) co_return co_await dial_by_proxy(target);
  Dialled dialled = co_await dial_directly(target);
  if (!dialled && (dialled.error().reason == "resolve" || dialled.error().reason == "connect")) {
    dialled.error().text += proxy_.hint();
  }
  co_return dialled;
}

asio::awaitable<Dialer::Dialled> Dialer::open(const std::vector<asio::ip::address>& to, std::uint16_t port,
                                              std::string name, Clock::time_point end) {
  Error last;
  for (std::size_t i = 0; i < to.size(); ++i) {
    std::chrono::steady_clock::duration limit = end - Clock::now();
    if (limit <= std::chrono::seconds(0)) break;
    if (i + 1 < to.size()) limit = std::min<std::chrono::steady_clock::duration>(limit, timeouts_.connect_each);
    auto socket = co_await connect(tcp::endpoint(to[i], port), limit);
    if (!socket) {
      last = std::move(socket).error();
      continue;
    }
    auto connection = std::make_shared<Connection>(std::move(*socket), pool_.registry());
    connection->address = to[i].to_string();
    connection->extend(timeouts_.handshake);
    pool_.watch();
    co_return connection;
  }
  co_return failure(last.code == ETIMEDOUT ? 504 : 502, "connect",
                    "connect to " + name + " (" + to.front().to_string() + "): " + last.message);
}

asio::awaitable<std::optional<lane::Failure>> Dialer::verify(const Target& target, Connection& connection) {
  if (target.tls) {
    connection.extend(timeouts_.handshake);
    auto done = co_await connection.handshake(trust_, without_brackets(target.host), target.literal().has_value(),
                                              target.only_http1);
    if (!done) {
      co_return lane::Failure{static_cast<std::uint16_t>(connection.timed_out() ? 504 : 502), "tls",
                              "TLS to " + shown(target) + ": " + done.error().message + "; no request was sent"};
    }
  }
  connection.key = target.key();
  connection.extend(timeouts_.quiet);
  co_return std::nullopt;
}

asio::awaitable<Dialer::Dialled> Dialer::dial_directly(const Target& target) {
  auto to = co_await addresses(target);
  if (!to) co_return tl::unexpected(std::move(to).error());
  auto opened = co_await open(*to, target.port, shown(target), Clock::now() + timeouts_.connect);
  if (!opened) co_return opened;
  if (auto refused = co_await verify(target, **opened)) co_return tl::unexpected(std::move(*refused));
  co_return opened;
}

asio::awaitable<Dialer::Addresses> Dialer::proxy_addresses() {
  const std::string& host = proxy_.policy().proxy_host;
  boost::system::error_code ec;
  if (const auto literal = asio::ip::make_address(host, ec); !ec) co_return std::vector{literal};
  auto found = co_await resolver_.resolve(host);
  if (!found) {
    co_return failure(found.error().code == ETIMEDOUT ? 504 : 502, "proxy",
                      found.error().message + " (the proxy of [upstream] in the policy)");
  }
  if (found->size() > max_dialled_addresses) found->resize(max_dialled_addresses);
  co_return std::move(*found);
}

// By the address that was checked, so that the proxy can't be led elsewhere; by name only where the policy says so.
asio::awaitable<Dialer::Dialled> Dialer::dial_by_proxy(const Target& target) {
  const auto proxies = co_await proxy_addresses();
  if (!proxies) co_return tl::unexpected(proxies.error());
  std::vector<std::string> ways;  // "" = by name
  if (proxy_.policy().proxy_resolves && !target.literal() && target.address.empty()) {
    ways.emplace_back();
  } else {
    auto to = co_await addresses(target);
    if (!to) co_return tl::unexpected(std::move(to).error());
    for (const asio::ip::address& address : *to) ways.push_back(address.to_string());
  }
  const auto end = Clock::now() + timeouts_.connect;
  lane::Failure last{504, "proxy", "the proxy " + proxy_.name() + " was too slow to answer"};
  for (std::size_t i = 0; i < ways.size(); ++i) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - Clock::now());
    if (left <= std::chrono::milliseconds(0)) break;
    auto opened = co_await open(*proxies, proxy_.policy().proxy_port, "the proxy " + proxy_.name(), end);
    if (!opened) co_return opened;
    Connection& connection = **opened;
    if (proxy_.policy().proxy_tls) {
      boost::system::error_code ec;
      asio::ip::make_address(proxy_.policy().proxy_host, ec);
      auto done = co_await connection.handshake_with_proxy(trust_, proxy_.policy().proxy_host, !ec);
      if (!done) {
        co_return failure(connection.timed_out() ? 504 : 502, "proxy",
                          "TLS to the proxy " + proxy_.name() + ": " + done.error().message);
      }
    }
    const bool v6 = ways[i].find(':') != std::string::npos;
    const std::string host = ways[i].empty() ? target.host : v6 ? "[" + ways[i] + "]" : ways[i];
    // One address may be slow while others are left; the only one gets all the time.
    const auto limit = i + 1 < ways.size() ? std::min(left, 2 * timeouts_.connect_each) : left;
    auto through = co_await proxy_.connect(connection, host + ":" + std::to_string(target.port), target.opaque, limit);
    if (!through) {
      last = std::move(through.error().failure);
      if (!through.error().of_this_address) break;
      continue;
    }
    connection.address = ways[i];
    connection.proxy = proxy_.name();
    if (auto refused = co_await verify(target, connection)) co_return tl::unexpected(std::move(*refused));
    co_return opened;
  }
  co_return tl::unexpected(std::move(last));
}

}  // namespace bulkhead::egress

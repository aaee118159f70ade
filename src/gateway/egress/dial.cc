#include "gateway/egress/dial.h"

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "base/text.h"
#include "gateway/egress/limits.h"

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

}  // namespace

std::string Target::key() const {
  return (tls ? "https " : "http ") + host + " " + std::to_string(port);
}

std::string Target::host_header() const {
  return port == (tls ? 443 : 80) ? host : host + ":" + std::to_string(port);
}

std::optional<asio::ip::address> Target::literal() const {
  boost::system::error_code ec;
  const auto address = asio::ip::make_address(without_brackets(host), ec);
  return ec ? std::nullopt : std::optional(address);
}

asio::awaitable<tl::expected<std::vector<asio::ip::address>, lane::Failure>> Dialer::addresses(const Target& target) {
  if (const auto literal = target.literal()) co_return std::vector{*literal};
  auto found = co_await resolver_.resolve(target.host);
  if (!found) co_return failure(found.error().code == ETIMEDOUT ? 504 : 502, "resolve", found.error().message);
  std::vector<asio::ip::address> good;
  std::string refused;
  for (const asio::ip::address& address : *found) {
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

asio::awaitable<tl::expected<std::shared_ptr<Connection>, lane::Failure>> Dialer::dial(Target target) {
  auto to = co_await addresses(target);
  if (!to) co_return tl::unexpected(std::move(to).error());
  const auto end = std::chrono::steady_clock::now() + timeouts_.connect;
  const std::string name = escape_for_terminal(target.host) + ":" + std::to_string(target.port);
  Error last;
  for (std::size_t i = 0; i < to->size(); ++i) {
    std::chrono::steady_clock::duration limit = end - std::chrono::steady_clock::now();
    if (limit <= std::chrono::seconds(0)) break;
    if (i + 1 < to->size()) limit = std::min<std::chrono::steady_clock::duration>(limit, timeouts_.connect_each);
    auto socket = co_await connect(tcp::endpoint((*to)[i], target.port), limit);
    if (!socket) {
      last = std::move(socket).error();
      continue;
    }
    auto connection = std::make_shared<Connection>(std::move(*socket), pool_.registry());
    connection->key = target.key();
    connection->address = (*to)[i].to_string();
    connection->extend(timeouts_.handshake);
    pool_.watch();
    if (target.tls) {
      auto done = co_await connection->handshake(trust_, without_brackets(target.host), target.literal().has_value());
      if (!done) {
        co_return failure(connection->timed_out() ? 504 : 502, "tls",
                          "TLS to " + name + ": " + done.error().message + "; no request was sent");
      }
    }
    connection->extend(timeouts_.quiet);
    co_return connection;
  }
  co_return failure(last.code == ETIMEDOUT ? 504 : 502, "connect",
                    "connect to " + name + " (" + to->front().to_string() + "): " + last.message);
}

}  // namespace bulkhead::egress

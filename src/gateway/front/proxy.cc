#include "gateway/front/proxy.h"

#include <arpa/inet.h>

#include <array>

#include "gateway/front/answer.h"
#include "gateway/grant/host.h"

namespace bulkhead::front {
namespace {

using Outcome = tl::expected<std::optional<Asked>, http::Refusal>;

constexpr char socks5 = 5;
// RFC 1928 §3, §6.
constexpr std::string_view no_password("\x05\x00", 2), no_method("\x05\xff", 2);
constexpr std::size_t port_size = 2;

std::string socks_reply(char code) {
  return std::string{socks5, code, 0, 1} + std::string(4 + port_size, '\0');
}

tl::unexpected<http::Refusal> refuse(std::uint16_t status, std::string reason, std::string text) {
  return tl::unexpected(http::Refusal{status, std::move(reason), std::move(text)});
}

// Bytes are taken from the socket only once it is known that they belong to the client's request: what follows is the
// connection itself.
Task<bool> more(Stream& stream, std::string& bytes) {
  std::array<char, 512> buffer;
  if (!co_await stream.readable()) co_return false;
  const std::string_view here = stream.peek_raw(buffer.data(), buffer.size());
  if (here.empty()) co_return false;
  bytes.assign(here);
  co_return true;
}

Task<Outcome> ask_http(Stream& stream, const Limits& limits) {
  http::ConnectReader reader(limits.http);
  std::string bytes;
  while (!reader.done()) {
    if (!co_await more(stream, bytes)) co_return std::nullopt;
    const auto taken = reader.feed(bytes);
    if (!taken) co_return tl::unexpected(taken.error());
    if (!stream.discard_raw(*taken)) co_return std::nullopt;
  }
  const auto authority = grant::parse_authority(reader.target());
  if (!authority || !authority->port) co_return refuse(400, "target", "CONNECT names no canonical host and port");
  co_return Asked{authority->host, *authority->port};
}

// Reads one message, whose length shows as it comes, and not a byte more.
template <class Message>
Task<tl::expected<std::optional<Message>, http::Refusal>> socks_message(
    Stream& stream, tl::expected<Message, http::Refusal> (*read)(std::string_view)) {
  std::string bytes;
  for (;;) {
    auto message = read(bytes);
    if (!message) co_return tl::unexpected(std::move(message).error());
    if (message->size <= bytes.size()) co_return std::move(*message);
    std::array<char, 512> buffer;
    const std::size_t got = co_await stream.read(buffer.data(), std::min(buffer.size(), message->size - bytes.size()));
    if (got == 0) co_return std::nullopt;
    bytes.append(buffer.data(), got);
  }
}

Task<Outcome> ask_socks(Stream& stream, const Limits& limits) {
  auto greeting = co_await socks_message<SocksGreeting>(stream, read_socks_greeting);
  if (!greeting) co_return tl::unexpected(std::move(greeting).error());
  if (!*greeting) co_return std::nullopt;
  if (!(*greeting)->without_password) {
    (void)co_await stream.write(no_method, limits.write);
    co_return refuse(403, "foreign-credential", "a SOCKS client that insists on a password; none is needed");
  }
  if (!co_await stream.write(no_password, limits.write)) co_return std::nullopt;
  auto request = co_await socks_message<SocksRequest>(stream, read_socks_request);
  if (!request) {
    const std::string reply = socks_reply(request.error().reason == "socks-command" ? 7 : 2);
    (void)co_await stream.write(reply, limits.write);
    co_return tl::unexpected(std::move(request).error());
  }
  if (!*request) co_return std::nullopt;
  co_return (*request)->asked;
}

}  // namespace

tl::expected<SocksGreeting, http::Refusal> read_socks_greeting(std::string_view bytes) {
  SocksGreeting out{2, false};
  if (bytes.size() < 2) return out;
  if (bytes[0] != socks5) return refuse(400, "socks", "not SOCKS 5");
  const auto count = static_cast<unsigned char>(bytes[1]);
  if (count == 0) return refuse(400, "socks", "a SOCKS greeting without a method");
  out.size = 2U + count;
  if (bytes.size() >= out.size) out.without_password = bytes.substr(2, count).find('\0') != std::string_view::npos;
  return out;
}

tl::expected<SocksRequest, http::Refusal> read_socks_request(std::string_view bytes) {
  SocksRequest out{5, {}};
  if (bytes.size() < 5) return out;
  if (bytes[0] != socks5 || bytes[2] != 0) return refuse(400, "socks", "a malformed SOCKS request");
  if (bytes[1] != 1) return refuse(405, "socks-command", "only CONNECT is available of SOCKS");
  std::size_t begin = 4, length = 0;
  switch (bytes[3]) {
    case 1:
      length = 4;
      break;
    case 3:
      length = static_cast<unsigned char>(bytes[4]);
      begin = 5;
      break;
    case 4:
      length = 16;
      break;
    default:
      return refuse(400, "socks", "a SOCKS request with an address of no known type");
  }
  out.size = begin + length + port_size;
  if (bytes.size() < out.size) return out;
  const std::string_view address = bytes.substr(begin, length);
  std::string name(address);
  if (bytes[3] != 3) {
    std::array<char, INET6_ADDRSTRLEN> text{};
    const int family = bytes[3] == 1 ? AF_INET : AF_INET6;
    if (::inet_ntop(family, address.data(), text.data(), text.size()) == nullptr)
      return refuse(400, "socks", "no address");
    name = family == AF_INET6 ? "[" + std::string(text.data()) + "]" : std::string(text.data());
  }
  // A name with a NUL, a blank or a colon in it has no canonical form (attack N06).
  auto host = grant::canonical_host(name);
  if (!host) return refuse(400, "target", "a SOCKS request for no canonical host name");
  out.asked.host = std::move(*host);
  out.asked.port = static_cast<std::uint16_t>(static_cast<unsigned char>(bytes[begin + length]) << 8 |
                                              static_cast<unsigned char>(bytes[begin + length + 1]));
  if (out.asked.port == 0) return refuse(400, "target", "a SOCKS request for port 0");
  return out;
}

Task<tl::expected<std::optional<Asked>, http::Refusal>> ask_proxy(Stream& stream, const Limits& limits) {
  std::string first;
  if (!co_await more(stream, first)) co_return std::nullopt;
  const bool socks = first.front() == socks5;
  Outcome asked = std::nullopt;
  if (socks) {
    asked = co_await ask_socks(stream, limits);
  } else {
    asked = co_await ask_http(stream, limits);
  }
  if (!asked) {
    if (!socks) {
      const std::string answer =
          serialise({Kind::denied, asked.error().status, asked.error().text, ""}, {}, false, false);
      if (co_await stream.write(answer, limits.write)) co_await stream.linger(limits.linger, limits.linger_bytes);
    }
    co_return asked;
  }
  if (*asked) {
    const std::string done = socks ? socks_reply(0) : std::string("HTTP/1.1 200 Connection established\r\n\r\n");
    if (!co_await stream.write(done, limits.write)) co_return std::nullopt;
  }
  co_return asked;
}

}  // namespace bulkhead::front

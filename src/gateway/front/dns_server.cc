#include "gateway/front/dns_server.h"

#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include <array>

namespace bulkhead::front {
namespace {

constexpr std::size_t max_query = 512;  // more has no place in a question
constexpr int burst = 64;               // datagrams between two looks at everything else
constexpr int max_tcp_queries = 32;

struct Datagram {
  std::array<char, max_query> bytes;
  std::array<char, 128> control;
  sockaddr_storage from;
  msghdr header;
  iovec part;
};

// Where it was sent, so that the answer comes from there. False: to nobody in particular.
bool unicast(const msghdr& header, bool ipv6) {
  for (cmsghdr* c = CMSG_FIRSTHDR(&header); c != nullptr; c = CMSG_NXTHDR(const_cast<msghdr*>(&header), c)) {
    if (ipv6 && c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
      auto* info = reinterpret_cast<in6_pktinfo*>(CMSG_DATA(c));
      Address6 address;
      ::memcpy(address.data(), &info->ipi6_addr, address.size());
      return is_unicast(address);
    }
    if (!ipv6 && c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
      auto* info = reinterpret_cast<in_pktinfo*>(CMSG_DATA(c));
      Address4 address;
      ::memcpy(address.data(), &info->ipi_addr, address.size());
      info->ipi_spec_dst = info->ipi_addr;
      return is_unicast(address);
    }
  }
  return false;
}

void answer_some(int socket, bool ipv6, Dns& dns) {
  for (int i = 0; i < burst; ++i) {
    Datagram in{};
    in.part = {in.bytes.data(), in.bytes.size()};
    in.header.msg_name = &in.from;
    in.header.msg_namelen = sizeof in.from;
    in.header.msg_iov = &in.part;
    in.header.msg_iovlen = 1;
    in.header.msg_control = in.control.data();
    in.header.msg_controllen = in.control.size();
    const ssize_t n = ::recvmsg(socket, &in.header, MSG_DONTWAIT);
    if (n < 0) return;
    if ((in.header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0 || !unicast(in.header, ipv6)) continue;
    std::string out = dns.answer({in.bytes.data(), static_cast<std::size_t>(n)}, Clock::now());
    if (out.empty()) continue;
    in.part = {out.data(), out.size()};
    in.header.msg_flags = 0;
    (void)::sendmsg(socket, &in.header,
                    MSG_DONTWAIT | MSG_NOSIGNAL);  // a lost answer is asked for again
  }
}

}  // namespace

Task<void> serve_dns_udp(asio::io_context& io, UniqueFd socket, bool ipv6, Dns& dns) {
  Descriptor descriptor(io, socket.release());
  for (;;) {
    auto [error] = co_await descriptor.async_wait(Wait::wait_read, no_throw);
    if (error) co_return;
    answer_some(descriptor.native_handle(), ipv6, dns);
  }
}

Task<void> serve_dns_tcp(Stream& stream, Dns& dns, std::chrono::milliseconds patience) {
  std::string got;
  std::array<char, max_query + 2> buffer;
  for (int i = 0; i < max_tcp_queries; ++i) {
    stream.set_deadline(patience);
    // What came with the question before may be this one, or its beginning (RFC 7766 §6.2.1.1).
    std::size_t wanted = 2;
    for (;;) {
      if (got.size() >= 2) {
        wanted = 2U + (static_cast<unsigned char>(got[0]) << 8U) + static_cast<unsigned char>(got[1]);
        if (wanted > max_query + 2) co_return;
      }
      if (got.size() >= wanted) break;
      const std::size_t n = co_await stream.read(buffer.data(), buffer.size());
      if (n == 0) co_return;
      got.append(buffer.data(), n);
    }
    const std::string out = dns.answer(std::string_view(got).substr(2, wanted - 2), Clock::now());
    if (out.empty()) co_return;
    got.erase(0, wanted);
    std::string framed{static_cast<char>(out.size() >> 8U), static_cast<char>(out.size() & 0xff)};
    framed += out;
    if (!co_await stream.write(framed, patience)) co_return;
  }
}

}  // namespace bulkhead::front

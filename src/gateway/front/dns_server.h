// The room's DNS sockets. UDP answers come from the address that was asked (IP_PKTINFO, ip(7)):
// resolvers drop others.
#pragma once

#include "gateway/front/dns.h"
#include "gateway/front/io.h"
#include "gateway/front/stream.h"

namespace bulkhead::front {

// Both run until their socket ends. `dns` outlives them.
Task<void> serve_dns_udp(asio::io_context& io, UniqueFd socket, bool ipv6, Dns& dns);
// One TCP connection: messages with a length before them (RFC 1035 §4.2.2), a few of them.
Task<void> serve_dns_tcp(Stream& stream, Dns& dns, std::chrono::milliseconds patience);

}  // namespace bulkhead::front

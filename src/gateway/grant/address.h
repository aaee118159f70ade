// Which addresses a name may lead to: public ones. A name that resolves to a private network, this
// machine or a cloud's metadata service is somebody's way in (attacks D01, D02). An address that a
// grant names literally is not judged here: it was said aloud.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace bulkhead::grant {

// 4 or 16 bytes in network order. What kind of address it is when it may not be dialled ("a private
// network"), else nullopt. IPv4 inside IPv6 (mapped, NAT64) is judged as the IPv4
// address it is; tunnels (6to4, Teredo) are refused. Ranges: IANA's special-purpose registries (RFC 6890), and the
// metadata addresses that lie outside them.
std::optional<std::string_view> why_not_dialled(std::span<const std::uint8_t> address);

// The IPv4 address that such an IPv6 one leads to; empty: none.
std::span<const std::uint8_t> embedded_ipv4(std::span<const std::uint8_t> address);

}  // namespace bulkhead::grant

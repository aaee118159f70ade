// Every limit of egress in one place.
#pragma once

#include <chrono>
#include <cstddef>

namespace bulkhead::egress {

inline constexpr std::chrono::seconds dns_timeout{5};
inline constexpr std::chrono::seconds connect_timeout{10};  // all addresses together
inline constexpr std::chrono::seconds connect_each{2};      // one address, while others are left to try
inline constexpr std::chrono::seconds handshake_timeout{10};
// Without a byte in either direction. Long, because a model may think for minutes before its first token.
inline constexpr std::chrono::seconds quiet_timeout{600};
inline constexpr std::chrono::seconds idle_timeout{60};  // a kept connection
inline constexpr std::size_t max_idle_per_host = 8, max_idle = 64;
inline constexpr std::size_t max_dialled_addresses = 8;
inline constexpr std::size_t max_lanes = 2048;
inline constexpr std::size_t max_ca_file = 4 * 1024 * 1024;
inline constexpr std::size_t transfer = 64 * 1024;     // one read or write
inline constexpr std::size_t idle_buffer = 16 * 1024;  // what a lane keeps between exchanges

}  // namespace bulkhead::egress

// Every limit of egress in one place.
#pragma once

#include <chrono>
#include <cstddef>

namespace bulkhead::egress {

// Tests bring their own.
struct Timeouts {
  std::chrono::milliseconds dns{5'000};
  std::chrono::milliseconds connect{10'000};      // all addresses together
  std::chrono::milliseconds connect_each{2'000};  // one address, while others are left to try
  std::chrono::milliseconds handshake{10'000};
  // Without a byte in either direction. Long, because a model may think for minutes before its first token.
  std::chrono::milliseconds quiet{600'000};
  std::chrono::milliseconds idle{60'000};  // a kept connection
  std::chrono::milliseconds tick{1'000};   // how often the last three are looked at
};

inline constexpr std::size_t max_idle_per_host = 8, max_idle = 64;
inline constexpr std::size_t max_dialled_addresses = 8;
inline constexpr std::size_t max_lanes = 2048;
inline constexpr std::size_t max_ca_file = 4 * 1024 * 1024;
inline constexpr std::size_t transfer = 64 * 1024;          // one read or write
inline constexpr std::size_t max_held = 512 * 1024 * 1024;  // bodies that wait to be judged, all lanes together
inline constexpr std::size_t idle_buffer = 16 * 1024;       // what a lane keeps between exchanges

}  // namespace bulkhead::egress

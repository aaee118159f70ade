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

// As many as front keeps lanes to us: with fewer kept, a client that asks for more things at once pays for TLS anew
// with nearly every one of them.
inline constexpr std::size_t max_idle_per_host = 64, max_idle = 128;
inline constexpr std::size_t max_known_h2 = 1024;  // servers remembered to speak HTTP/2
inline constexpr std::size_t max_dialled_addresses = 8;
inline constexpr std::size_t max_lanes = 2048;
inline constexpr std::size_t max_ca_file = 4 * 1024 * 1024;
inline constexpr std::size_t at_once = 16;                  // reads or writes of a lane before others run
inline constexpr std::size_t transfer = 64 * 1024;          // one read or write
inline constexpr std::size_t max_held = 512 * 1024 * 1024;  // bodies that wait to be judged, all lanes together
inline constexpr std::size_t max_held_to_sign =
    16 * 1024 * 1024;  // one that has to be held because its hash was not sent
// Values that servers hand out (issued.h): kept at a time, in one answer, and how long each is. A registry's token has
// 2,000 to 5,000 characters and lives five minutes.
inline constexpr std::size_t max_issued = 64, max_issued_at_once = 16;
inline constexpr std::size_t min_issued = 8, max_issued_length = 16 * 1024;
inline constexpr std::chrono::milliseconds last_refresh{
    800};                                                   // of a session that is over; less than its supervisor waits
inline constexpr std::chrono::milliseconds look_again{20};  // whether it has come
inline constexpr std::size_t max_login_answer = 256 * 1024;  // of a token endpoint
inline constexpr std::size_t idle_buffer = 16 * 1024;        // what a lane keeps between exchanges

}  // namespace bulkhead::egress

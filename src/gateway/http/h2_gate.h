// The frames of an HTTP/2 peer, looked at ahead of the library: what each costs us against what it brings. The floods
// that are known for the protocol's implementations (rapid reset CVE-2023-44487, CONTINUATION CVE-2024-28182, PING,
// SETTINGS, PRIORITY, WINDOW_UPDATE and empty DATA CVE-2019-9511…9518) end here, by our count, whatever the library
// behind does. Reads nine bytes a frame, never a payload; refuses only.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <tl/expected.hpp>

namespace bulkhead::http {

struct H2Limits {
  std::size_t frame = 16 * 1024;  // payload: SETTINGS_MAX_FRAME_SIZE as it is without being set
  std::size_t block = 64 * 1024;  // one header block as it is sent, all its frames together
  std::size_t continuations = 8;
  std::uint32_t streams = 100;                        // open at once, of the peer's making
  std::uint32_t stream_window = 256 * 1024;           // bytes of one body that nobody has taken yet
  std::uint32_t connection_window = 2 * 1024 * 1024;  // … of all bodies of a connection
  // Frames that bring nothing: PING, SETTINGS, PRIORITY, WINDOW_UPDATE, empty DATA, unknown ones. What brings
  // something (a request, a DATA frame either way) earns some of them.
  double idle_burst = 1000, idle_per_second = 100, idle_earned = 4;
  double reset_burst = 200, reset_per_second = 50;  // streams that the peer gives up
  double fault_burst = 100, fault_per_second = 10;  // streams that we had to refuse
};

// Why a connection ends. `code`: the HTTP/2 error code of the GOAWAY.
struct H2Violation {
  std::uint32_t code = 0;
  std::string reason;  // stable word for evidence: "flood", "frame", "preface", …
  std::string text;    // one line for people
};

// Tokens that come back with time and with what is earned, never above `burst`.
class Allowance {
 public:
  using Clock = std::chrono::steady_clock;
  Allowance(double burst, double per_second) : burst_(burst), per_second_(per_second), left_(burst) {}
  bool take(Clock::time_point now);
  void earn(double tokens);

 private:
  double burst_, per_second_, left_;
  Clock::time_point last_{};
};

class FrameGate {
 public:
  using Clock = Allowance::Clock;
  // `preface`: the bytes begin with a client's connection preface.
  FrameGate(bool preface, const H2Limits& limits);

  // All of `bytes` as they came, in any portions. After a violation nothing more is to be given to anybody.
  tl::expected<void, H2Violation> take(std::string_view bytes, Clock::time_point now);

  // Something useful passed: a request, or a DATA frame of ours.
  void earn() { idle_.earn(limits_.idle_earned); }
  // A stream that we had to refuse.
  tl::expected<void, H2Violation> fault(Clock::time_point now);

  // Has the peer begun a head and not ended it?
  bool in_head() const { return block_open_ || (payload_left_ > 0 && in_headers_); }
  std::uint64_t frames() const { return frames_; }

 private:
  tl::expected<void, H2Violation> frame(Clock::time_point now);
  tl::expected<void, H2Violation> costs(Clock::time_point now, const char* what);

  H2Limits limits_;
  Allowance idle_, resets_, faults_;
  std::size_t preface_left_;
  std::array<unsigned char, 9> header_{};
  std::size_t have_ = 0;          // of header_
  std::size_t payload_left_ = 0;  // of the present frame
  bool in_headers_ = false;       // the present frame is part of a header block
  bool block_open_ = false;       // a header block waits for its CONTINUATION
  std::uint32_t block_stream_ = 0;
  std::size_t block_size_ = 0, continuations_ = 0;
  std::uint64_t frames_ = 0;
};

}  // namespace bulkhead::http

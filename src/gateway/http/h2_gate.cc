#include "gateway/http/h2_gate.h"

#include <algorithm>

namespace bulkhead::http {
namespace {

constexpr std::string_view client_preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";  // RFC 9113 §3.4

enum Type : unsigned {
  data,
  headers,
  priority,
  rst_stream,
  settings,
  push_promise,
  ping,
  goaway,
  window_update,
  continuation
};
constexpr unsigned end_stream = 0x1, end_headers = 0x4;
enum Code : std::uint32_t { protocol_error = 1, frame_size_error = 6, enhance_your_calm = 11 };

tl::unexpected<H2Violation> violation(std::uint32_t code, std::string reason, std::string text) {
  return tl::unexpected(H2Violation{code, std::move(reason), std::move(text)});
}

}  // namespace

bool Allowance::take(Clock::time_point now) {
  if (last_ != Clock::time_point{} && now > last_) {
    left_ = std::min(burst_, left_ + std::chrono::duration<double>(now - last_).count() * per_second_);
  }
  last_ = now;
  if (left_ < 1) return false;
  left_ -= 1;
  return true;
}

void Allowance::earn(double tokens) {
  left_ = std::min(burst_, left_ + tokens);
}

FrameGate::FrameGate(bool preface, const H2Limits& limits)
    : limits_(limits),
      idle_(limits.idle_burst, limits.idle_per_second),
      resets_(limits.reset_burst, limits.reset_per_second),
      faults_(limits.fault_burst, limits.fault_per_second),
      preface_left_(preface ? client_preface.size() : 0) {}

tl::expected<void, H2Violation> FrameGate::costs(Clock::time_point now, const char* what) {
  if (idle_.take(now)) return {};
  return violation(enhance_your_calm, "flood", std::string("too many ") + what + " frames that bring nothing");
}

tl::expected<void, H2Violation> FrameGate::fault(Clock::time_point now) {
  if (faults_.take(now)) return {};
  return violation(enhance_your_calm, "flood", "too many requests that no HTTP/2 client makes");
}

tl::expected<void, H2Violation> FrameGate::take(std::string_view bytes, Clock::time_point now) {
  if (preface_left_ > 0) {
    const std::string_view want = client_preface.substr(client_preface.size() - preface_left_);
    const std::size_t n = std::min(want.size(), bytes.size());
    if (bytes.substr(0, n) != want.substr(0, n)) {
      return violation(protocol_error, "preface", "HTTP/2 was agreed on, and something else was sent");
    }
    preface_left_ -= n;
    bytes.remove_prefix(n);
  }
  while (!bytes.empty()) {
    if (payload_left_ > 0) {
      const std::size_t n = std::min(payload_left_, bytes.size());
      payload_left_ -= n;
      bytes.remove_prefix(n);
      continue;
    }
    const std::size_t n = std::min(header_.size() - have_, bytes.size());
    std::copy_n(bytes.begin(), n, header_.begin() + static_cast<std::ptrdiff_t>(have_));
    have_ += n;
    bytes.remove_prefix(n);
    if (have_ < header_.size()) break;
    have_ = 0;
    if (auto ok = frame(now); !ok) return ok;
  }
  return {};
}

// header_ is whole: RFC 9113 §4.1.
tl::expected<void, H2Violation> FrameGate::frame(Clock::time_point now) {
  const std::size_t length = (std::size_t{header_[0]} << 16) | (std::size_t{header_[1]} << 8) | header_[2];
  const unsigned type = header_[3], flags = header_[4];
  const std::uint32_t stream = ((std::uint32_t{header_[5]} & 0x7f) << 24) | (std::uint32_t{header_[6]} << 16) |
                               (std::uint32_t{header_[7]} << 8) | header_[8];
  ++frames_;
  if (length > limits_.frame)
    return violation(frame_size_error, "frame", "a frame larger than the agreed 16,384 bytes");
  // §6.10: a header block is one thing; nothing comes between its frames.
  if (block_open_ != (type == continuation) || (block_open_ && stream != block_stream_)) {
    return violation(protocol_error, "frame", "a header block that is not continued, or one that never began");
  }
  payload_left_ = length;
  in_headers_ = type == headers || type == continuation;
  switch (type) {
    case data:
      if (length == 0 && (flags & end_stream) == 0) return costs(now, "empty DATA");
      // Small pieces are how a stream of events comes; each costs what it is, and earns the reply it needs.
      earn();
      return {};
    case headers:
      block_size_ = continuations_ = 0;
      block_stream_ = stream;
      earn();
      break;
    case continuation:
      if (++continuations_ > limits_.continuations) {
        return violation(enhance_your_calm, "flood", "a header block in too many CONTINUATION frames");
      }
      break;
    case rst_stream:
      if (resets_.take(now)) return {};
      return violation(enhance_your_calm, "flood", "too many requests begun and given up at once");
    case push_promise:
      return violation(protocol_error, "push", "a PUSH_PROMISE, which nobody asked for");
    case priority:
      return costs(now, "PRIORITY");
    case settings:
      return costs(now, "SETTINGS");
    case ping:
      return costs(now, "PING");
    case window_update:
      return costs(now, "WINDOW_UPDATE");
    default:
      return costs(now, type == goaway ? "GOAWAY" : "unknown");
  }
  block_size_ += length;
  if (block_size_ > limits_.block) {
    return violation(enhance_your_calm, "head-size",
                     "a header block larger than " + std::to_string(limits_.block) + " bytes");
  }
  block_open_ = (flags & end_headers) == 0;
  return {};
}

}  // namespace bulkhead::http

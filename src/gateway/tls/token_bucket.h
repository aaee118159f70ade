// A token bucket: `burst` at once, then `per_second`. The caller brings the clock, so tests need no sleeping.
#pragma once

#include <algorithm>
#include <chrono>

namespace bulkhead {

class TokenBucket {
 public:
  using Clock = std::chrono::steady_clock;

  TokenBucket(double per_second, double burst) : per_second_(per_second), burst_(burst), tokens_(burst) {}

  // Takes one token if there is one.
  bool take(Clock::time_point now) {
    if (last_ != Clock::time_point{} && now > last_) {
      const double seconds = std::chrono::duration<double>(now - last_).count();
      tokens_ = std::min(burst_, tokens_ + seconds * per_second_);
    }
    last_ = now;
    if (tokens_ < 1) return false;
    tokens_ -= 1;
    return true;
  }

 private:
  double per_second_, burst_, tokens_;
  Clock::time_point last_{};
};

}  // namespace bulkhead

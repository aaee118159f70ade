// So many events and bytes at once, and then so many a second: a workload must not fill a disk with what is recorded
// of it.
#pragma once

#include <chrono>
#include <cstddef>

namespace bulkhead {

class Allowance {
 public:
  using Clock = std::chrono::steady_clock;
  struct Limits {
    double events = 10'000;  // at once
    double events_per_second = 200;
    double bytes = 4.0 * 1024 * 1024;  // at once
    double bytes_per_second = 64.0 * 1024;
  };

  Allowance(const Limits& limits, Clock::time_point now);
  // Whether one more of this length may be recorded.
  bool take(std::size_t bytes, Clock::time_point now);

 private:
  Limits limits_;
  double events_, bytes_;
  Clock::time_point filled_;
};

}  // namespace bulkhead

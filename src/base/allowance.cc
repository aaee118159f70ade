#include "base/allowance.h"

#include <algorithm>

namespace bulkhead {

Allowance::Allowance(const Limits& limits, Clock::time_point now)
    : limits_(limits), events_(limits.events), bytes_(limits.bytes), filled_(now) {}

bool Allowance::take(std::size_t bytes, Clock::time_point now) {
  const double passed = std::chrono::duration<double>(now - filled_).count();
  filled_ = now;
  events_ = std::min(limits_.events, events_ + passed * limits_.events_per_second);
  bytes_ = std::min(limits_.bytes, bytes_ + passed * limits_.bytes_per_second);
  if (events_ < 1 || bytes_ < static_cast<double>(bytes)) return false;
  events_ -= 1;
  bytes_ -= static_cast<double>(bytes);
  return true;
}

}  // namespace bulkhead

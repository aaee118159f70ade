#include "trace/pace.h"

#include <algorithm>
#include <utility>

namespace bulkhead::trace {

Pace::Pace(const Limits& limits, Clock::time_point now) : limits_(limits) {
  buckets_.fill({limits.events, limits.bytes, now});
}

bool Pace::allows(Kind kind, std::size_t bytes, Clock::time_point now) {
  Bucket& bucket = buckets_[static_cast<std::size_t>(kind)];
  const double passed = std::chrono::duration<double>(now - bucket.filled).count();
  bucket.filled = now;
  bucket.events = std::min(limits_.events, bucket.events + passed * limits_.events_per_second);
  bucket.bytes = std::min(limits_.bytes, bucket.bytes + passed * limits_.bytes_per_second);
  if (bucket.events < 1 || bucket.bytes < static_cast<double>(bytes)) {
    ++omitted_.of[static_cast<std::size_t>(kind)];
    return false;
  }
  bucket.events -= 1;
  bucket.bytes -= static_cast<double>(bytes);
  return true;
}

void Pace::unsent(std::uint32_t count) {
  const std::uint32_t more = count - unsent_;
  if (more == 0 || more > UINT32_MAX / 2) return;  // one that was overtaken
  unsent_ = count;
  omitted_.unsent += more;
}

bool Pace::Omitted::any() const {
  return unsent != 0 || std::ranges::any_of(of, [](std::uint64_t count) { return count != 0; });
}

Pace::Omitted Pace::take() {
  return std::exchange(omitted_, {});
}

}  // namespace bulkhead::trace

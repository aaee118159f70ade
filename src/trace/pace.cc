#include "trace/pace.h"

#include <algorithm>
#include <utility>

namespace bulkhead::trace {

Pace::Pace(const Limits& limits, Clock::time_point now) : allowances_(kinds, Allowance(limits, now)) {}

bool Pace::allows(Kind kind, std::size_t bytes, Clock::time_point now) {
  const auto at = static_cast<std::size_t>(kind);
  const bool allowed = allowances_[at].take(bytes, now);
  if (!allowed) ++omitted_.of[at];
  return allowed;
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

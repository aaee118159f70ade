#include "gateway/grant/budget.h"

namespace bulkhead::grant {

std::optional<std::string_view> Meter::request(Clock::time_point now) {
  if (budget_.requests && requests_ >= *budget_.requests) return "requests";
  if (budget_.requests_per_minute) {
    constexpr auto minute = std::chrono::minutes(1);
    if (!minute_) minute_ = now;
    if (now - *minute_ >= 2 * minute) {
      last_minute_ = this_minute_ = 0;
      minute_ = now;
    } else if (now - *minute_ >= minute) {
      last_minute_ = this_minute_;
      this_minute_ = 0;
      *minute_ += minute;
    }
    const double covered = 1.0 - std::chrono::duration<double>(now - *minute_) / minute;
    const double recent = static_cast<double>(last_minute_) * covered + static_cast<double>(this_minute_);
    if (recent + 1.0 > static_cast<double>(*budget_.requests_per_minute)) return "requests_per_minute";
    ++this_minute_;
  }
  ++requests_;
  return std::nullopt;
}

}  // namespace bulkhead::grant

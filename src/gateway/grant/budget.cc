#include "gateway/grant/budget.h"

namespace bulkhead::grant {

bool Meter::Minute::fits(std::uint64_t more, std::uint64_t limit, Clock::time_point now) {
  constexpr auto minute = std::chrono::minutes(1);
  if (!began_) began_ = now;
  if (now - *began_ >= 2 * minute) {
    last_ = this_ = 0;
    began_ = now;
  } else if (now - *began_ >= minute) {
    last_ = this_;
    this_ = 0;
    *began_ += minute;
  }
  const double covered = 1.0 - std::chrono::duration<double>(now - *began_) / minute;
  const double recent = static_cast<double>(last_) * covered + static_cast<double>(this_);
  return recent + static_cast<double>(more) <= static_cast<double>(limit);
}

std::optional<std::string_view> Meter::request(Clock::time_point now) {
  if (budget_.requests && requests_ >= *budget_.requests) return "requests";
  if (budget_.requests_per_minute) {
    if (!request_minute_.fits(1, *budget_.requests_per_minute, now)) return "requests_per_minute";
    request_minute_.add(1);
  }
  ++requests_;
  return std::nullopt;
}

bool Meter::fits(Direction& counted, std::uint64_t bytes, const std::optional<std::uint64_t>& in_all,
                 const std::optional<std::uint64_t>& per_minute, Clock::time_point now, bool& minute) {
  minute = false;
  if (in_all && (counted.total > *in_all || bytes > *in_all - counted.total)) return false;
  minute = per_minute && !counted.minute.fits(bytes, *per_minute, now);
  return !minute;
}

std::optional<std::string_view> Meter::fits_up(std::uint64_t bytes, Clock::time_point now) {
  bool minute = false;
  if (fits(up_, bytes, budget_.bytes_up, budget_.bytes_up_per_minute, now, minute)) return std::nullopt;
  return minute ? "bytes_up_per_minute" : "bytes_up";
}

std::optional<std::string_view> Meter::up(std::uint64_t bytes, Clock::time_point now) {
  auto limit = fits_up(bytes, now);
  up_.total = up_.total + bytes < bytes ? UINT64_MAX : up_.total + bytes;
  if (budget_.bytes_up_per_minute) up_.minute.add(bytes);
  return limit;
}

std::optional<std::string_view> Meter::down(std::uint64_t bytes, Clock::time_point now) {
  bool minute = false;
  const bool ok = fits(down_, bytes, budget_.bytes_down, budget_.bytes_down_per_minute, now, minute);
  down_.total = down_.total + bytes < bytes ? UINT64_MAX : down_.total + bytes;
  if (budget_.bytes_down_per_minute) down_.minute.add(bytes);
  if (ok) return std::nullopt;
  return minute ? "bytes_down_per_minute" : "bytes_down";
}

}  // namespace bulkhead::grant

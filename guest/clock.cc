#include "guest/clock.h"

#include <errno.h>
#include <time.h>

namespace bulkhead::shim {
namespace {

constexpr std::uint64_t second = 1'000'000'000;
constexpr std::uint64_t tolerated = second / 4;

std::uint64_t read_clock(clockid_t clock) {
  timespec now{};
  ::clock_gettime(clock, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * second + static_cast<std::uint64_t>(now.tv_nsec);
}

}  // namespace

Result<void> set_clock(std::uint64_t now) {
  const timespec time{static_cast<time_t>(now / second), static_cast<long>(now % second)};
  if (::clock_settime(CLOCK_REALTIME, &time) != 0) return fail_errno("clock_settime", "", errno);
  return {};
}

bool Follow::due() {
  const std::uint64_t now = read_clock(CLOCK_MONOTONIC);
  if (waiting_ || now < next_) return false;
  waiting_ = true;
  asked_ = now;
  return true;
}

Result<void> Follow::heard(std::uint64_t host) {
  if (!waiting_) return {};
  waiting_ = false;
  const std::uint64_t now = read_clock(CLOCK_MONOTONIC), own = read_clock(CLOCK_REALTIME), took = now - asked_;
  next_ = now + second;
  // The host's clock was at `host` when ours was somewhere in own - took … own.
  const bool ahead = own > host + took + tolerated, behind = own + tolerated < host;
  return ahead || behind ? set_clock(host + took / 2) : Result<void>();
}

}  // namespace bulkhead::shim

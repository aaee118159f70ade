// The machine's clock, which follows the host's: a machine that is saved, or whose host sleeps, knows nothing of the
// time that goes by.
#pragma once

#include <cstdint>

#include "base/result.h"

namespace bulkhead::shim {

// Nanoseconds since 1970.
Result<void> set_clock(std::uint64_t now);

// When to ask the host for the time, and what to do with the answer.
class Follow {
 public:
  // True once a second, when nothing is asked already: the caller asks.
  bool due();
  // The answer. It is of a moment between asking and now; the clock is set where it can't be right by that.
  Result<void> heard(std::uint64_t host);

 private:
  std::uint64_t asked_ = 0, next_ = 0;  // of CLOCK_MONOTONIC
  bool waiting_ = false;
};

}  // namespace bulkhead::shim

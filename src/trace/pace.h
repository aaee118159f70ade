// How much is recorded: a workload that starts processes without end must not fill the disk with them. Each kind has
// its own allowance, so that a flood of one hides nothing of another; what is over it is counted.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/allowance.h"

namespace bulkhead::trace {

enum class Kind { started, executed, ended, opened, connected };
inline constexpr std::size_t kinds = 5;

class Pace {
 public:
  using Clock = Allowance::Clock;
  using Limits = Allowance::Limits;  // of each kind

  Pace(const Limits& limits, Clock::time_point now);
  // Whether one more event of this length may be recorded; counted if not.
  bool allows(Kind kind, std::size_t bytes, Clock::time_point now);
  // The sentry's own count of what it could not send; it may come out of order.
  void unsent(std::uint32_t count);

  struct Omitted {
    std::array<std::uint64_t, kinds> of{};
    std::uint64_t unsent = 0;
    bool any() const;
  };
  const Omitted& omitted() const { return omitted_; }
  // What was left out since the last time this was asked.
  Omitted take();

 private:
  std::vector<Allowance> allowances_;
  Omitted omitted_;
  std::uint32_t unsent_ = 0;
};

}  // namespace bulkhead::trace

// Counters against a grant's Budget. What was counted stays counted; a request that was refused is
// not.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string_view>

#include "policy/policy.h"

namespace bulkhead::grant {

class Meter {
 public:
  using Clock = std::chrono::steady_clock;
  explicit Meter(const Budget& budget) : budget_(budget) {}

  // Each counts, or names the limit that would be passed as the policy file does ("requests_per_minute").
  std::optional<std::string_view> request(Clock::time_point now);
  // Other limits from now on; what was counted stays counted.
  void limit(const Budget& budget) { budget_ = budget; }
  // Bytes of bodies.
  std::optional<std::string_view> up(std::uint64_t bytes, Clock::time_point now);
  std::optional<std::string_view> down(std::uint64_t bytes, Clock::time_point now);

  // Is there room for that many bytes up? For a declared length, before anything is sent; counts nothing.
  std::optional<std::string_view> fits_up(std::uint64_t bytes, Clock::time_point now);

 private:
  // A sliding minute, counted in two halves that are weighted by how much of them it covers.
  class Minute {
   public:
    bool fits(std::uint64_t more, std::uint64_t limit, Clock::time_point now);
    void add(std::uint64_t more) { this_ = this_ + more < more ? UINT64_MAX : this_ + more; }

   private:
    std::uint64_t this_ = 0, last_ = 0;
    std::optional<Clock::time_point> began_;  // the present half
  };
  struct Direction {
    std::uint64_t total = 0;
    Minute minute;
  };
  static bool fits(Direction& counted, std::uint64_t bytes, const std::optional<std::uint64_t>& in_all,
                   const std::optional<std::uint64_t>& per_minute, Clock::time_point now, bool& minute);

  Budget budget_;
  std::uint64_t requests_ = 0;
  Minute request_minute_;
  Direction up_, down_;
};

}  // namespace bulkhead::grant

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

  // Counts one request, or names the limit it would pass ("requests", "requests_per_minute"). A
  // minute is a sliding one, counted in two halves that are weighted by how much of them it covers.
  std::optional<std::string_view> request(Clock::time_point now);
  // Bytes of bodies. False: more than is left.
  bool up(std::uint64_t bytes) { return add(up_, bytes, budget_.bytes_up); }
  bool down(std::uint64_t bytes) { return add(down_, bytes, budget_.bytes_down); }

  // Is there room for that many bytes up? For a declared length, before anything is sent.
  bool fits_up(std::uint64_t bytes) const {
    return !budget_.bytes_up || (up_ <= *budget_.bytes_up && bytes <= *budget_.bytes_up - up_);
  }

 private:
  static bool add(std::uint64_t& counter, std::uint64_t bytes, const std::optional<std::uint64_t>& limit) {
    counter = counter + bytes < counter ? UINT64_MAX : counter + bytes;
    return !limit || counter <= *limit;
  }

  Budget budget_;
  std::uint64_t requests_ = 0, up_ = 0, down_ = 0;
  std::uint64_t this_minute_ = 0, last_minute_ = 0;
  std::optional<Clock::time_point> minute_;  // when the present one began
};

}  // namespace bulkhead::grant

// Something to wait for: one coroutine waits, anybody notifies.
#pragma once

#include <chrono>
#include <optional>

#include "gateway/front/io.h"

namespace bulkhead::front {

class Signal {
 public:
  explicit Signal(asio::io_context& io) : timer_(io, Clock::time_point::max()) {}
  void notify() { timer_.cancel(); }
  // False: nobody notified within `patience`. The caller looks at its condition before and after.
  Task<bool> wait(std::optional<std::chrono::milliseconds> patience = std::nullopt) {
    timer_.expires_at(patience ? Clock::now() + *patience : Clock::time_point::max());
    auto [error] = co_await timer_.async_wait(no_throw);
    co_return static_cast<bool>(error);
  }

 private:
  Timer timer_;
};

}  // namespace bulkhead::front

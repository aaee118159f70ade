// Requests that wait while the person at the terminal is asked about them (gateway/question.h). What the answer was is
// not said here: the request is judged again, by the grants that hold then.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <nlohmann/json_fwd.hpp>

#include "gateway/tls/token_bucket.h"

namespace bulkhead::front {

class Held;

class Questions {
 public:
  // Hands a message to the supervisor; false: not now, and it is not one that may wait.
  using Say = std::function<bool(const nlohmann::json&, bool may_wait)>;
  Questions(Say say, std::size_t most, double per_second)
      : say_(std::move(say)), most_(most), rate_(per_second, static_cast<double>(most)) {}

  // The supervisor's word. For a request that is gone already it means nothing.
  void answered(std::uint64_t number);

 private:
  friend class Held;
  Say say_;
  std::size_t most_;
  TokenBucket rate_;
  std::uint64_t last_ = 0;
  std::map<std::uint64_t, Held*> held_;
};

}  // namespace bulkhead::front

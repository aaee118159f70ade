// Connections into the room, for published ports: the relay, which may make no socket, asks for them.
#pragma once

#include <cstdint>
#include <vector>

#include "base/fd.h"
#include "base/result.h"

namespace bulkhead::broker {

class Publisher {
 public:
  // `ports`: those of the room's that may be asked for, and no others.
  Publisher(UniqueFd relay, std::vector<std::uint16_t> ports) : relay_(std::move(relay)), ports_(std::move(ports)) {}

  int relay() const { return relay_.get(); }
  // One question, answered at once: whether anybody listens there the relay sees for itself. False: it is gone.
  Result<bool> answer() const;

 private:
  const UniqueFd relay_;
  const std::vector<std::uint16_t> ports_;
};

}  // namespace bulkhead::broker

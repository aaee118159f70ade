// Connections into the room, for published ports: the relay, which may make no socket, asks for them.
#pragma once

#include <cstdint>
#include <vector>

#include "base/fd.h"
#include "base/result.h"

namespace bulkhead::broker {

class Publisher {
 public:
  // `ports`: those inside that may be asked for, and no others. `beyond_wire`: of the workload's own stack, at the far
  // end of the room's wire (room/wire.h), and not of the room's loopback.
  Publisher(UniqueFd relay, std::vector<std::uint16_t> ports, bool beyond_wire = false)
      : relay_(std::move(relay)), ports_(std::move(ports)), beyond_wire_(beyond_wire) {}

  int relay() const { return relay_.get(); }
  // One question, answered at once: whether anybody listens there the relay sees for itself. False: it is gone.
  Result<bool> answer() const;

 private:
  const UniqueFd relay_;
  const std::vector<std::uint16_t> ports_;
  const bool beyond_wire_;
};

}  // namespace bulkhead::broker

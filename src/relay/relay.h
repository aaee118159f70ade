// relay/: connections from the host to a server inside (`--publish`).
//
// A connection only ever begins on the host's side. The supervisor listens there and hands the listening sockets to
// bulkhead-relay, a process that can make no socket and connect none. For each connection it accepts, it asks the
// room's holder, which makes a socket inside and begins to connect it to the port that is published (broker/broker.h);
// then it passes bytes both ways, unread.
//
//   supervisor -> relay, descriptor 3: {"type":"relay","ports":[{"port":8080,"inside":80}]}
//                                      + the way to the holder, then one listening socket a port
//   relay -> supervisor: {"type":"ready"}, once it is confined; at the end {"type":"unanswered","port","inside"} for a
//   port at which somebody asked and nobody inside ever listened
//   relay -> holder: two bytes, which of the ports (in order) and the family, 4 or 6; a socket (or nothing) and one
//   byte
//                    come back, in the order of asking
//
// Descriptor 4 is the way to evidence.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "evidence/evidence.h"

namespace bulkhead::relay {

struct Port {
  std::uint16_t port = 0;    // of the host's
  std::uint16_t inside = 0;  // of the room's
  UniqueFd listener;
};

// Tests bring their own.
struct Limits {
  std::size_t links = 128;                       // connections at once, of all ports; more wait in the backlog
  std::size_t buffer = 64 * 1024;                // bytes on their way, in each direction of each
  std::chrono::milliseconds connect{10'000};     // for the server inside to accept
  std::chrono::milliseconds one_sided{300'000};  // after one side's end, without a byte from the other
};

// Serves until the supervisor is gone. An error means that evidence or the holder is.
Result<void> serve(int supervisor, UniqueFd holder, evidence::Recorder recorder, std::vector<Port> ports,
                   const Limits& limits);

}  // namespace bulkhead::relay

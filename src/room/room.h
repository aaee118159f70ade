// room/: the session's network namespace, in which every address is the gateway (docs/architecture.md).
//
// A holder process does unshare(CLONE_NEWUSER | CLONE_NEWNET), brings `lo` up and adds one local route per
// family ("AnyIP": 0.0.0.0/0 and ::/0 are this host). It opens the listeners, hands them out and then only keeps
// the namespaces. The workload joins without capabilities over them: it can change no route and take no port.
#pragma once

#include <vector>

#include "base/process.h"
#include "gateway/gateway.h"

namespace bulkhead::room {

struct Room {
  Child holder;
  UniqueFd user_ns, net_ns;  // for setns(2), the user namespace first
  std::vector<Listener> listeners;
  std::vector<UniqueFd> sockets;  // one per listener
};

// `ports`: TCP ports that front shall answer on (80, 443, 22, … and each granted one); DNS (53, UDP and TCP)
// is always there. The holder maps the caller's uid and gid to themselves.
Result<Room> open_room(const std::vector<std::uint16_t>& ports);

// In a forked child, before exec: enter the room. Afterwards the caller has no capability over it once it execs.
Result<void> enter(const Room& room);

}  // namespace bulkhead::room

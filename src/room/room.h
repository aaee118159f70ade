// room/: the session's network namespace, in which every address is the gateway (docs/architecture.md).
//
// A holder process does unshare(CLONE_NEWUSER | CLONE_NEWNET), brings `lo` up and adds one local route per
// family ("AnyIP": 0.0.0.0/0 and ::/0 are this host). It opens the listeners, hands them out, keeps the namespaces and
// connects on the workload's behalf (broker/broker.h). The workload joins without capabilities over them: it can change
// no route and take no port.
#pragma once

#include <vector>

#include "base/process.h"
#include "gateway/gateway.h"

namespace bulkhead::room {

struct Room {
  Child holder;
  UniqueFd control;          // the holder lives while this is open; broker/broker.h has what is said here
  UniqueFd messages;         // what the holder prints
  UniqueFd user_ns, net_ns;  // for setns(2), the user namespace first
  std::vector<Listener> listeners;
  std::vector<UniqueFd> sockets;  // one per listener
};

// Opening a room takes an exec and two milliseconds: begin() starts it, furnish() says what shall be in it, finish()
// waits for it, so that the caller can do something else meanwhile.
struct Pending {
  Child holder;
  UniqueFd control, messages;
  std::vector<Listener> listeners;
};

// `holder_program`: bulkhead-holder, opened (base/install.h). It maps the caller's uid and gid to themselves.
Result<Pending> begin(int holder_program);
// `ports`: TCP ports that front shall answer on (80, 443, 22, … and each granted one); DNS (53, UDP and TCP)
// is always there. IPv6 where the machine has it.
Result<void> furnish(Pending& pending, const std::vector<std::uint16_t>& ports);
Result<Room> finish(Pending pending);

// How a listener is named to bulkhead-holder: "tcp4:443", "udp6:53".
std::string to_word(const Listener& listener);
Result<Listener> listener_from(const std::string& word);

// In a forked child, before exec: enter the room. Afterwards the caller has no capability over it once it execs.
Result<void> enter(const Room& room);

}  // namespace bulkhead::room

// A wire from the room to a second network namespace, for a tier whose workload has a network stack of its own
// (gVisor's, a virtual machine's): a veth pair, an address at each end, and rules that send whatever comes over it to
// the room's listeners. The far namespace has no other interface that leads anywhere.
//
// In the room the rules' order matters (ip-rule(8)): the route to the far end comes first, because a route by which
// every address is local swallows the answers, too; and that route has to be in the table `local`, because only an
// address in there may be an answer's source.
#pragma once

#include "base/fd.h"
#include "base/result.h"

namespace bulkhead::room {

// Of 192.0.0.0/29, which no network routes (RFC 7335), and of a ULA prefix that is made up.
inline constexpr const char* wire_room = "192.0.0.1";
inline constexpr const char* wire_far = "192.0.0.2";
inline constexpr int wire_prefix = 30;
inline constexpr const char* wire_room6 = "fd62:756c:6b68::1";
inline constexpr const char* wire_far6 = "fd62:756c:6b68::2";
inline constexpr int wire_prefix6 = 126;

// In the room, with CAP_NET_ADMIN over it and over `far`, a network namespace: the pair, and the room's end.
Result<void> lay_wire(int far);
// In the far namespace, with CAP_NET_ADMIN over it, afterwards: its end, `lo`, and the routes through it.
Result<void> take_wire();

// In a child of the caller's own: afterwards it is uid 0 (which is the caller's uid outside) of a user namespace below
// the room's, and in a network namespace of that one's whose wire is laid. Before it the caller is in the room
// (room::enter); afterwards it has no capability over that.
Result<void> go_beyond_wire();

// For a virtual machine: in place of the pair a tap whose other end is the descriptor, so there is no second namespace.
// In the room, with CAP_NET_ADMIN over it. What take_wire() does happens in the machine.
inline constexpr const char* tap_device = "/dev/net/tun";
Result<UniqueFd> lay_tap();
// The calling process from then on: the same uid in a user namespace below the room's, and in an empty network
// namespace of that one's.
Result<void> leave_room();

}  // namespace bulkhead::room

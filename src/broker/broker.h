// broker/: connect(2) on the workload's behalf.
//
// A unix socket that lies in a mounted folder accepts connections from inside, even through a
// read-only mount: an agent's, a database's, a build daemon's of the host (attack X16). Neither
// mounts nor Landlock stop that, and a seccomp filter can't read an address. So the filter asks
// (SECCOMP_RET_USER_NOTIF, Linux 5.0), and this process answers: it copies the address, judges it
// and connects the workload's own socket itself. The call is never let through to be done by the
// workload (SECCOMP_USER_NOTIF_FLAG_CONTINUE): by then the address could be another.
//
//   IPv4, IPv6    connected: the socket belongs to the room, whatever the address
//   abstract      connected: those names belong to the room too
//   a path        connected when the socket lies in one of the session's own in-memory folders,
//   else EACCES
//
// Datagram unix sockets can send to any path without connect(2); the filter refuses to make them
// (guest/).
//
//   broker.h     this file
//   publish.h    connections to published ports
//   address.h    which unix address it is, and whether its socket may be connected to
//   broker.cc    the loop: notifications, and connections that take their time
//   confine.h    what the process gives up: everything but CAP_SYS_PTRACE over the session
//
// The room's holder does this (room/holder_main.cc): it is in the room's user namespace already. From the first
// notification on it is in the workload's mount namespace: paths mean there what they mean to the workload. It is
// invisible from inside. The supervisor and it say:
//   {"type":"own","devices":[…]}                           once: the devices of the session's own in-memory folders
//   {"type":"listen"} + a filter's listener                once the workload has its filter; in a session that lives,
//   for
//                                                          each of its commands
//   {"type":"publish","ports":[80]} + the way to the relay before that, where ports are published (relay/relay.h): for
//                                                          each question on it a socket is made in the room, and its
//                                                          connection to that port of the room's begun
//   {"type":"denied","count":1,"what":…,"why":…,"add":""}  from the broker
#pragma once

#include <sys/types.h>

#include "base/fd.h"
#include "base/result.h"

namespace bulkhead::broker {

// What the broker needs of the host's /proc, opened before it leaves the host's mount namespace.
struct Proc {
  UniqueFd root;      // /proc
  UniqueFd self_fds;  // /proc/self/fd
};
Result<Proc> open_proc();

// Serves until the supervisor is gone. `enter` is called at the first notification with the pid of the process that
// made it, before anything of it is read.
Result<void> serve(int supervisor, const Proc& proc, Result<void> (*enter)(const Proc&, pid_t));

}  // namespace bulkhead::broker

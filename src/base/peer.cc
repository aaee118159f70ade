#include "base/peer.h"

#include <sys/socket.h>
#include <unistd.h>

#include <string>

#include "base/sys.h"

namespace bulkhead {

Peer peer_of(int socket, uid_t owner) {
  ucred peer{};
  socklen_t size = sizeof peer;
  if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return Peer::unknown;
  if (peer.uid != owner) return Peer::other_user;
  if (::geteuid() != owner) return Peer::ours;
  const auto theirs = sys::read_link("/proc/" + std::to_string(peer.pid) + "/ns/pid");
  const auto ours = sys::read_link("/proc/self/ns/pid");
  return peer.pid > 0 && theirs && ours && *theirs == *ours ? Peer::ours : Peer::elsewhere;
}

}  // namespace bulkhead

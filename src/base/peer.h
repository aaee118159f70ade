// Who is at the other end of a connected unix socket, as the kernel says (SO_PEERCRED, unix(7)): of when it connected.
#pragma once

#include <sys/types.h>

namespace bulkhead {

enum class Peer {
  ours,     // of this uid, and of this pid namespace
  unknown,  // it can't be told
  other_user,
  elsewhere,  // this uid, in another pid namespace: inside a container or a session
};

// `owner`: the uid that may. A process that has given up that uid can't look where a peer is, and does not.
Peer peer_of(int socket, uid_t owner);

}  // namespace bulkhead

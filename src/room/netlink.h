// The two changes a room needs, by rtnetlink(7) and netdevice(7): `lo` up, and every address local.
#pragma once

#include "base/result.h"

namespace bulkhead::room {

// IFF_UP on `lo` of the caller's network namespace.
Result<void> bring_up_loopback();

// `ip route add local default dev lo` for AF_INET or AF_INET6 ("AnyIP", Linux 2.6.37): whatever address is
// asked for, this host answers it, and nothing can be routed anywhere else.
Result<void> make_every_address_local(int family);

}  // namespace bulkhead::room

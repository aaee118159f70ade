// The addresses of this machine's own interfaces: a granted name must not lead back to the host
// (attack D01).
#pragma once

#include <cstdint>
#include <set>
#include <vector>

#include "base/result.h"
#include "gateway/egress/dial.h"

namespace bulkhead::egress {

// getifaddrs(3): before confine(), since it opens a netlink socket.
Result<std::set<std::vector<std::uint8_t>>> own_addresses();

// Refuses what grant::why_not_dialled() refuses, and `own`.
AddressCheck address_check(std::set<std::vector<std::uint8_t>> own);

}  // namespace bulkhead::egress

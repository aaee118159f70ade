// What of the host a workload sees before any mount of the policy: an allow-list. /usr, the parts of /etc that
// tools need, toolchains in HOME; fresh /tmp, /run, /var, HOME and /dev/shm. A deny-list over / would leak what
// nobody thought of: homes in /var/lib, sockets in /run, data in /srv.
#pragma once

#include <string>
#include <vector>

#include "session/identity.h"
#include "tier/tier.h"

namespace bulkhead::session {

// Adds the view to `plan`; with the policy's toolchains also ~/.nvm, ~/.cargo/bin, … read-only where they exist.
// Returns the folders outside /usr that became visible (for PATH).
Result<std::vector<std::string>> add_view(tier::Plan& plan, Sources& sources, const Identity& identity,
                                          const Policy& policy);

}  // namespace bulkhead::session

// What of an upstream's response head reaches the workload.
#pragma once

#include "gateway/egress/scrub.h"
#include "gateway/lane.h"

namespace bulkhead::egress {

// Drops what would set state in the client (cookies, Alt-Svc, HSTS, NEL and kin), lead it elsewhere by itself
// (Refresh, preloads), speak about a connection that isn't the client's (hop-by-hop, whatever Connection lists,
// Proxy-*, framing), or offer connection-bound authentication (Negotiate, NTLM). Scrubs the rest. Redirects pass:
// the client needs a grant of its own for where they lead.
lane::Headers downstream_headers(const lane::Headers& received, const Patterns& patterns);

// Is the body encoded, so that a credential in it would go unseen?
bool encoded(const lane::Headers& headers);

}  // namespace bulkhead::egress

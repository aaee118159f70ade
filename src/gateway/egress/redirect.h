// Redirects that egress follows itself (ResponseRules::follow): to the hosts that the grant lists, and to nothing that
// could be read in two ways. The link, which is often signed, never reaches the workload.
#pragma once

#include <optional>
#include <string>

#include "gateway/http/http.h"
#include "gateway/lane.h"
#include "policy/policy.h"

namespace bulkhead::egress {

struct Redirect {
  std::string host, target;
};

// Where this answer to `request` leads, at the grant's port and over https; nullopt: it is the workload's, as it came.
std::optional<Redirect> redirect_to_follow(const Grant& grant, const lane::Request& request,
                                           const http::ResponseHead& head);

}  // namespace bulkhead::egress

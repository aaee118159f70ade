// What the workload's environment holds: a short list of the host's harmless variables, what the policy sets and
// passes, the session's tokens, and where tools find the session's CA. Never the host's environment as a whole.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "gateway/gateway.h"
#include "policy/policy.h"
#include "session/identity.h"

namespace bulkhead::session {

inline constexpr char ca_bundle_path[] = "/etc/ssl/certs/ca-certificates.crt";

// `visible`: folders the workload sees; PATH keeps the host's order but only entries below one of them. `image`: what
// an image's configuration sets, null without one; then PATH is its own, or a usual one.
std::map<std::string, std::string> make_environment(const Policy& policy, const Identity& identity,
                                                    const std::vector<TokenSlot>& tokens,
                                                    const std::vector<std::string>& visible,
                                                    const std::map<std::string, std::string>* image = nullptr);

}  // namespace bulkhead::session

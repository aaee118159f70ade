// What the workload holds instead of a secret: worthless anywhere but in the named slot of this
// session's grants.
#pragma once

#include <string>
#include <string_view>

#include "gateway/gateway.h"
#include "policy/policy.h"

namespace bulkhead {

// `expose_prefix` + "bulkhead-" + 256 random bits in hex. The prefix satisfies tools that check
// what a key looks like; the word tells a person who finds it in a log what it is.
std::string make_token(std::string_view expose_prefix);

// The slot of `credential` with a fresh token in it; for sigv4 a key pair of the session's own (160 random bits).
TokenSlot make_slot(const Credential& credential);

}  // namespace bulkhead

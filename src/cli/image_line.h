// What a policy's image is, for the commands that show policies.
#pragma once

#include <string>

#include "policy/effective.h"

namespace bulkhead::cli {

// "image PATH: sha256:… (unpacked: it is in the cache)"; empty: there is none. Nothing is unpacked for it. One that
// can't be opened says why; no session would start. Safe to print.
std::string image_line(const Policy& policy, const PolicyRequest& request);

}  // namespace bulkhead::cli

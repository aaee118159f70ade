// Policy -> tier::Plan: every path is opened first, judged by what it is, and mounted by its descriptor.
#pragma once

#include <string>
#include <vector>

#include "policy/policy.h"
#include "session/identity.h"
#include "tier/tier.h"

namespace bulkhead::session {

struct Planned {
  tier::Plan plan;
  std::vector<std::string> visible;  // folders for PATH
  std::string directory;             // working directory inside
  std::string workspace;             // the first rw mount, for the start line; empty when there is none
};

// `session_directory`: where private copies go. `working_directory`: the caller's, resolved.
Result<Planned> make_plan(const Policy& policy, const Identity& identity, Sources& sources, int session_directory,
                          const std::string& working_directory);

}  // namespace bulkhead::session

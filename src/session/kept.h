// The session's side of mounts `rw-no-delete` (keep/keep.h): each gets a kept folder and a process that serves it.
#pragma once

#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "session/helpers.h"
#include "session/identity.h"
#include "session/plan.h"
#include "session/state/state.h"

namespace bulkhead::session {

struct KeptMount {
  std::string target;
  UniqueFd tree, kept;
  UniqueFd device;  // where its /dev/fuse will come from
  UniqueFd lock;    // on the folder itself, for the session's life: one session at a time keeps its originals
};

// With the caller's own privileges, once the plan is made. Refuses where this machine can't do it.
Result<std::vector<KeptMount>> prepare_kept(Planned& planned, const Identity& identity, Sources& sources,
                                            const SessionDir& directory);
// Starts the processes. What they need is theirs afterwards.
Result<void> serve_kept(std::vector<KeptMount>& mounts, Helpers& helpers, const HelperFiles& files);

}  // namespace bulkhead::session

// The session's side of live folders that are served (keep/keep.h): mode `rw-no-delete`, and `rw` with `protect`. Each
// gets a process of its own, and the first a kept folder.
#pragma once

#include <nlohmann/json_fwd.hpp>
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
  std::string host;  // where the folder is
  std::vector<std::string> allow_control;
  UniqueFd tree, kept;  // kept: mode rw-no-delete alone
  UniqueFd device;      // where its /dev/fuse will come from
  UniqueFd lock;        // on the folder itself, for the session's life: one session at a time keeps its originals
};

// With the caller's own privileges, once the plan is made. Refuses where this machine can't do it.
Result<std::vector<KeptMount>> prepare_kept(Planned& planned, const Identity& identity, Sources& sources,
                                            const SessionDir& directory);
// What they protect, as bulkhead-keep is told it; null: no such mount. With the caller's own privileges.
Result<nlohmann::json> protected_names(const std::vector<KeptMount>& mounts, const std::string& data,
                                       const Paths& paths);
// Starts the processes. What they need is theirs afterwards. `own_numbers`: another server stands between the mount and
// the workload (keep/filesystem.h).
Result<void> serve_kept(std::vector<KeptMount>& mounts, const nlohmann::json& names, bool own_numbers, Helpers& helpers,
                        const HelperFiles& files);

}  // namespace bulkhead::session

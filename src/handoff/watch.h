// A session's part in what is left in folders it can write (live.h): what was there is on the disk before the workload
// runs, and is held against the folder when the session is over - by whoever comes next, if it was killed.
#pragma once

#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "session/state/paths.h"
#include "trust/pins.h"
#include "trust/snapshot.h"

namespace bulkhead::handoff {

// `project`: the folder. The descriptor keeps a lock; while it is open (in this process and its children) the session
// counts as alive. Not synced: a machine that goes down takes the session with it.
Result<UniqueFd> begin_watch(const session::Paths& paths, const std::string& session, std::size_t index,
                             const trust::Project& project, const trust::Snapshot& before);

// For all sessions that are over and were not looked at yet: what they changed is kept (live.h), recorded, and said in
// these lines; empty: nothing. `data`: where the list of control files is.
std::vector<std::string> end_watches(const session::Paths& paths, const std::string& data);

}  // namespace bulkhead::handoff

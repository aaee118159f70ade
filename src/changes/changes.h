// changes/: what happens to files in the folders that a session may change, as this machine's own kernel tells it
// (inotify(7)). On the tiers with a kernel of their own the workload's word for it (trace/) may be a lie; this one is
// not: whatever was done in there was done through the host's kernel. Who did it is not in it: it may have been
// somebody on the host.
//
//   changes.h       this file: the process
//   tree.h          which watch is which folder
//   watcher.h       inotify's events -> changes; finds the folders
//   gather.h        changes -> events: a second's together, and not more than is allowed
//   changes_main.cc bulkhead-changes
//
// Descriptor 3 is the supervisor, 4 evidence. It reads names and nothing else: its filter lets it open folders, for
// listing, and no file.
//   supervisor -> changes: {"type":"watch","mounts":["/target",…],"more":false} and one descriptor for each (O_PATH);
//                          as often as there is more
//   changes -> supervisor: {"type":"ready"}, once all folders are watched, or after `patience`: then the rest follow
//                          {"type":"unseen","reason":"…"}, the first time that something can't be watched
// Descriptor 3 closing is the session's end.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "evidence/evidence.h"

namespace bulkhead::changes {

inline constexpr std::chrono::seconds patience{5};
// Of folders, for one session. No more than half of what the user may have (fs.inotify.max_user_watches), which is also
// for the editors on the desktop.
inline constexpr std::size_t most_watches = 65'536;

struct Mount {
  std::string target;  // inside
  UniqueFd top;        // O_PATH: a folder, or a file
};

// Records until the supervisor is gone. An error means that it or evidence is. Confines itself.
Result<void> serve(int supervisor, std::vector<Mount> mounts, evidence::Recorder recorder);

}  // namespace bulkhead::changes

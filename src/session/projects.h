// What nobody trusted in the folders a session may write (trust/trust.h): hidden from it where the folder is in mode
// review, said in its first lines, and recorded.
#pragma once

#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "session/state/paths.h"
#include "trust/handoff.h"
#include "trust/snapshot.h"
#include "trust/trust.h"

namespace bulkhead::session {

// A folder of the policy's, as it was opened and judged.
struct ProjectFolder {
  std::string path;
  UniqueFd folder;
  bool live = false;                    // what the session writes, the host has at once (modes rw, rw-no-delete)
  trust::Onlooker* onlooker = nullptr;  // who else looks for something in it
};

struct Untrusted {
  std::string path;
  trust::Verdict verdict;
  bool hidden = false;  // from the session, all of it
};

// What the host could execute or obey in a live folder, before the session (handoff/watch.h).
struct Watched {
  trust::Project project;
  trust::Snapshot before;
};

struct Projects {
  // Those with something to hide. What nobody is asked about (trust::Control::dependency) may be all of it.
  std::vector<Untrusted> untrusted;
  std::vector<std::string> problems;  // why something that was trusted does not count; escaped
  std::vector<Watched> watched;       // live folders, none in another
  std::map<std::string, std::vector<trust::Surroundings::Alias>> links;  // of the others, by their paths
};

// With the caller's own privileges. An error when the list of control files (`data`/control, and the user's own) can't
// be read: nothing could be said then.
Result<Projects> look_at_projects(const std::vector<ProjectFolder>& folders, const std::string& data,
                                  const Paths& paths);

// A layer that hides what nobody trusted in the project at `path`, opened as `folder`; made as `mask` in the folder
// `parent`: O_PATH, or nothing when there is nothing to hide. An error when not all could be looked at: then nobody
// knows what to hide.
Result<UniqueFd> hide_untrusted(Projects& projects, const std::string& path, int folder, int parent);

// What is said of them. Empty for a quiet project.
std::vector<std::string> lines_about(const Projects& projects);

// The fields of trust.untrusted: an event has 63 KiB, so the list may be cut (`count` is not).
nlohmann::json untrusted_event(const Untrusted& project);

}  // namespace bulkhead::session

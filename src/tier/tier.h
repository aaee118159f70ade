// tier/: how a workload is isolated. One interface; native/ (bubblewrap + Landlock + seccomp) now, gvisor/ and
// vm/ later. A tier gets a Plan in which nothing is left to decide: every path was opened and judged before,
// every setting either can be enforced or was refused by name.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/process.h"
#include "policy/policy.h"
#include "room/room.h"

namespace bulkhead::tier {

// A host path to show, already opened: what is mounted is this descriptor, not a name that could be swapped.
struct PlannedMount {
  UniqueFd source;     // O_PATH
  std::string target;  // absolute, inside
  MountMode mode = MountMode::ro;
  std::string described;  // the path as the user wrote it, for messages
};

// A small file made for the session (its /etc, its CA bundle). Read-only inside.
struct PlannedFile {
  std::string target;
  std::string content;
  mode_t mode = 0644;
};

struct PlannedLink {
  std::string target;  // where the symlink stands
  std::string to;
};

struct Plan {
  std::vector<PlannedMount> mounts;  // outermost first
  std::vector<PlannedFile> files;
  std::vector<PlannedLink> links;
  std::vector<std::string> tmpfs;  // fresh, writable, sized by limits.tmp
  std::vector<std::string> arguments;  // the command
  std::map<std::string, std::string> environment;
  std::string directory;  // working directory inside
  std::string home;
  uid_t uid = 0;
  gid_t gid = 0;
  Limits limits;
  bool stdin_is_tty = false, stdout_is_tty = false, stderr_is_tty = false;  // these get the session's own pty
};

}  // namespace bulkhead::tier

// Who the workload is on the host. An ordinary user's session has that user's uid. Started as uid 0, the session
// gets an unprivileged uid of its own before the first user namespace is made, and what belongs to root is
// mounted id-mapped onto it: root inside would still be root outside for everything the kernel does not namespace.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"

namespace bulkhead::session {

struct Identity {
  uid_t uid = 0;
  gid_t gid = 0;
  std::string name;  // as `whoami` says inside
  std::string home;  // the host's HOME; inside, a fresh folder stands at the same path
  bool from_root = false;
};

// Ordinary: the caller's own. As root: SUDO_UID/SUDO_GID under sudo, else a random uid of 70000–70999 that no
// account has. Fails without a HOME, or for a uid that is privileged in any other way.
Result<Identity> decide_identity();

// Opens host paths for mounting. As root, in a private mount namespace, folders that belong to root become
// id-mapped clones (open_tree(2), mount_setattr(2) MOUNT_ATTR_IDMAP: Linux 5.12) before root is given up.
class Sources {
 public:
  // `stage`: an existing empty folder of the session, where the clones hang (in the private namespace only).
  // Nothing happens for an ordinary user.
  static Result<Sources> make(const Identity& identity, const std::string& stage);

  // The path as O_PATH; `map_ids`: id-mapped when it belongs to root and we are root.
  Result<UniqueFd> open(const std::string& path, bool map_ids);

  // As root: gives up every privilege for good. From here on the process is the session's uid.
  Result<void> drop_privileges();

 private:
  Result<UniqueFd> mapped(const std::string& path);

  Identity identity_;
  std::string stage_;
  UniqueFd user_ns_;  // maps 0 to the session's uid
  int count_ = 0;
};

}  // namespace bulkhead::session

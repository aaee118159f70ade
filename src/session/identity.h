// Who the workload is on the host. An ordinary user's session has that user's uid. Started as uid
// 0, the session gets an unprivileged uid of its own before the first user namespace is made, and
// what belongs to root is mounted id-mapped onto it: root inside would still be root outside for
// everything the kernel does not namespace.
#pragma once

#include <sys/stat.h>
#include <sys/types.h>

#include <map>
#include <string>
#include <utility>

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

// Ordinary: the caller's own. As root: SUDO_UID/SUDO_GID under sudo, else a random uid of
// 70000–70999 that no account has. Fails without a HOME, or for a uid that is privileged in any
// other way.
Result<Identity> decide_identity();

// Opens host paths and makes them mountable by the session's uid. For an ordinary user there is
// nothing to make. Started as root, in a private mount namespace, each shown path becomes a mount
// of its own at a place that uid can reach (bubblewrap follows a descriptor's path, and /root is
// closed to it), and what belongs to another uid is id-mapped onto the session's (open_tree(2),
// mount_setattr(2) MOUNT_ATTR_IDMAP: Linux 5.12).
class Sources {
 public:
  static Result<Sources> make(const Identity& identity);

  // The path as O_PATH, links followed.
  Result<UniqueFd> open(const std::string& path) const;
  // The same file or folder, ready to be handed to a tier. `name` is for messages.
  Result<UniqueFd> mountable(UniqueFd fd, const std::string& name);

  // Started as root: two folders, id-mapped as the first one's owner wants, as parts of one mount, which stands
  // nowhere: between them files can be moved and linked. An error with code EXDEV where they are on two mounts.
  Result<std::pair<UniqueFd, UniqueFd>> together(const std::string& folder, const std::string& other);

  // As root: gives up every privilege for good. From here on the process is the session's uid.
  Result<void> drop_privileges();

 private:
  Result<UniqueFd> clone(int fd, const struct stat& st);
  Result<void> map_onto_session(int tree, const struct stat& st);
  Result<int> user_namespace(uid_t owner, gid_t group);

  Identity identity_;
  // By owner: a namespace that maps it to the session's uid.
  std::map<std::pair<uid_t, gid_t>, UniqueFd> user_namespaces_;
  int count_ = 0;
};

}  // namespace bulkhead::session

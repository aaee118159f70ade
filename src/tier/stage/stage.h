// The root that a tier's program starts in: a small tmpfs with what a plan shows and nothing else of the host. It is in
// a mount namespace of its own, so it is gone with the last process that is in there, however that ends.
#pragma once

#include <set>
#include <string>

#include "tier/tier.h"

namespace bulkhead::tier {

// Until it is the root: a folder every Linux has and no mount of a plan can come from.
inline constexpr const char* stage_path = "/sys";

// Paths are absolute, as they will be once enter() has made the stage the root. To be used in the child that will exec
// the tier's program, with CAP_SYS_ADMIN in its user namespace.
class Stage {
 public:
  // A mount namespace with the stage in it.
  Result<void> begin();
  // What is not there yet is made, with its parents (0755).
  Result<void> folder(const std::string& path);
  Result<void> file(const std::string& path, const std::string& content);
  Result<void> link(const std::string& path, const std::string& to);
  // What stands at `source` in this namespace. `path` is there.
  Result<void> bind(const std::string& source, const std::string& path);
  // As the plan has it: the very file its descriptor names, the overlay of mode review, or an output's memory.
  Result<void> bind(const PlannedMount& mount, const std::string& path);
  // The same over what is there already, which stays as it is underneath.
  Result<void> bind_over(const PlannedMount& mount, const std::string& path);
  // At `path`: an image's folder, read-only, and over it what stands in `over`, a folder of the stage. Where both have
  // something, that of `over` counts: two folders are one with what is in either, anything else of the image's is not
  // there. So no path that `over` has leads through a link of the image's. overlayfs in a user namespace, Linux 5.11.
  Result<void> root(const PlannedMount& image, const std::string& over, const std::string& path);
  // A FUSE mount: the source itself is not here at all; whoever has the other end of the mount's socket serves it.
  Result<void> serve(const PlannedMount& mount, const std::string& path);
  // Of everything bound below it: without set-user-ID and device files, and read-only unless `writable`.
  // mount_setattr(2), Linux 5.12.
  Result<void> restrict(const std::string& path, bool writable = false);
  // What the host's own programs run on: /usr, and /bin, /lib, /lib64 as they are. Read-only.
  Result<void> programs();
  // The null device and its like, from the host.
  Result<void> devices();
  // From here on the host's mounts are gone.
  Result<void> enter();

 private:
  Result<void> memory(const PlannedMount& mount, const std::string& path);
  Result<void> overlay(const PlannedMount& mount, const std::string& path);
  std::set<std::string> made_;
};

bool in_etc(const std::string& target);

}  // namespace bulkhead::tier

// The root that bubblewrap starts in: a small tmpfs with the session's /etc, what a plan mounts, and nothing else of
// the host. bubblewrap reads the whole mount table for each thing it binds; with the host's mounts in it that is most
// of a session's start, and what is not there cannot be bound by mistake.
#pragma once

#include <string>

#include "tier/tier.h"

namespace bulkhead::tier::native {

// Where the source of a mount stands in it: plan.system's of the root folder and of /etc at their own place, any other
// numbered.
std::string staged_system(const Plan& plan, std::size_t index);
inline constexpr const char* staged_image = "/image";  // plan.image, with all that lies over it
std::string staged_mount(std::size_t index);           // plan.mounts[index]

// In the child that will exec bubblewrap, privileged in the room's user namespace: a mount namespace of its own with
// that root. The plan's sources are mounted as their descriptors say, /etc has the plan's folders (read-only), files
// and links; late files are not among them. mount_setattr(2), Linux 5.12.
Result<void> make_stage(const Plan& plan);

}  // namespace bulkhead::tier::native

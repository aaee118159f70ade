// The session's /etc, put together in one folder before bubblewrap starts. bubblewrap reads the whole mount table for
// each thing it binds, which with a dozen folders of /etc is most of a session's start.
#pragma once

#include <string_view>

#include "tier/tier.h"

namespace bulkhead::tier::native {

// Where it stands, in the mount namespace that stage_etc() makes and bubblewrap starts in: a folder every Linux has
// and no mount of a plan can come from.
inline constexpr const char* etc_stage = "/sys";

// Does that target belong to it?
bool in_etc(std::string_view target);

// In the child that will exec bubblewrap, privileged in the room's user namespace: a mount namespace of its own, a
// small tmpfs, and in it the plan's folders of /etc (bound read-only), files and links. Late files are not among them.
// mount_setattr(2), Linux 5.12.
Result<void> stage_etc(const Plan& plan);

}  // namespace bulkhead::tier::native

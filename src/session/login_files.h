// Puts the session's login files (logins.h) where the agents look for them: into the private copy of the folder, or
// into an empty one that is made for it. Nothing of the host's is written.
#pragma once

#include <functional>
#include <vector>

#include "session/identity.h"
#include "session/logins.h"
#include "tier/tier.h"

namespace bulkhead::session {

// The host's own file must not come in by a mount: an error says which, and what to do. `real`: what is mounted.
Result<void> judge_login_mount(const std::vector<LoginFile>& files, const Mount& mount, const std::string& real);

// `fresh` makes an empty private folder of the session's. Refused: where the file would stand, a mount shows the host's
// own folder.
Result<void> place_logins(const std::vector<LoginFile>& files, const Identity& identity, tier::Plan& plan,
                          const std::function<Result<UniqueFd>()>& fresh);

}  // namespace bulkhead::session

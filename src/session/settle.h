// What a stranger's archive became on the host, looked through before it is anybody's: nobody else writes there any
// more.
#pragma once

#include "base/result.h"
#include "session/copy.h"

namespace bulkhead::session {

// In `folder` is what was asked for. Of it only files, folders and links that stay beneath it are left. set-user-ID,
// set-group-ID and sticky bits go, only the owner writes, and may also read. As root everything becomes root's. Adds
// what there is to `copied`.
Result<void> settle(int folder, Copied& copied);

}  // namespace bulkhead::session

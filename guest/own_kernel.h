// What the shim does first where the kernel is the session's own (Setup::own_kernel), as uid 0 of it without any
// capability: it becomes the session's uid, and makes what the tier's mounts leave out.
#pragma once

#include "guest/protocol.h"
#include "guest/pty.h"

namespace bulkhead::shim {

// A user namespace in which uid and gid are what 0 is outside it: files of the session's then show the owner that they
// have on the host, and nothing inside looks like root. Nothing to do where it is that uid already.
Result<void> become(uid_t uid, gid_t gid);

// Setup's folders and links.
Result<void> furnish(const Setup& setup);

// The pty's settings, and /dev/tty, which gVisor (2024) has but can't open: it becomes the session's own pty.
Result<void> prepare_terminal(const Setup& setup, const Pty& pty);

}  // namespace bulkhead::shim

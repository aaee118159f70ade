// tier/gvisor/: the workload's kernel is gVisor's, a program (runsc's "sentry") that runs unprivileged and asks the
// host's kernel for little; the room is reached by a wire (room/wire.h), at whose end is gVisor's own network stack.
//
//   bundle.h   Plan -> the OCI configuration of what is shown (stage/inside.h stages it)
//   fallback.h Debian 12's runsc, where a policy names it
//   find.h     where runsc is, and whether it is one that can do this
//   saved.h    templates: saving a sandbox's memory and going on from it
//   tracing.h  what it tells of the processes inside
//   gvisor.h   starting it beyond the wire
//
// Everything of runsc's (its bundle, its state, its mounts, its processes) is in a mount namespace and a pid namespace
// of the session's own: it is gone with the first process in there, and nothing of it is on a disk.
//
// It runs as uid 0 of a user namespace below the room's, which is the session's uid outside, without any capability
// over the host or the room. Only that one id is mapped, so runsc's proxy for files (the "gofer") can't run as somebody
// else; it opens the mounts, and the sentry reads and writes through those descriptors (--directfs).
#pragma once

#include <memory>

#include "tier/tier.h"

namespace bulkhead::tier::gvisor {

// Fails when there is no runsc, or none that can do it.
// `old`: with Debian 12's runsc (fallback.h), and no other.
Result<std::unique_ptr<Isolation>> open(bool old = false);
// With a shim that is not beside the running program, for tests.
Result<std::unique_ptr<Isolation>> open_with(const std::string& shim_path);

}  // namespace bulkhead::tier::gvisor

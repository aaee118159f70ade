// The session's own pseudo-terminal, opened inside the boundary: the devpts instance is the sandbox's, so the
// workload's tty is /dev/pts/0 there and no terminal of the host is ever in the room.
#pragma once

#include "base/fd.h"
#include "guest/protocol.h"

namespace bulkhead::shim {

struct Pty {
  UniqueFd master, slave;
};

// Neither echoes nor turns line ends into what a screen needs: who shows it does that already.
Result<void> make_plain(const Pty& pty);

// Opens /dev/ptmx of the mount namespace the caller is in.
Result<Pty> open_pty(const WindowSize& window);

}  // namespace bulkhead::shim

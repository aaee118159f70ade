// Where a running session is spoken to (session/control.h is the end that listens).
#pragma once

#include <sys/un.h>

#include "base/fd.h"
#include "base/result.h"

namespace bulkhead::session {

// SOCK_SEQPACKET, non-blocking.
Result<UniqueFd> control_socket();
// By descriptor: a path of any length fits, and nobody can swap a folder on the way.
sockaddr_un control_address(int session_directory);

// Connects to the session whose folder this is; the socket blocks.
Result<UniqueFd> connect_control(int session_directory);

}  // namespace bulkhead::session

// Port 22 answers only to say that it doesn't serve: a client that is told why beats one that times out.
#pragma once

#include <string>

namespace bulkhead::front {

// The identification line (RFC 4253 4.2) and an unencrypted SSH_MSG_DISCONNECT (RFC 4253 11.1) in one packet, as any
// client reads them before keys are exchanged.
std::string ssh_refusal();

}  // namespace bulkhead::front

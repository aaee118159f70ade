// A secret on its way from the process that reads it to the one that holds it: one message over a SOCK_SEQPACKET pair
// that nobody else has an end of.
#pragma once

#include "base/result.h"
#include "credential/secret.h"

namespace bulkhead {

Result<void> hand_over(int socket, const Secret& secret);
// Waits for it.
Result<Secret> take_over(int socket);

}  // namespace bulkhead

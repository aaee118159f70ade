// credential/: secrets that stay on the host, and what the workload holds in their place.
//
//   secret.h    Secret: bytes with one owner, kept out of swap where permitted, wiped at the end,
//   never printed source.h    Credential -> Secret: env:, file:, command: (the supervisor does
//   this, and hands it to one egress) token.h     the session's token that the workload finds
//   instead exchange.h  carrier + secret -> the header that goes upstream (egress only)
#pragma once

#include "credential/exchange.h"
#include "credential/secret.h"
#include "credential/source.h"
#include "credential/token.h"

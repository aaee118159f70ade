// credential/: secrets that stay on the host, and what the workload holds in their place.
//
//   secret.h    Secret: bytes with one owner, kept out of swap where permitted, wiped at the end, never printed
//   source.h    Credential -> Secret: env:, file:, command:, secret-service:, systemd-creds:
//   program.h   programs that print a secret
//   request.h   what the reading process is asked, and answers
//   handover.h  a secret on its way from one process to another
//   login.h     an agent's own login: its file, and what of it the session gets; login_messages.h: what is said of it
//   token.h     the session's token that the workload finds instead
//   exchange.h  carrier + secret -> the header that goes upstream (egress only)
//
// bulkhead-credential (credential_main.cc) reads them, in a process of its own that lives until it has given each to
// its egress. The supervisor, which starts it, sees none.
#pragma once

#include "credential/exchange.h"
#include "credential/secret.h"
#include "credential/source.h"
#include "credential/token.h"

// gateway/tls/: the server side of intercepted TLS. One CA per session, made at start-up and gone with the process.
//
//   ca.h              the CA and the leaves it signs
//   leaves.h          which leaf a name gets; bounded cache, bounded minting
//   server_context.h  TLS 1.2+, HTTP/1.1 only, one certificate callback
//   token_bucket.h    the rate limit used here and for DNS names
//   openssl.h         owners for OpenSSL's objects, its errors as Error
#pragma once

#include "gateway/tls/ca.h"
#include "gateway/tls/leaves.h"
#include "gateway/tls/server_context.h"

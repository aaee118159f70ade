// OpenSSL's queue of errors, which has to be empty before each call whose result SSL_get_error(3) explains.
#pragma once

#include <openssl/err.h>

namespace bulkhead::tls {

// It nearly always is, and emptying it looks at all its places: dearer than much of what a small request needs.
inline void clear_errors() {
  if (::ERR_peek_error() != 0) ::ERR_clear_error();
}

}  // namespace bulkhead::tls

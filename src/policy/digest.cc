// By the functions that need no set-up: EVP reads OpenSSL's configuration first, at every session's start (1 ms), and
// brings every algorithm into the program (5 MB).
#define OPENSSL_SUPPRESS_DEPRECATED
#include "policy/digest.h"

#include <openssl/sha.h>

#include "base/text.h"

namespace bulkhead {

std::string sha256_hex(std::string_view bytes) {
  unsigned char digest[SHA256_DIGEST_LENGTH];
  SHA256_CTX context;
  ::SHA256_Init(&context);
  ::SHA256_Update(&context, bytes.data(), bytes.size());
  ::SHA256_Final(digest, &context);
  return hex(std::string_view(reinterpret_cast<const char*>(digest), sizeof digest));
}

}  // namespace bulkhead

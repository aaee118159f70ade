// By the functions that need no set-up: EVP reads OpenSSL's configuration first, at every session's start (1 ms), and
// brings every algorithm into the program (5 MB).
#define OPENSSL_SUPPRESS_DEPRECATED
#include "policy/digest.h"

#include <errno.h>
#include <openssl/sha.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"

namespace bulkhead {
namespace {

constexpr std::size_t piece = 256 * 1024;

std::string finished(SHA256_CTX& context) {
  unsigned char digest[SHA256_DIGEST_LENGTH];
  ::SHA256_Final(digest, &context);
  return hex(std::string_view(reinterpret_cast<const char*>(digest), sizeof digest));
}

}  // namespace

std::string sha256_hex(std::string_view bytes) {
  SHA256_CTX context;
  ::SHA256_Init(&context);
  ::SHA256_Update(&context, bytes.data(), bytes.size());
  return finished(context);
}

struct Sha256::State {
  SHA256_CTX context;
};

Sha256::Sha256() : state_(std::make_unique<State>()) {
  ::SHA256_Init(&state_->context);
}

Sha256::~Sha256() = default;

void Sha256::add(std::string_view bytes) {
  ::SHA256_Update(&state_->context, bytes.data(), bytes.size());
}

std::string Sha256::hex() {
  return finished(state_->context);
}

Result<std::string> sha256_hex_of(int fd, std::uint64_t most) {
  struct stat st{};
  if (::fstat(fd, &st) != 0) return fail_errno("fstat", "", errno);
  const auto too_large = [&] { return fail("larger than " + std::to_string(most >> 20) + " MiB", EFBIG); };
  if (static_cast<std::uint64_t>(st.st_size) > most) return too_large();
  SHA256_CTX context;
  ::SHA256_Init(&context);
  std::string buffer(piece, '\0');
  for (std::uint64_t at = 0;;) {
    const ssize_t n = ::pread(fd, buffer.data(), buffer.size(), static_cast<off_t>(at));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno("read", "", errno);
    if (n == 0) return finished(context);
    at += static_cast<std::uint64_t>(n);
    if (at > most) return too_large();
    ::SHA256_Update(&context, buffer.data(), static_cast<std::size_t>(n));
  }
}

}  // namespace bulkhead

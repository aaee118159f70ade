#include "gateway/tls/java_store.h"

#include <openssl/sha.h>

#include <cstdint>

namespace bulkhead::tls {
namespace {

void put(std::string& out, std::uint64_t value, int bytes) {
  for (int shift = (bytes - 1) * 8; shift >= 0; shift -= 8) out += static_cast<char>(value >> shift & 0xff);
}

void put_text(std::string& out, std::string_view text) {
  put(out, text.size(), 2);
  out += text;
}

}  // namespace

std::string java_trust_store(std::string_view certificate_der) {
  std::string store;
  put(store, 0xfeedfeed, 4);
  put(store, 2, 4);  // version
  put(store, 1, 4);  // entries
  put(store, 2, 4);  // a trusted certificate
  put_text(store, "bulkhead");
  put(store, 0, 8);  // creation time, milliseconds
  put_text(store, "X.509");
  put(store, certificate_der.size(), 4);
  store += certificate_der;

  std::string digested;
  for (const char c : std::string_view("changeit")) put(digested, static_cast<unsigned char>(c), 2);
  digested += "Mighty Aphrodite";
  digested += store;
  unsigned char digest[SHA_DIGEST_LENGTH];
  ::SHA1(reinterpret_cast<const unsigned char*>(digested.data()), digested.size(), digest);
  store.append(reinterpret_cast<const char*>(digest), sizeof digest);
  return store;
}

}  // namespace bulkhead::tls

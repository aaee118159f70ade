// Java's trust store (JKS) holding one certificate: Java reads neither PEM nor SSL_CERT_FILE.
#pragma once

#include <string>
#include <string_view>

namespace bulkhead::tls {

// A "JKS" keystore, version 2, with one trusted certificate entry and the customary password "changeit".
// Format: sun.security.provider.JavaKeyStore (OpenJDK), big-endian; the last 20 bytes are
// SHA-1(password as UTF-16BE ‖ "Mighty Aphrodite" ‖ everything before). The digest protects nothing here.
std::string java_trust_store(std::string_view certificate_der);

}  // namespace bulkhead::tls

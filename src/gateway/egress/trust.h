// Whom TLS trusts: the system's CA bundle and the policy's upstream_ca files, both as descriptors opened by the
// supervisor. Loading the system's costs some 30 ms and 4 MB, so it happens at the first TLS connection.
#pragma once

#include <openssl/ssl.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/fd.h"
#include "base/result.h"

namespace bulkhead::egress {

class Trust {
 public:
  Trust(UniqueFd ca_bundle, std::vector<UniqueFd> upstream_ca);
  ~Trust();
  Trust(const Trust&) = delete;
  Trust& operator=(const Trust&) = delete;

  struct FreeSsl {
    void operator()(SSL* ssl) const { ::SSL_free(ssl); }
  };
  // A client for `host` (a name, or an address literal without brackets), not yet on any connection:
  //   TLS 1.2 or newer, security level 2 (no SHA-1 signatures, no RSA below 2048), ALPN h2 and http/1.1, SNI for names;
  //   chain and name verified (subjectAltName only, no partial wildcards); CRLs obeyed where the CA files hold them.
  // `only_http1`: ALPN without h2.
  Result<std::unique_ptr<SSL, FreeSsl>> client(const std::string& host, bool literal, bool only_http1 = false);

 private:
  Result<void> load();
  UniqueFd ca_bundle_;
  std::vector<UniqueFd> upstream_ca_;
  SSL_CTX* context_ = nullptr;
};

// What the handshake agreed on by ALPN, or empty.
std::string_view protocol_of(SSL* ssl);
// After a handshake: the reason to refuse what verification alone lets pass (a stapled OCSP answer that says
// revoked, a protocol that was not offered), or empty.
std::string refusal_after_handshake(SSL* ssl);
// After a call that failed with SSL_ERROR_SSL: one line, from the verification result where that was it. `what` failed.
std::string tls_error(SSL* ssl, std::string_view what);

}  // namespace bulkhead::egress

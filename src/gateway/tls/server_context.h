// How front speaks TLS to the workload: 1.2 or newer, ECDSA and AEAD only, no renegotiation, no compression, no
// resumption, HTTP/2 or HTTP/1.1. A client that offers protocols without either gets the no_application_protocol alert:
// nothing is tunnelled that we could not judge.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "gateway/tls/leaves.h"

namespace bulkhead::tls {

// One handshake: what the accepting side brings, and what it learns.
struct Handshake {
  LeafName fallback;               // the certificate for clients that send no SNI
  std::optional<std::string> sni;  // canonical; unset when the client sent none
  std::string refused;             // why the certificate callback ended it; empty when it did not
};

class ServerContext {
 public:
  // From a server name as sent to its canonical form; nullopt when it is none.
  using Canonical = std::function<std::optional<std::string>(std::string_view)>;

  // `ca` and `leaves` outlive the context.
  static Result<ServerContext> make(const SessionCa& ca, Leaves& leaves, Canonical canonical);

  // A server-side SSL over a connected, non-blocking socket, which stays the caller's. `handshake` outlives it.
  Result<SslPtr> accept(int socket, Handshake& handshake) const;

 private:
  struct Shared {
    const SessionCa& ca;
    Leaves& leaves;
    Canonical canonical;
  };
  ServerContext(std::unique_ptr<Shared> shared, ContextPtr context)
      : shared_(std::move(shared)), context_(std::move(context)) {}
  static int choose_certificate(SSL* ssl, void* shared);

  std::unique_ptr<Shared> shared_;  // on the heap: the callbacks hold its address
  ContextPtr context_;
};

}  // namespace bulkhead::tls

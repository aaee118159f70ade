#include "gateway/tls/server_context.h"

#include <string.h>

namespace bulkhead::tls {
namespace {

int choose_protocol(SSL*, const unsigned char** out, unsigned char* out_length, const unsigned char* offered,
                    unsigned int offered_length, void*) {
  static constexpr unsigned char ours[] =
      "\x02"
      "h2"
      "\x08"
      "http/1.1";
  unsigned char* chosen = nullptr;
  const int result = ::SSL_select_next_proto(&chosen, out_length, ours, sizeof ours - 1, offered, offered_length);
  // Without overlap that function still hands out our first protocol: its result decides.
  if (result != OPENSSL_NPN_NEGOTIATED) return SSL_TLSEXT_ERR_ALERT_FATAL;
  *out = chosen;
  return SSL_TLSEXT_ERR_OK;
}

}  // namespace

Result<ServerContext> ServerContext::make(const SessionCa& ca, Leaves& leaves, Canonical canonical) {
  auto shared = std::make_unique<Shared>(Shared{ca, leaves, std::move(canonical)});
  ContextPtr context(::SSL_CTX_new(::TLS_server_method()));
  SSL_CTX* c = context.get();
  int groups[] = {NID_X25519, NID_X9_62_prime256v1};
  if (c == nullptr || SSL_CTX_set_min_proto_version(c, TLS1_2_VERSION) != 1 ||
      ::SSL_CTX_set_cipher_list(c,
                                "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"
                                "ECDHE-ECDSA-CHACHA20-POLY1305") != 1 ||
      // What goes over this leaves no machine: the cheapest one, whatever the client likes best.
      ::SSL_CTX_set_ciphersuites(c, "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256") !=
          1 ||
      SSL_CTX_set1_groups(c, groups, 2) != 1 || ::SSL_CTX_set_num_tickets(c, 0) != 1) {
    return openssl_error("the TLS server context");
  }
  ::SSL_CTX_set_options(
      c, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_NO_TICKET | SSL_OP_CIPHER_SERVER_PREFERENCE);
  SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_mode(c, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_read_ahead(c, 1);  // one read(2) a record instead of two
  ::SSL_CTX_set_alpn_select_cb(c, choose_protocol, nullptr);
  ::SSL_CTX_set_cert_cb(c, choose_certificate, shared.get());
  return ServerContext(std::move(shared), std::move(context));
}

// Runs once the ClientHello is understood, before anything is signed: a refused name costs no key operation.
int ServerContext::choose_certificate(SSL* ssl, void* opaque) {
  const Shared& shared = *static_cast<Shared*>(opaque);
  Handshake& handshake = *static_cast<Handshake*>(SSL_get_app_data(ssl));
  LeafName name = handshake.fallback;
  if (const char* sent = ::SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name)) {
    handshake.sni = shared.canonical(sent);
    if (!handshake.sni) {
      handshake.refused = "server name is not a host name";
      return 0;
    }
    name = {*handshake.sni, false};
  }
  X509* leaf = shared.leaves.find(name, ::time(nullptr), TokenBucket::Clock::now());
  if (leaf == nullptr) {
    handshake.refused = "too many new server names";
    return 0;
  }
  if (::SSL_use_cert_and_key(ssl, leaf, shared.ca.leaf_key(), nullptr, 1) == 1) return 1;
  handshake.refused = "certificate";
  return 0;
}

Result<SslPtr> ServerContext::accept(int socket, Handshake& handshake) const {
  SslPtr ssl(::SSL_new(context_.get()));
  if (!ssl || ::SSL_set_fd(ssl.get(), socket) != 1) return openssl_error("a TLS connection");
  SSL_set_app_data(ssl.get(), &handshake);
  ::SSL_set_accept_state(ssl.get());
  return ssl;
}

}  // namespace bulkhead::tls

#include "gateway/tls/server_context.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include "base/sys.h"
#include "gateway/tls/certificate_for_test.h"

namespace bulkhead::tls {
namespace {

struct Outcome {
  bool client = false, server = false;
  std::string protocol;  // ALPN as the client saw it
  int version = 0;
  std::string cipher;
};

struct ServerContextTest : testing::Test {
  ServerContextTest()
      : ca(std::move(*(SessionCa::initialise(), SessionCa::make("s", time(nullptr))))), leaves(ca, {}, {}) {
    auto made = ServerContext::make(ca, leaves, [](std::string_view name) -> std::optional<std::string> {
      if (name.find('_') != std::string_view::npos) return std::nullopt;
      return std::string(name);
    });
    context = std::make_unique<ServerContext>(std::move(*made));
    client_context.reset(SSL_CTX_new(TLS_client_method()));
    SSL_CTX_set_security_level(client_context.get(), 0);  // or the client refuses TLS 1.1 by itself
    X509_STORE_add_cert(SSL_CTX_get_cert_store(client_context.get()), read_certificate(ca).get());
    SSL_CTX_set_verify(client_context.get(), SSL_VERIFY_PEER, nullptr);
  }

  // Both sides in turns over a socket pair until both are done or one failed.
  Outcome run(const std::string& name, Handshake& handshake) {
    auto pair = std::move(*sys::socket_pair(SOCK_STREAM));
    EXPECT_TRUE(sys::set_nonblocking(pair.first.get(), true));
    EXPECT_TRUE(sys::set_nonblocking(pair.second.get(), true));
    SslPtr server = std::move(*context->accept(pair.first.get(), handshake));
    SslPtr client(SSL_new(client_context.get()));
    SSL_set_fd(client.get(), pair.second.get());
    if (!name.empty()) {
      SSL_set_tlsext_host_name(client.get(), name.c_str());
      SSL_set1_host(client.get(), name.c_str());
    }
    Outcome outcome;
    const auto step = [](SSL* ssl, bool server_side, bool& done) {
      if (done) return true;
      const int result = server_side ? SSL_accept(ssl) : SSL_connect(ssl);
      done = result == 1;
      if (done) return true;
      const int error = SSL_get_error(ssl, result);
      return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE;
    };
    bool client_alive = true, server_alive = true;
    for (int i = 0; i < 100 && (client_alive || server_alive); ++i) {
      client_alive = client_alive && step(client.get(), false, outcome.client);
      server_alive = server_alive && step(server.get(), true, outcome.server);
      if (outcome.client && outcome.server) break;
    }
    ERR_clear_error();
    const unsigned char* protocol = nullptr;
    unsigned int length = 0;
    SSL_get0_alpn_selected(client.get(), &protocol, &length);
    outcome.protocol.assign(reinterpret_cast<const char*>(protocol), length);
    outcome.version = SSL_version(client.get());
    if (outcome.client) outcome.cipher = SSL_get_cipher_name(client.get());
    return outcome;
  }

  void offer(std::string_view wire) {
    SSL_CTX_set_alpn_protos(client_context.get(), reinterpret_cast<const unsigned char*>(wire.data()),
                            static_cast<unsigned>(wire.size()));
  }

  SessionCa ca;
  Leaves leaves;
  std::unique_ptr<ServerContext> context;
  ContextPtr client_context;
};

TEST_F(ServerContextTest, VerifiedHandshakeLearnsTheName) {
  Handshake handshake;
  const Outcome outcome = run("api.example.com", handshake);
  EXPECT_TRUE(outcome.client && outcome.server);
  EXPECT_EQ("api.example.com", handshake.sni);
  EXPECT_EQ(TLS1_3_VERSION, outcome.version);
}

TEST_F(ServerContextTest, Tls12Works) {
  SSL_CTX_set_max_proto_version(client_context.get(), TLS1_2_VERSION);
  Handshake handshake;
  const Outcome outcome = run("api.example.com", handshake);
  EXPECT_TRUE(outcome.client && outcome.server);
  EXPECT_EQ("api.example.com", handshake.sni);
}

TEST_F(ServerContextTest, OldVersionsAreRefused) {  // T10
  SSL_CTX_set_min_proto_version(client_context.get(), TLS1_VERSION);
  SSL_CTX_set_max_proto_version(client_context.get(), TLS1_1_VERSION);
  SSL_CTX_set_cipher_list(client_context.get(), "ALL:@SECLEVEL=0");
  Handshake handshake;
  const Outcome outcome = run("api.example.com", handshake);
  EXPECT_FALSE(outcome.client || outcome.server);
}

TEST_F(ServerContextTest, WeakCiphersAreRefused) {  // T10
  SSL_CTX_set_max_proto_version(client_context.get(), TLS1_2_VERSION);
  SSL_CTX_set_cipher_list(client_context.get(), "ECDHE-ECDSA-AES128-SHA:AES128-SHA");
  Handshake handshake;
  EXPECT_FALSE(run("api.example.com", handshake).client);
}

TEST_F(ServerContextTest, TheCheapestCipherIsTakenWhateverTheClientLikes) {
  Handshake handshake;
  SSL_CTX_set_ciphersuites(client_context.get(),
                           "TLS_CHACHA20_POLY1305_SHA256:TLS_AES_256_GCM_SHA384:TLS_AES_128_GCM_SHA256");
  EXPECT_EQ(run("api.example.com", handshake).cipher, "TLS_AES_128_GCM_SHA256");
  SSL_CTX_set_ciphersuites(client_context.get(), "TLS_CHACHA20_POLY1305_SHA256");
  EXPECT_EQ(run("api.example.com", handshake).cipher, "TLS_CHACHA20_POLY1305_SHA256");
}

TEST_F(ServerContextTest, OnlyHttp2AndHttp11AreNegotiated) {  // T07
  Handshake handshake;
  for (const auto& [wire, protocol] : {std::pair("\x02h2\x08http/1.1", "h2"), std::pair("\x08http/1.1\x02h2", "h2"),
                                       std::pair("\x02h2", "h2"), std::pair("\x02h3\x08http/1.1", "http/1.1")}) {
    offer(wire);
    const Outcome both = run("api.example.com", handshake);
    EXPECT_TRUE(both.client) << wire;
    EXPECT_EQ(protocol, both.protocol) << wire;
  }
  for (const std::string_view wire : {"\x03h2c", "\x02h3\x06spdy/3", "\x08http/1.0"}) {
    offer(wire);
    const Outcome outcome = run("api.example.com", handshake);
    EXPECT_FALSE(outcome.client || outcome.server) << wire;
  }
}

TEST_F(ServerContextTest, WithoutServerNameTheFallbackIsShown) {
  Handshake handshake{.fallback = {"203.0.113.4", true}, .sni = {}, .refused = {}};
  const Outcome outcome = run("", handshake);
  EXPECT_TRUE(outcome.client && outcome.server);
  EXPECT_FALSE(handshake.sni);
}

TEST_F(ServerContextTest, AServerNameThatIsNoHostNameEndsIt) {
  Handshake handshake;
  const Outcome outcome = run("not_a_host", handshake);
  EXPECT_FALSE(outcome.client || outcome.server);
  EXPECT_EQ("server name is not a host name", handshake.refused);
  EXPECT_EQ(0u, leaves.minted());
}

}  // namespace
}  // namespace bulkhead::tls

// The whole egress when something is wrong: with the name, the address, the certificate, the answer, the request, the
// lane, or whoever it depends on.
#include <poll.h>

#include "base/ipc.h"
#include "base/sys.h"
#include "gateway/egress/harness_test.h"

namespace bulkhead::egress {
namespace {

using std::chrono::milliseconds;

std::string said(const Answer& answer) {
  if (!answer.failure) return answer.whole ? "an answer" : "cut";
  return std::to_string(answer.failure->status) + " " + answer.failure->reason + ": " + answer.failure->text;
}

Upstream::Script hello() {
  return [](Peer& peer, const std::string&) -> bool { return peer.write(ok("hello")); };
}

// Attack T11: a server that can't prove who it is never sees the credential, nor any of the request.
TEST(Failures, CertificatesThatProveNothing) {
  const TestCa ca, other;
  struct Case {
    const TestCa& signer;
    Leaf leaf;
    const char* why;
  };
  const Case cases[] = {
      {ca, {.begins = -7200, .ends = -3600}, "certificate has expired"},
      {ca, {.begins = 3600, .ends = 7200}, "certificate is not yet valid"},
      {ca, {.self_signed = true}, "self-signed certificate"},
      {ca, {.san = "DNS:api.example.org"}, "hostname mismatch"},
      {ca, {.san = "DNS:a*.example.com"}, "hostname mismatch"},
      {ca, {.san = "IP:127.0.0.1"}, "hostname mismatch"},
      {ca, {.digest = ::EVP_sha1()}, "CA signature digest algorithm too weak"},
      {other, {}, "unable to get local issuer certificate"},
  };
  for (const Case& one : cases) {
    Upstream upstream(hello(), one.signer.server(one.leaf));
    Grant granted = grant(upstream.port(), "key");
    granted.protocol = Protocol::https;
    Running egress({.grants = {granted}, .credential = "key", .upstream_ca = ca.pem()});
    Lane lane(egress.control());
    lane::Request asked = request(upstream.port());
    asked.scheme = "https";
    asked.slot_filled = true;
    EXPECT_EQ(said(lane.ask(asked)), "502 tls: TLS to api.example.com:" + std::to_string(upstream.port()) + ": " +
                                         one.why + "; no request was sent");
    EXPECT_TRUE(upstream.heads().empty()) << one.why;
    for (const auto& event : egress.sockets.events()) EXPECT_EQ(event["type"], "upstream.failure") << event;
    EXPECT_FALSE(lane.ask(asked).response);  // the lane goes on, and so does the refusal
  }
}

TEST(Failures, TlsThatIsTooOldOrNone) {
  const TestCa ca;
  tls::ContextPtr old = ca.server();
  ::SSL_CTX_set_max_proto_version(old.get(), TLS1_1_VERSION);
  Upstream upstream(hello(), std::move(old)), plain(hello());
  for (const auto& [port, why] :
       {std::pair(upstream.port(), "alert protocol version"), std::pair(plain.port(), "handshake")}) {
    Grant granted = grant(port);
    granted.protocol = Protocol::https;
    Running egress({.grants = {granted}, .upstream_ca = ca.pem()});
    lane::Request asked = request(port);
    asked.scheme = "https";
    // A server that speaks no TLS waits for the end of a head that never comes.
    if (port == plain.port()) continue;
    const Answer answer = Lane(egress.control()).ask(asked);
    EXPECT_NE(said(answer).find(why), std::string::npos) << said(answer);
  }
}

TEST(Failures, AnAddressGrantedAsSuchIsCheckedAsSuch) {
  const TestCa ca;
  Upstream upstream(hello(), ca.server({.san = "IP:127.0.0.1"})), named(hello(), ca.server({.san = "DNS:127.0.0.1"}));
  for (Upstream* one : {&upstream, &named}) {
    Grant granted = grant(one->port(), "", "127.0.0.1");
    granted.protocol = Protocol::https;
    Running egress({.grants = {granted}, .upstream_ca = ca.pem()});
    lane::Request asked = request(one->port());
    asked.scheme = "https";
    asked.host = "127.0.0.1";
    EXPECT_EQ(Lane(egress.control()).ask(asked).whole, one == &upstream);
  }
}

TEST(Failures, NamesThatLeadNowhereOrInside) {
  Upstream upstream(hello());
  Running egress({.grants = {grant(upstream.port(), "", "*.example.com")},
                  .records = {{"in.example.com. A", {"10.0.0.7", "169.254.169.254"}},
                              {"both.example.com. A", {"192.168.1.1", "127.0.0.1"}},
                              {"none.example.com. A", {}}}});
  Lane lane(egress.control());
  const auto ask = [&](const std::string& host) {
    lane::Request asked = request(upstream.port());
    asked.host = host;
    return said(lane.ask(asked));
  };
  EXPECT_EQ(ask("unknown.example.com"), "502 resolve: resolve \"unknown.example.com\": no such name");
  EXPECT_EQ(ask("none.example.com"), "502 resolve: resolve \"none.example.com\": the name has no address");
  const std::string inside = ask("in.example.com");
  EXPECT_TRUE(inside.starts_with("403 address: \"in.example.com\" resolves to 10.0.0.7 (")) << inside;
  EXPECT_NE(inside.find("169.254.169.254 ("), std::string::npos) << inside;
  EXPECT_EQ(ask("both.example.com"), "an answer");  // by the address that may be dialled
  EXPECT_EQ(egress.event("upstream.failure")["reason"], "resolve");
}

TEST(Failures, NobodyAnswersQuestions) {
  Running egress({.grants = {grant(80)}, .timeouts = {.dns = milliseconds(300)}, .dns_answers = false});
  EXPECT_EQ(said(Lane(egress.control()).ask(request(80))),
            "504 resolve: resolve \"api.example.com\": no DNS server answered; see dns_servers in the policy");
}

TEST(Failures, NobodyListens) {
  std::uint16_t port = 0;
  {
    port = Upstream(hello()).port();
  }
  Running egress({.grants = {grant(port)}});
  EXPECT_EQ(said(Lane(egress.control()).ask(request(port))),
            "502 connect: connect to api.example.com:" + std::to_string(port) + " (127.0.0.1): Connection refused");
}

TEST(Failures, AServerThatSaysNothing) {
  Upstream upstream([](Peer& peer, const std::string& head) -> bool {
    if (head.starts_with("GET /half")) peer.write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhal");
    peer.head();
    return false;
  });
  Running egress(
      {.grants = {grant(upstream.port())}, .timeouts = {.quiet = milliseconds(300), .tick = milliseconds(50)}});
  Lane lane(egress.control());
  EXPECT_EQ(said(lane.ask(request(upstream.port()))), "504 timeout: the server was silent for too long");
  // Half an answer: no failure can follow it, only a cut.
  const Answer half = lane.ask(request(upstream.port(), "/half"));
  EXPECT_TRUE(half.response);
  EXPECT_EQ(said(half), "cut");
  EXPECT_TRUE(lane.closed());
}

TEST(Failures, ATlsServerThatSaysNothing) {
  // Its backlog takes the connection, and nobody the handshake.
  Upstream upstream([](Peer&, const std::string&) -> bool { return false; });
  Grant granted = grant(upstream.port());
  granted.protocol = Protocol::https;
  Running egress({.grants = {granted},
                  .upstream_ca = TestCa().pem(),
                  .timeouts = {.handshake = milliseconds(300), .tick = milliseconds(50)}});
  lane::Request asked = request(upstream.port());
  asked.scheme = "https";
  EXPECT_EQ(said(Lane(egress.control()).ask(asked)),
            "504 tls: TLS to api.example.com:" + std::to_string(upstream.port()) +
                ": nothing moved for too long; no request was sent");
}

TEST(Failures, AnswersThatAreNone) {
  std::map<std::string, std::string> answers = {
      {"/none", ""},
      {"/text", "hello\r\n\r\n"},
      {"/twice", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx"},
      {"/both", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
      {"/upgrade", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n"},
      {"/head", "HTTP/1.1 200 OK\r\nX: " + std::string(100'000, 'x') + "\r\n\r\n"},
      {"/cut", "HTTP/1.1 200 OK\r\nContent-"},
      {"/lines", "\r\n\r\n"}};
  Upstream upstream([&](Peer& peer, const std::string& head) -> bool {
    peer.write(answers.at(head.substr(4, head.find(" HTTP") - 4)));
    return false;
  });
  Running egress({.grants = {grant(upstream.port())}});
  Lane lane(egress.control());
  for (const auto& [path, answer] : answers) {
    const Answer got = lane.ask(request(upstream.port(), path));
    EXPECT_TRUE(got.failure && got.failure->status == 502) << path << " " << said(got);
    EXPECT_FALSE(got.response) << path;
  }
}

TEST(Failures, ABodyCutShortIsNoWholeBody) {
  const TestCa ca;
  for (const bool tls : {false, true}) {
    Upstream upstream(
        [](Peer& peer, const std::string& head) -> bool {
          if (head.starts_with("GET /close")) {
            peer.write("HTTP/1.1 200 OK\r\n\r\nhello");
            if (head.starts_with("GET /closed")) peer.close_notify();
          } else {
            peer.write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello");
          }
          return false;
        },
        tls ? ca.server() : nullptr);
    Grant granted = grant(upstream.port());
    if (tls) granted.protocol = Protocol::https;
    Running egress({.grants = {granted}, .upstream_ca = ca.pem()});
    const auto ask = [&](const char* path) {
      lane::Request asked = request(upstream.port(), path);
      if (tls) asked.scheme = "https";
      Lane lane(egress.control());
      return said(lane.ask(asked));
    };
    EXPECT_EQ(ask("/length"), "cut");
    EXPECT_EQ(egress.event("upstream.failure")["reason"], tls ? "upstream" : "protocol");
    EXPECT_EQ(ask("/closed"), "an answer");
    EXPECT_EQ(ask("/close"), tls ? "cut" : "an answer");  // without TLS nobody can tell
  }
}

TEST(Failures, WhatFrontShouldNotHaveSent) {
  Upstream upstream(hello());
  Grant granted = grant(upstream.port(), "key");
  granted.allow[0].methods = {"GET"};
  granted.allow[0].path = "/v1/*";
  Running egress({.grants = {granted}, .credential = "key"});
  Lane lane(egress.control());
  const lane::Request good = request(upstream.port(), "/v1/x");
  const auto ask = [&](auto change) {
    lane::Request asked = good;
    asked.slot_filled = true;
    change(asked);
    const Answer answer = lane.ask(asked);
    return answer.failure ? answer.failure->status : 0;
  };
  EXPECT_EQ(ask([](auto& r) { r.grant = "2"; }), 403);
  EXPECT_EQ(ask([](auto& r) { r.host = "evil.example.com"; }), 403);
  EXPECT_EQ(ask([](auto& r) { r.port = 1; }), 403);
  EXPECT_EQ(ask([](auto& r) { r.scheme = "https"; }), 403);
  EXPECT_EQ(ask([](auto& r) { r.method = "DELETE"; }), 403);
  EXPECT_EQ(ask([](auto& r) { r.method = "GET / HTTP/1.1\r\nX: "; }), 403);
  EXPECT_EQ(ask([](auto& r) { r.target = "/v2"; }), 403);
  EXPECT_EQ(ask([](auto& r) { r.target = "/v1/../v2"; }), 400);
  EXPECT_EQ(ask([](auto& r) { r.target = "/v1/x HTTP/1.1\r\nX: y"; }), 400);
  EXPECT_EQ(ask([](auto& r) { r.headers = {{"authorization", "Bearer other"}}; }), 403);
  EXPECT_EQ(ask([](auto& r) { r.headers = {{"x-api-key", "other"}}; }), 403);
  EXPECT_EQ(ask([](auto& r) { r.headers = {{"x-http-method-override", "DELETE"}}; }), 403);
  EXPECT_EQ(ask([](auto& r) { r.headers = {{"x", "y\r\nx-api-key: z"}}; }), 400);
  EXPECT_EQ(ask([](auto& r) { r.headers = {{"x: y\r\nz", "1"}}; }), 400);
  EXPECT_EQ(ask([](auto& r) { r.headers = {{"", "1"}}; }), 400);
  EXPECT_EQ(egress.event("upstream.failure")["reason"], "grant");
  EXPECT_TRUE(upstream.heads().empty());
  EXPECT_EQ(ask([](auto&) {}), 0);
  EXPECT_EQ(upstream.heads().size(), 1U);

  Running none({.grants = {grant(upstream.port())}});
  lane::Request asked = good;
  asked.slot_filled = true;  // where there is no credential
  EXPECT_EQ(Lane(none.control()).ask(asked).failure->status, 403);
}

TEST(Failures, ALaneThatBreaksTheProtocolIsClosed) {
  Upstream upstream([](Peer& peer, const std::string&) -> bool {
    peer.head();
    return false;
  });
  Running egress({.grants = {grant(upstream.port())}});
  const std::string get = lane::encode(request(upstream.port()));
  lane::Request post = request(upstream.port(), "/", "POST");
  post.body = lane::BodyKind::length;
  post.body_length = 3;
  const std::string whole = lane::encode(post);
  const std::string cases[] = {
      lane::encode_end(),
      lane::encode_body("x"),
      lane::encode(lane::Response{}),
      std::string("\x09\0\0\0\0", 5),
      std::string("\x02\xff\xff\xff\xff", 5),
      std::string("\x01\x01\0\0\0x", 6),
      get + get,
      get + lane::encode_body("x") + lane::encode_end(),
      get + lane::encode_end() + get,
      whole + lane::encode_body("1234") + lane::encode_end(),
      whole + lane::encode_body("12") + lane::encode_end(),
      whole + lane::encode_body("123") + lane::encode_end() + get,
      whole + get,
  };
  int number = 0;
  for (const std::string& bytes : cases) {
    Lane lane(egress.control());
    lane.send(bytes);
    EXPECT_TRUE(lane.closed()) << number;
    ++number;
  }
}

TEST(Failures, AFrontThatLeavesEndsTheRequest) {
  std::atomic<int> left = 0;
  Upstream upstream([&](Peer& peer, const std::string& head) -> bool {
    if (head.starts_with("POST")) peer.read(3);
    peer.read(1);  // returns when egress has closed
    ++left;
    return false;
  });
  Running egress({.grants = {grant(upstream.port())}});
  lane::Request post = request(upstream.port(), "/", "POST");
  post.body = lane::BodyKind::length;
  post.body_length = 3;
  const std::string cases[] = {lane::encode(request(upstream.port())) + lane::encode_end(),
                               lane::encode(post) + lane::encode_body("12"),
                               lane::encode(post) + lane::encode_body("123") + lane::encode_end()};
  int number = 0;
  for (const std::string& bytes : cases) {
    Lane lane(egress.control());
    lane.send(bytes);
    ++number;
    for (int i = 0; i < 300 && upstream.connections() < number; ++i) ::poll(nullptr, 0, 10);
    ::poll(nullptr, 0, 50);
    EXPECT_EQ(left, number - 1);
    lane.close();
    for (int i = 0; i < 300 && left < number; ++i) ::poll(nullptr, 0, 10);
    EXPECT_EQ(left, number);
    EXPECT_EQ(egress.event("upstream.failure")["reason"], "client-gone");
  }
}

TEST(Failures, WithoutFrontSupervisorOrEvidenceThereIsNoEgress) {
  Upstream upstream(hello());
  const auto run = [&](auto act) {
    Running egress({.grants = {grant(upstream.port())}});
    EXPECT_TRUE(Lane(egress.control()).ask(request(upstream.port())).whole);
    act(egress);
    return egress.stopped();
  };
  EXPECT_EQ(run([](Running& e) { e.sockets.control.reset(); }), "front is gone");
  EXPECT_EQ(run([](Running& e) { e.sockets.supervisor.reset(); }), "the supervisor is gone");
  EXPECT_EQ(run([](Running& e) { e.sockets.evidence.reset(); }), "evidence is gone");
  EXPECT_EQ(run([](Running& e) { (void)ipc::send(e.control(), std::string_view("{}")); }),
            "lanes: front sent something that is no lane");
}

TEST(Failures, NothingHappensUnrecorded) {
  Upstream upstream(hello());
  Running egress({.grants = {grant(upstream.port(), "key")}, .credential = "key"});
  Lane lane(egress.control());
  lane::Request asked = request(upstream.port());
  asked.slot_filled = true;
  egress.sockets.evidence.reset();
  EXPECT_FALSE(lane.ask(asked).response);
  EXPECT_TRUE(upstream.heads().empty());
  EXPECT_NE(egress.stopped(), "");
}

}  // namespace
}  // namespace bulkhead::egress

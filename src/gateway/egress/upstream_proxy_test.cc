// The whole egress behind a proxy: what the proxy is told, what goes through it, and what one that lies gets.
#include "gateway/egress/upstream_proxy.h"

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>

#include "gateway/egress/harness_test.h"

namespace bulkhead::egress {
namespace {

using std::chrono::milliseconds;

std::string said(const Answer& answer) {
  if (!answer.failure) return answer.whole ? "an answer" : "cut";
  return std::to_string(answer.failure->status) + " " + answer.failure->reason + ": " + answer.failure->text;
}

Grant https(std::uint16_t port) {
  Grant out = grant(port);
  out.protocol = Protocol::https;
  return out;
}

lane::Request https_request(std::uint16_t port) {
  lane::Request out = request(port);
  out.scheme = "https";
  return out;
}

Upstream::Script hello() {
  return [](Peer& peer, const std::string&) -> bool { return peer.write(ok("hello")); };
}

// base64("labu:Proxy-Passw0rd/42")
constexpr const char* authorization = "Proxy-Authorization: Basic bGFidTpQcm94eS1QYXNzdzByZC80Mg==\r\n";

// Attacks D01, D02 behind a proxy: it is told the address that was checked.
TEST(UpstreamProxy, IsAskedForTheCheckedAddress) {
  const TestCa ca;
  Upstream proxy(honest_proxy()), plain(hello()), sealed(hello(), ca.server());
  Grant second = https(sealed.port());
  second.id = "2";
  Running egress({.grants = {grant(plain.port()), second}, .upstream_ca = ca.pem(), .proxy = by_proxy(proxy)});
  Lane lane(egress.control());
  EXPECT_EQ(lane.ask(request(plain.port())).body, "hello");
  auto event = egress.event("upstream.request");
  EXPECT_EQ(event["address"], "127.0.0.1");
  EXPECT_EQ(event["proxy"], "127.0.0.1:" + std::to_string(proxy.port()));
  lane::Request asked = https_request(sealed.port());
  asked.grant = "2";
  EXPECT_EQ(lane.ask(asked).body, "hello");
  EXPECT_EQ(egress.event("upstream.request")["tls"], "TLSv1.3");
  ASSERT_EQ(proxy.heads().size(), 2U);
  for (std::size_t i = 0; i < 2; ++i) {
    const std::string authority = "127.0.0.1:" + std::to_string(i == 0 ? plain.port() : sealed.port());
    EXPECT_EQ(proxy.heads()[i],
              "CONNECT " + authority + " HTTP/1.1\r\nHost: " + authority + "\r\n" + authorization + "\r\n");
  }
  // What the proxy is told is for it alone.
  for (Upstream* one : {&plain, &sealed}) {
    ASSERT_EQ(one->heads().size(), 1U);
    EXPECT_EQ(one->heads()[0].find("Proxy-"), std::string::npos);
  }
}

TEST(UpstreamProxy, AnAddressThatIsNotAllowedIsNotAskedFor) {
  Upstream proxy(honest_proxy()), server(hello());
  Running egress({.grants = {grant(server.port())},
                  .records = {{"api.example.com. A", {"10.0.0.5", "169.254.169.254"}}},
                  .proxy = by_proxy(proxy)});
  EXPECT_EQ(said(Lane(egress.control()).ask(request(server.port()))).substr(0, 12), "403 address:");
  EXPECT_EQ(proxy.connections(), 0);
}

TEST(UpstreamProxy, IsNobodysTarget) {
  Upstream proxy(honest_proxy());
  for (const auto& [host, address] :
       {std::pair("127.0.0.1", ""), std::pair("api.example.com", "127.0.0.1"), std::pair("api.example.com", "")}) {
    Grant granted = grant(proxy.port(), "", host);
    granted.address = address;
    for (const std::vector<std::string>& no_proxy : {std::vector<std::string>{}, {host}}) {
      EgressProxy with = by_proxy(proxy);
      with.upstream.no_proxy = no_proxy;
      Running egress({.grants = {granted}, .proxy = with});
      lane::Request asked = request(proxy.port());
      asked.host = host;
      const Answer answer = Lane(egress.control()).ask(asked);
      EXPECT_NE(said(answer).find("is the proxy of [upstream]"), std::string::npos) << said(answer);
    }
  }
  EXPECT_EQ(proxy.connections(), 0);
}

TEST(UpstreamProxy, ByNameWhereThePolicySaysSo) {
  Upstream proxy(honest_proxy()), server(hello());
  EgressProxy with = by_proxy(proxy);
  with.upstream.proxy_resolves = true;
  Running egress({.grants = {grant(server.port())}, .dns_answers = false, .proxy = with});
  EXPECT_EQ(Lane(egress.control()).ask(request(server.port())).body, "hello");
  EXPECT_EQ(egress.event("upstream.request")["address"], "");
  ASSERT_FALSE(proxy.heads().empty());
  EXPECT_TRUE(
      proxy.heads()[0].starts_with("CONNECT api.example.com:" + std::to_string(server.port()) + " HTTP/1.1\r\n"));
}

TEST(UpstreamProxy, LeavesOutWhatThePolicyLeavesOut) {
  Upstream proxy(honest_proxy()), server(hello());
  EgressProxy with = by_proxy(proxy);
  with.upstream.no_proxy = {"*.example.com"};
  Running egress({.grants = {grant(server.port())}, .proxy = with});
  EXPECT_EQ(Lane(egress.control()).ask(request(server.port())).body, "hello");
  EXPECT_EQ(egress.event("upstream.request")["proxy"], "");
  EXPECT_EQ(proxy.connections(), 0);
}

TEST(UpstreamProxy, ThatRefusesTheCredentialIsExplained) {
  Upstream proxy([](Peer& peer, const std::string&) -> bool {
    peer.write("HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"" +
               std::string(proxy_secret) + "\"\r\nContent-Length: 3\r\n\r\nno.");
    return false;
  });
  Upstream server(hello());
  for (const auto& [credential, text] :
       {std::pair("corp", "refused the credential \"corp\" (407); see [credential.corp] in the policy"),
        std::pair("", "wants a user and a password (407): name a credential")}) {
    Running egress({.grants = {grant(server.port())}, .proxy = by_proxy(proxy, credential)});
    const Answer answer = Lane(egress.control()).ask(request(server.port()));
    EXPECT_NE(said(answer).find(text), std::string::npos) << said(answer);
    EXPECT_EQ(said(answer).find(proxy_secret), std::string::npos);
    EXPECT_EQ(egress.event("upstream.failure").dump().find(proxy_secret), std::string::npos);
  }
  EXPECT_EQ(server.connections(), 0);
}

TEST(UpstreamProxy, ThatLiesIsNotBelieved) {
  const TestCa ca;
  struct Case {
    std::string answer, text;
    bool opaque = false;
  };
  const std::string head = "HTTP/1.1 200 OK\r\n";
  const Case cases[] = {
      {"garbage\r\n\r\n", "gave an answer that is none"},
      {"HTTP/1.1 200 OK\r\nX: 1\r\n y\r\n\r\n", "gave an answer that is none"},
      {"HTTP/1.1 200 OK\nX: 1\n\n", "gave an answer that is none"},
      {head + "X: " + std::string(20'000, 'x') + "\r\n\r\n", "gave an answer that is none"},
      {head + "Content-Length: 5\r\n\r\nhello", "put a body behind its answer"},
      {head + "Content-Length: 5\r\n\r\nhello", "put a body behind its answer", true},
      {head + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "put a body behind its answer"},
      {head + "\r\nHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged", "sent bytes behind its answer"},
      {"HTTP/1.1 302 Found\r\nLocation: http://elsewhere/\r\nContent-Length: 0\r\n\r\n", "answered 302"},
      {"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", "resolve = \"proxy\""},
      {"HTTP/1.1 101 Switching Protocols\r\n\r\n", "gave an answer that is none"},
      {"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", "answered 503"},
      {"", "closed the connection instead of an answer"},
      {"HTTP/1.1 200 O", "closed the connection instead of an answer"},
  };
  for (const Case& one : cases) {
    Upstream proxy([&](Peer& peer, const std::string&) -> bool {
      peer.write(one.answer);
      ::shutdown(peer.fd(), SHUT_WR);
      peer.part();
      return false;
    });
    Grant granted = one.opaque ? grant(443) : https(443);
    if (one.opaque) {
      granted.protocol = Protocol::tcp;
      granted.allow.clear();
    }
    Running egress({.grants = {granted}, .upstream_ca = ca.pem(), .proxy = by_proxy(proxy)});
    Lane lane(egress.control());
    Answer answer;
    if (one.opaque) {
      lane.send(lane::encode(lane::Tunnel{"1", "api.example.com", 443}));
      answer = lane.answer();
    } else {
      answer = lane.ask(https_request(443));
    }
    EXPECT_NE(said(answer).find(one.text), std::string::npos) << one.answer.substr(0, 60) << " -> " << said(answer);
    EXPECT_EQ(said(answer).substr(0, 10), "502 proxy:") << said(answer);
  }
}

TEST(UpstreamProxy, ThatIsSlowIsNotWaitedFor) {
  Upstream proxy([](Peer& peer, const std::string&) -> bool {
    // A byte now and then, without end.
    for (const char c : std::string("HTTP/1.1 200 OK\r\nX: ") + std::string(4000, 'x')) {
      if (!peer.write(std::string_view(&c, 1))) return false;
      ::poll(nullptr, 0, 20);
    }
    return false;
  });
  Timeouts timeouts;
  timeouts.connect = milliseconds(500);
  timeouts.tick = milliseconds(50);
  Running egress({.grants = {grant(80)}, .timeouts = timeouts, .proxy = by_proxy(proxy)});
  const Answer answer = Lane(egress.control()).ask(request(80));
  EXPECT_EQ(said(answer).substr(0, 10), "504 proxy:") << said(answer);
}

TEST(UpstreamProxy, TriesTheNextAddressWhereOneIsDead) {
  Upstream server(hello());
  Upstream proxy([pass = honest_proxy()](Peer& peer, const std::string& head) -> bool {
    if (!head.starts_with("CONNECT 127.0.0.1:")) {
      peer.write("HTTP/1.1 504 Gateway Timeout\r\nContent-Length: 0\r\n\r\n");
      return false;
    }
    return pass(peer, head);
  });
  Running egress({.grants = {grant(server.port())},
                  .records = {{"api.example.com. A", {"8.8.8.8", "127.0.0.1"}}},
                  .proxy = by_proxy(proxy)});
  EXPECT_EQ(Lane(egress.control()).ask(request(server.port())).body, "hello");
  EXPECT_EQ(egress.event("upstream.request")["address"], "127.0.0.1");
}

// TLS over TLS, and much of it, in both directions.
TEST(UpstreamProxy, SpokenToInTlsItself) {
  const TestCa ca, other;
  const std::string much = pattern(3'000'000);
  Upstream server(
      [&](Peer& peer, const std::string& head) -> bool {
        if (head.starts_with("POST")) return peer.write(ok(peer.read(much.size()) == much ? "same" : "different"));
        return peer.write(ok(much));
      },
      ca.server());
  Upstream proxy(honest_proxy(), ca.server({.san = "IP:127.0.0.1"})),
      impostor(honest_proxy(), other.server({.san = "IP:127.0.0.1"}));
  Upstream misnamed(honest_proxy(), ca.server({.san = "DNS:elsewhere.example"}));
  for (Upstream* one : {&proxy, &impostor, &misnamed}) {
    EgressProxy with = by_proxy(*one);
    with.upstream.proxy_tls = true;
    Running egress({.grants = {https(server.port())}, .upstream_ca = ca.pem(), .proxy = with});
    Lane lane(egress.control());
    const Answer answer = lane.ask(https_request(server.port()));
    if (one != &proxy) {
      EXPECT_EQ(answer.failure ? answer.failure->reason : "", "proxy") << said(answer);
      EXPECT_TRUE(one->heads().empty()) << "it was told the credential";
      continue;
    }
    EXPECT_EQ(answer.body, much);
    lane::Request post = https_request(server.port());
    post.method = "POST";
    post.body = lane::BodyKind::length;
    post.body_length = much.size();
    lane.send(lane::encode(post));
    for (std::size_t i = 0; i < much.size(); i += lane::max_body)
      lane.send(lane::encode_body(much.substr(i, lane::max_body)));
    lane.send(lane::encode_end());
    EXPECT_EQ(lane.answer().body, "same");
    EXPECT_EQ(one->connections(), 1) << "a connection through a proxy is kept as any other";
  }
}

TEST(UpstreamProxy, OpaqueConnectionsWhoseServerSpeaksFirst) {
  const TestCa ca;
  const UniqueFd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof at;
  ASSERT_EQ(::bind(listener.get(), reinterpret_cast<sockaddr*>(&at), size), 0);
  ASSERT_EQ(::listen(listener.get(), 8), 0);
  ::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&at), &size);
  std::thread server([&] {
    for (int i = 0; i < 2; ++i) {
      const UniqueFd one(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
      (void)::send(one.get(), "welcome ", 8, MSG_NOSIGNAL);
      std::string heard;
      char byte = 0;
      while (::recv(one.get(), &byte, 1, 0) == 1) heard += byte;
      const std::string back = "heard " + heard;
      (void)::send(one.get(), back.data(), back.size(), MSG_NOSIGNAL);
    }
  });
  const std::uint16_t port = ntohs(at.sin_port);
  Grant granted = grant(port);
  granted.protocol = Protocol::tcp;
  granted.allow.clear();
  Upstream plain(honest_proxy()), sealed(honest_proxy(), ca.server({.san = "IP:127.0.0.1"}));
  for (Upstream* proxy : {&plain, &sealed}) {
    EgressProxy with = by_proxy(*proxy);
    with.upstream.proxy_tls = proxy == &sealed;
    Running egress({.grants = {granted}, .upstream_ca = ca.pem(), .proxy = with});
    Lane lane(egress.control());
    lane.send(lane::encode(lane::Tunnel{"1", "api.example.com", port}) + lane::encode_body("this") +
              lane::encode_end());
    lane::Kind kind{};
    std::string payload, all;
    ASSERT_TRUE(lane.frame(kind, payload));
    ASSERT_EQ(kind, lane::Kind::opened);
    while (lane.frame(kind, payload) && kind == lane::Kind::body) all += payload;
    EXPECT_EQ(all, "welcome heard this");
    EXPECT_EQ(egress.event("upstream.open")["proxy"], "127.0.0.1:" + std::to_string(proxy->port()));
  }
  server.join();
}

// It could write an answer without TLS itself, with what it was told in it. With TLS it can't, and there a guessed
// password must not show in what is masked.
TEST(UpstreamProxy, WhatItWasToldComesBackToNobody) {
  const TestCa ca;
  const auto echo = [](Peer& peer, const std::string&) -> bool {
    return peer.write(ok("it is " + std::string(proxy_secret), "X-Echo: bGFidTpQcm94eS1QYXNzdzByZC80Mg==\r\n"));
  };
  Upstream proxy(honest_proxy()), plain(echo), sealed(echo, ca.server());
  Grant second = https(sealed.port());
  second.id = "2";
  Running egress({.grants = {grant(plain.port()), second}, .upstream_ca = ca.pem(), .proxy = by_proxy(proxy)});
  Lane lane(egress.control());
  const Answer answer = lane.ask(request(plain.port()));
  EXPECT_EQ(answer.body, "it is " + std::string(std::string(proxy_secret).size(), '*'));
  EXPECT_EQ(answer.header("x-echo").find("bGFidTp"), std::string::npos);
  lane::Request asked = https_request(sealed.port());
  asked.grant = "2";
  EXPECT_EQ(lane.ask(asked).body, "it is " + std::string(proxy_secret));
}

TEST(UpstreamProxy, ThatNobodyToldUsAboutIsNamedInTheError) {
  EgressProxy with;
  with.environment_names_one = true;
  Running egress({.grants = {grant(80, "", "gone.example.com")}, .records = {}, .proxy = with});
  lane::Request asked = request(80);
  asked.host = "gone.example.com";
  const Answer answer = Lane(egress.control()).ask(asked);
  EXPECT_NE(said(answer).find("write [upstream] proxy = "), std::string::npos) << said(answer);
}

}  // namespace
}  // namespace bulkhead::egress

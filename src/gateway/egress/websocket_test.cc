// WebSockets, from lane to upstream and back.
#include "gateway/egress/websocket.h"

#include <poll.h>

#include "base/ipc.h"
#include "gateway/egress/harness_test.h"
#include "gateway/websocket/handshake.h"

namespace bulkhead::egress {
namespace {

using lane::Message;
using lane::Opcode;
using namespace std::string_literals;

Rule feed_rule() {
  Rule out;
  out.methods = {"GET"};
  out.path = "/feed";
  return out;
}

Grant feed(std::uint16_t port, const std::string& credential = "") {
  Grant out = grant(port, credential);
  out.protocol = Protocol::ws;  // the harness's upstream has no TLS here
  out.allow = {feed_rule()};
  return out;
}

lane::Request opening(std::uint16_t port, const std::string& target = "/feed") {
  lane::Request out = request(port, target);
  out.scheme = "ws";
  return out;
}

std::string field(const std::string& head, const std::string& name) {
  const std::size_t at = head.find("\r\n" + name + ": ");
  if (at == std::string::npos) return {};
  const std::size_t begin = at + name.size() + 4;
  return head.substr(begin, head.find("\r\n", begin) - begin);
}

std::string agree(const std::string& head, const std::string& more = "") {
  return "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " +
         websocket::accept_of(field(head, "Sec-WebSocket-Key")) + "\r\n" + more + "\r\n";
}

std::string from_server(const Message& part) {
  return websocket::frame(websocket::Sender::server, part);
}

// Agrees, sends `bytes`, and keeps what comes until the other side ends.
struct Server {
  explicit Server(std::string bytes = {}, std::string more = {})
      : upstream([this, bytes, more](Peer& peer, const std::string& head) -> bool {
          peer.write(agree(head, more) + bytes);
          for (std::string part = peer.part(); !part.empty(); part = peer.part()) {
            const std::lock_guard lock(mutex);
            got += part;
          }
          gone = true;
          return false;
        }) {}
  // The frames of a client, as they came; what of them could be read.
  std::vector<Message> messages() {
    const std::lock_guard lock(mutex);
    websocket::Reader reader(websocket::Sender::client);
    std::vector<Message> out;
    std::string_view rest = got;
    for (;;) {
      auto part = reader.next(rest);
      EXPECT_TRUE(part) << part.error();
      if (!part || !*part) return out;
      out.push_back(**part);
    }
  }
  bool ended() const {
    for (int i = 0; i < 100 && !gone; ++i) ::poll(nullptr, 0, 10);
    return gone;
  }
  std::mutex mutex;
  std::string got;
  std::atomic<bool> gone = false;
  Upstream upstream;
};

struct Said {
  std::vector<Message> messages;
  std::optional<lane::Failure> failure;
};

// The lane's frames up to its end, or until `count` messages have come.
Said listen(Lane& lane, std::size_t count = 1000) {
  Said out;
  lane::Kind kind{};
  std::string payload;
  while (out.messages.size() < count && lane.frame(kind, payload)) {
    if (kind == lane::Kind::message) out.messages.push_back(*lane::decode_message(payload));
    if (kind == lane::Kind::failure) out.failure = *lane::decode_failure(payload);
  }
  return out;
}

// The answer to the opening request, if it is one that switches.
bool open(Lane& lane, const lane::Request& asked, lane::Headers* headers = nullptr) {
  lane.send(lane::encode(asked) + lane::encode_end());
  lane::Kind kind{};
  std::string payload;
  if (!lane.frame(kind, payload) || kind != lane::Kind::response) return false;
  const auto response = lane::decode_response(payload);
  if (response && headers != nullptr) *headers = response->headers;
  return response && response->status == 101;
}

TEST(WebSocket, MessagesBothWays) {
  Server server(from_server({Opcode::text, false, "he"}) + from_server({Opcode::ping, true, "p"}) +
                from_server({Opcode::continuation, true, "llo"}) + from_server({Opcode::close, true, ""}));
  Running egress({.grants = {feed(server.upstream.port())}});
  Lane lane(egress.control());
  ASSERT_TRUE(open(lane, opening(server.upstream.port())));
  EXPECT_EQ(egress.event("upstream.request")["status"], 101);
  ASSERT_TRUE(lane.send(lane::encode(Message{Opcode::binary, true, "up"}) +
                        lane::encode(Message{Opcode::pong, true, "p"}) +
                        lane::encode(Message{Opcode::close, true, "\x03\xe8"})));
  const Said said = listen(lane);  // to its end: both sides have closed
  ASSERT_EQ(said.messages.size(), 4U);
  EXPECT_FALSE(said.failure);
  EXPECT_EQ(said.messages[0].data + "|" + said.messages[1].data + "|" + said.messages[2].data, "he|p|llo");
  for (int i = 0; i < 100 && server.messages().size() < 3; ++i) ::poll(nullptr, 0, 10);
  const auto up = server.messages();
  ASSERT_EQ(up.size(), 3U);
  EXPECT_EQ(up[0].data, "up");
  EXPECT_EQ(up[2].opcode, Opcode::close);
  const auto event = egress.event("upstream.close");
  EXPECT_EQ(event["reason"], "end");
  EXPECT_EQ(event["bytes_up"], 5);
  EXPECT_EQ(event["bytes_down"], 6);
  EXPECT_EQ(event["messages_up"], 1);
  EXPECT_EQ(event["messages_down"], 1);
}

TEST(WebSocket, TheHandshakeIsOurOwn) {
  Server server({}, "Sec-WebSocket-Protocol: b\r\nSet-Cookie: a=b\r\nX-More: 1\r\n");
  Grant granted = feed(server.upstream.port());
  granted.allow[0].headers = {"sec-websocket-protocol"};
  Running egress({.grants = {granted}});
  lane::Request asked = opening(server.upstream.port());
  asked.headers = {{"sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="},
                   {"sec-websocket-extensions", "permessage-deflate"},
                   {"sec-websocket-version", "99"},
                   {"upgrade", "x"},
                   {"connection", "upgrade"},
                   {"sec-websocket-protocol", "a, b"},
                   {"origin", "https://a.example"}};
  Lane lane(egress.control());
  lane::Headers told;
  ASSERT_TRUE(open(lane, asked, &told));
  EXPECT_EQ(told, (lane::Headers{{"sec-websocket-protocol", "b"}})) << "of the answer nothing else is passed on";
  const std::string head = server.upstream.heads().at(0);
  EXPECT_NE(field(head, "Sec-WebSocket-Key"), "dGhlIHNhbXBsZSBub25jZQ==");
  EXPECT_EQ(field(head, "Sec-WebSocket-Key").size(), 24U);
  EXPECT_EQ(field(head, "Sec-WebSocket-Version"), "13");
  EXPECT_EQ(field(head, "Upgrade"), "websocket");
  EXPECT_EQ(field(head, "Connection"), "Upgrade");
  EXPECT_EQ(field(head, "sec-websocket-protocol"), "a, b");
  EXPECT_EQ(field(head, "origin"), "https://a.example");
  EXPECT_EQ(head.find("xtensions"), std::string::npos);
  EXPECT_EQ(head.find("permessage-deflate"), std::string::npos);
}

TEST(WebSocket, OnlyWhatTheGrantSays) {
  Server server;
  const std::uint16_t port = server.upstream.port();
  Grant http = grant(port);
  http.id = "2";
  http.protocol = Protocol::http;
  http.allow = {feed_rule()};
  Running egress({.grants = {feed(port), http}});
  const auto why = [&](const lane::Request& asked) {
    Lane lane(egress.control());
    const Answer answer = lane.ask(asked);
    return answer.failure ? answer.failure->reason : "";
  };
  lane::Request asked = opening(port);
  asked.grant = "2";
  EXPECT_EQ(why(asked), "no-grant") << "a grant for http opens none";
  asked = request(port, "/feed");
  asked.scheme = "http";
  EXPECT_EQ(why(asked), "no-grant") << "one for ws opens nothing else";
  asked = opening(port);
  asked.scheme = "wss";
  EXPECT_EQ(why(asked), "no-grant");
  EXPECT_EQ(why(opening(port, "/other")), "path");
  asked = opening(port);
  asked.method = "POST";
  EXPECT_EQ(why(asked), "method");
  asked = opening(port);
  asked.headers = {{"sec-websocket-protocol", "a"}};
  EXPECT_EQ(why(asked), "header");
  asked = opening(port);
  asked.body = lane::BodyKind::length;
  asked.body_length = 3;
  Lane lane(egress.control());
  lane.send(lane::encode(asked) + lane::encode_body("abc") + lane::encode_end());
  EXPECT_EQ(lane.answer().failure->reason, "body");
  EXPECT_EQ(server.upstream.connections(), 0);
}

TEST(WebSocket, AServerThatDoesNotAgree) {
  const std::string ok_accept = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ";
  const std::pair<std::string, std::string> cases[] = {
      {"HTTP/1.1 101 Switching Protocols\r\n" + ok_accept + "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n", "protocol"},
      {"HTTP/1.1 101 Switching Protocols\r\n\r\n", "protocol"},
      {"HTTP/1.0 101 Switching Protocols\r\n" + ok_accept + "KEY\r\n\r\n", "protocol"},
      {"HTTP/1.1 101 Switching Protocols\r\n" + ok_accept + "KEY\r\nSec-WebSocket-Extensions: x\r\n\r\n", "protocol"},
      {"HTTP/1.1 101 Switching Protocols\r\n" + ok_accept + "KEY\r\nSec-WebSocket-Protocol: x\r\n\r\n", "protocol"},
      {"HTTP/1.1 403 No\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nno", ""},
      {"HTTP/1.1 200 OK\r\nUpgrade: websocket\r\nContent-Length: 2\r\n\r\nno", ""},
  };
  for (const auto& [bytes, reason] : cases) {
    SCOPED_TRACE(bytes);
    Upstream upstream([&said = bytes](Peer& peer, const std::string& head) -> bool {
      std::string answer = said;
      if (const auto at = answer.find("KEY"); at != std::string::npos) {
        answer.replace(at, 3, websocket::accept_of(field(head, "Sec-WebSocket-Key")));
      }
      return peer.write(answer);
    });
    Grant http = grant(upstream.port());
    http.id = "2";
    Running egress({.grants = {feed(upstream.port()), http}});
    for (int i = 0; i < 2; ++i) {
      Lane lane(egress.control());
      const Answer answer = lane.ask(opening(upstream.port()));
      if (reason.empty()) {
        ASSERT_TRUE(answer.response);
        EXPECT_EQ(answer.body, "no");
        EXPECT_EQ(answer.header("upgrade"), "<none>");
      } else {
        ASSERT_TRUE(answer.failure);
        EXPECT_EQ(answer.failure->reason, reason);
      }
    }
    lane::Request other = request(upstream.port());
    other.grant = "2";
    Lane lane(egress.control());
    (void)lane.ask(other);
    EXPECT_EQ(upstream.connections(), 3) << "what was to become a WebSocket carries no other request";
  }
}

TEST(WebSocket, AServersFramesAreReadStrictly) {
  for (const std::string& bad : {"\x83\x01x"s, "\xc1\x01x"s, "\x80\x01x"s, "\x82\x7e\x00\x01x"s, "\x88\x01x"s,
                                 websocket::frame(websocket::Sender::client, {Opcode::text, true, "x"})}) {
    Server server(from_server({Opcode::text, true, "before"}) + bad + from_server({Opcode::text, true, "behind"}));
    Running egress({.grants = {feed(server.upstream.port())}});
    Lane lane(egress.control());
    ASSERT_TRUE(open(lane, opening(server.upstream.port())));
    const Said said = listen(lane);
    ASSERT_EQ(said.messages.size(), 1U);
    EXPECT_EQ(said.messages[0].data, "before");
    ASSERT_TRUE(said.failure);
    EXPECT_EQ(said.failure->reason, "protocol");
    EXPECT_TRUE(server.ended());
  }
}

// What a front that was taken over sends.
TEST(WebSocket, ALaneIsReadStrictly) {
  const std::string text = lane::encode(Message{Opcode::text, true, "a"});
  for (const std::string& bad :
       {lane::encode_body("x"), lane::encode_end(), lane::encode(Message{Opcode::continuation, true, "a"}),
        lane::encode(Message{Opcode::ping, true, std::string(126, 'a')}),
        lane::encode(Message{Opcode::close, true, "a"}), lane::encode(Message{Opcode::text, false, "a"}) + text,
        lane::encode(request(1))}) {
    Server server;
    Running egress({.grants = {feed(server.upstream.port())}});
    Lane lane(egress.control());
    ASSERT_TRUE(open(lane, opening(server.upstream.port())));
    ASSERT_TRUE(lane.send(bad + text));
    EXPECT_TRUE(server.ended());
    EXPECT_EQ(egress.event("upstream.close")["reason"], "protocol");
    EXPECT_EQ(server.got.find("\x81\x81"), std::string::npos) << "nothing behind it goes up";
  }
}

TEST(WebSocket, TheCredentialGoesUpAndNeverComesBack) {
  const std::string key = secret;
  Server server(from_server({Opcode::text, false, "it is " + key.substr(0, 5)}) +
                from_server({Opcode::ping, true, key}) + from_server({Opcode::continuation, false, key.substr(5)}) +
                from_server({Opcode::continuation, true, ", " + key.substr(0, 4)}) +
                from_server({Opcode::binary, true, key}) +
                from_server({Opcode::close, true, websocket::close_payload(4000, key)}));
  // A credential is never sent without TLS by a policy; the exchange is the same.
  Running egress({.grants = {feed(server.upstream.port(), "api")}, .credential = "api"});
  lane::Request asked = opening(server.upstream.port());
  asked.slot_filled = true;
  Lane lane(egress.control());
  ASSERT_TRUE(open(lane, asked));
  EXPECT_EQ(egress.event("credential.use")["credential"], "api");
  EXPECT_NE(server.upstream.heads().at(0).find(key), std::string::npos);
  const Said said = listen(lane, 6);
  std::string text, all;
  for (const Message& part : said.messages) {
    all += part.data;
    if (part.opcode == Opcode::text || part.opcode == Opcode::continuation) text += part.data;
  }
  EXPECT_EQ(text, "it is " + std::string(key.size(), '*') + ", " + key.substr(0, 4)) << "what only begins so is kept";
  EXPECT_EQ(all.find(key), std::string::npos);
  EXPECT_EQ(said.messages.back().opcode, Opcode::close);
}

TEST(WebSocket, BudgetsAndSizesCutItOff) {
  struct {
    const char* reason;
    std::function<void(Grant&)> bound;
    Message up;
    std::string down;
  } cases[] = {
      {"budget", [](Grant& g) { g.budget.bytes_up = 3; }, {Opcode::text, true, "four"}, ""},
      {"budget", [](Grant& g) { g.budget.bytes_up = 3; }, {Opcode::ping, true, "four"}, ""},
      {"budget", [](Grant& g) { g.budget.bytes_up = 0; }, {Opcode::text, true, ""}, ""},
      {"budget", [](Grant& g) { g.budget.bytes_down = 3; }, {}, from_server({Opcode::text, true, "four"})},
      {"budget", [](Grant& g) { g.budget.bytes_down = 3; }, {}, from_server({Opcode::pong, true, "four"})},
      {"body", [](Grant& g) { g.allow[0].max_body = 3; }, {Opcode::text, true, "four"}, ""},
      {"body",
       [](Grant& g) { g.response.max_body = 3; },
       {},
       from_server({Opcode::text, false, "fo"}) + from_server({Opcode::continuation, true, "ur"})},
      {"expired", [](Grant& g) { g.expires = std::chrono::seconds(1); }, {}, ""},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.reason + c.up.data + c.down);
    Server server(c.down);
    Grant granted = feed(server.upstream.port());
    c.bound(granted);
    Running egress({.grants = {granted}});
    Lane lane(egress.control());
    ASSERT_TRUE(open(lane, opening(server.upstream.port())));
    if (c.down.empty() && granted.expires == std::nullopt) lane.send(lane::encode(c.up));
    const Said said = listen(lane);
    ASSERT_TRUE(said.failure);
    EXPECT_EQ(said.failure->reason, c.reason);
    EXPECT_TRUE(server.ended());
    EXPECT_EQ(server.got, "") << "nothing of what was too much went up";
    EXPECT_EQ(egress.event("upstream.close")["reason"], c.reason);
  }
}

TEST(WebSocket, SmallMessagesHaveNoBoundInAll) {
  Server server;
  Grant granted = feed(server.upstream.port());
  granted.allow[0].max_body = 3;
  Running egress({.grants = {granted}});
  Lane lane(egress.control());
  ASSERT_TRUE(open(lane, opening(server.upstream.port())));
  for (int i = 0; i < 20; ++i) lane.send(lane::encode(Message{Opcode::text, true, "abc"}));
  for (int i = 0; i < 100 && server.messages().size() < 20; ++i) ::poll(nullptr, 0, 10);
  EXPECT_EQ(server.messages().size(), 20U);
}

TEST(WebSocket, ARevokedOneEndsAtOnce) {
  Server server;
  Running egress({.grants = {feed(server.upstream.port())}});
  Lane lane(egress.control());
  ASSERT_TRUE(open(lane, opening(server.upstream.port())));
  EXPECT_TRUE(ipc::send(egress.sockets.supervisor.get(),
                        to_json(GrantsUpdate{1, {}, {{feed(server.upstream.port()), Gone::revoked}}, false})));
  const Said said = listen(lane);
  ASSERT_TRUE(said.failure);
  EXPECT_EQ(said.failure->reason, "revoked");
  EXPECT_TRUE(server.ended());
}

TEST(WebSocket, WhoeverLeavesEndsIt) {
  Server server;
  Running egress({.grants = {feed(server.upstream.port())}});
  Lane lane(egress.control());
  ASSERT_TRUE(open(lane, opening(server.upstream.port())));
  lane.close();
  EXPECT_TRUE(server.ended());
  EXPECT_EQ(egress.event("upstream.close")["reason"], "client-gone");

  Upstream rude([](Peer& peer, const std::string& head) -> bool { return peer.write(agree(head)) && false; });
  Running other({.grants = {feed(rude.port())}});
  Lane left(other.control());
  ASSERT_TRUE(open(left, opening(rude.port())));
  const Said said = listen(left);
  ASSERT_TRUE(said.failure);
  EXPECT_EQ(said.failure->reason, "upstream");
}

// A client that has closed does not wait for ever for a server that won't.
TEST(WebSocket, AClosedOneEnds) {
  Server server;
  Timeouts timeouts;
  timeouts.handshake = std::chrono::milliseconds(200);
  timeouts.tick = std::chrono::milliseconds(50);
  Running egress({.grants = {feed(server.upstream.port())}, .timeouts = timeouts});
  Lane lane(egress.control());
  ASSERT_TRUE(open(lane, opening(server.upstream.port())));
  lane.send(lane::encode(Message{Opcode::close, true, ""}));
  EXPECT_TRUE(server.ended());
  EXPECT_TRUE(listen(lane).failure);
}

}  // namespace
}  // namespace bulkhead::egress

// The whole egress, from lane to upstream and back: what passes, in which form.
#include <poll.h>
#include <sys/socket.h>

#include "gateway/egress/harness_test.h"

namespace bulkhead::egress {
namespace {

constexpr std::size_t big = 8 * 1024 * 1024;

// The frames of a body, and the end.
std::string frames(std::string_view body) {
  std::string out;
  for (; !body.empty(); body.remove_prefix(std::min(body.size(), lane::max_body))) {
    out += lane::encode_body(body.substr(0, lane::max_body));
  }
  return out + lane::encode_end();
}

std::string stars(std::string text, std::string_view hidden = secret) {
  for (std::size_t at = 0; (at = text.find(hidden)) != std::string::npos;) {
    text.replace(at, hidden.size(), hidden.size(), '*');
  }
  return text;
}

Upstream::Script always(const std::string& answer) {
  return [answer](Peer& peer, const std::string&) -> bool { return peer.write(answer); };
}

TEST(Egress, GoesOverTlsAndComesBack) {
  const TestCa ca;
  Upstream upstream(always(ok("hello", "X-Kept: yes\r\nSet-Cookie: a=b\r\nAlt-Svc: h3\r\nNEL: {}\r\n")), ca.server());
  Grant granted = grant(upstream.port());
  granted.protocol = Protocol::https;
  Running egress({.grants = {granted}, .upstream_ca = ca.pem()});
  Lane lane(egress.control());
  lane::Request asked = request(upstream.port(), "/v1/x?y=1");
  asked.scheme = "https";
  asked.headers = {{"accept", "*/*"}, {"x-forwarded-for", "10.0.0.1"}};
  for (int i = 0; i < 3; ++i) {
    const Answer answer = lane.ask(asked);
    ASSERT_TRUE(answer.whole) << (answer.failure ? answer.failure->text : "");
    EXPECT_EQ(answer.response->status, 200);
    EXPECT_EQ(answer.response->headers, (lane::Headers{{"x-kept", "yes"}}));
    EXPECT_EQ(answer.body, "hello");
    const auto event = egress.event("upstream.request");
    EXPECT_EQ(event["address"], "127.0.0.1");
    EXPECT_EQ(event["tls"], "TLSv1.3");
    EXPECT_EQ(event["reused"], i > 0);
    EXPECT_EQ(event["bytes_down"], 5);
  }
  EXPECT_EQ(upstream.connections(), 1);
  EXPECT_EQ(upstream.heads().front(), "GET /v1/x?y=1 HTTP/1.1\r\nHost: api.example.com:" +
                                          std::to_string(upstream.port()) + "\r\naccept: */*\r\n\r\n");
}

TEST(Egress, EveryFraming) {
  const std::map<std::string, std::string> answers = {
      {"/chunked",
       "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\nT: x\r\n\r\n"},
      {"/close", "HTTP/1.1 200 OK\r\n\r\nhello world"},
      {"/nothing", "HTTP/1.1 204 No Content\r\n\r\n"},
      {"/same", "HTTP/1.1 304 Not Modified\r\nETag: \"1\"\r\nContent-Length: 11\r\n\r\n"},
      {"/interim", "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + ok("hello world")},
      {"/empty", ok("")},
  };
  Upstream upstream([&](Peer& peer, const std::string& head) -> bool {
    const std::string path = head.substr(head.find(' ') + 1, head.find(" HTTP") - head.find(' ') - 1);
    if (head.starts_with("HEAD")) return peer.write("HTTP/1.1 200 OK\r\nContent-Length: 12345\r\n\r\n");
    return peer.write(answers.at(path)) && path != "/close";
  });
  Running egress({.grants = {grant(upstream.port())}});
  Lane lane(egress.control());
  const auto ask = [&](const char* path, const char* method = "GET") {
    Answer answer = lane.ask(request(upstream.port(), path, method));
    EXPECT_TRUE(answer.whole && answer.response) << path << (answer.failure ? answer.failure->text : "");
    if (!answer.response) answer.response.emplace();
    return answer;
  };
  EXPECT_EQ(ask("/chunked").body, "hello world");
  EXPECT_EQ(ask("/chunked").response->body, lane::BodyKind::streamed);
  EXPECT_EQ(ask("/close").body, "hello world");
  EXPECT_EQ(ask("/interim").body, "hello world");
  EXPECT_EQ(ask("/nothing").response->status, 204);
  const Answer same = ask("/same");
  EXPECT_EQ(same.response->status, 304);
  EXPECT_EQ(same.response->body, lane::BodyKind::none);
  EXPECT_EQ(same.header("etag"), "\"1\"");
  EXPECT_EQ(ask("/empty").body, "");
  const Answer head = ask("/chunked", "HEAD");
  EXPECT_EQ(head.response->body, lane::BodyKind::none);
  EXPECT_EQ(head.response->body_length, 12345U);
  EXPECT_EQ(head.body, "");
  EXPECT_EQ(upstream.connections(), 2);  // only "until close" cost one
}

TEST(Egress, TheCredentialIsInItsSlotAndNothingOfItComesBack) {
  for (const auto carrier : {Credential::Carrier::header, Credential::Carrier::bearer, Credential::Carrier::basic}) {
    const bool named = carrier == Credential::Carrier::header;
    const std::string line = carrier == Credential::Carrier::header   ? "x-api-key: " + std::string(secret)
                             : carrier == Credential::Carrier::bearer ? "authorization: Bearer " + std::string(secret)
                                                                      : "authorization: Basic "
                                                                        "dXNlcjpzay1saXZlLzAxMjM0NTY3ODkrYWJjZGVm";
    const std::string carried = line.substr(line.rfind(' ') + 1);
    // Echoes what it got, byte by byte and with pauses, so that the secret is cut everywhere.
    Upstream upstream([&](Peer& peer, const std::string& head) -> bool {
      const std::string body = head + "\n" + secret + "|" + carried + "|sk-live";
      if (!peer.write("HTTP/1.1 200 OK\r\nX-Echo: <" + carried + ">\r\nContent-Length: " + std::to_string(body.size()) +
                      "\r\n\r\n")) {
        return false;
      }
      for (const char c : body) {
        if (!peer.write({&c, 1})) return false;
        ::poll(nullptr, 0, 1);
      }
      return true;
    });
    Running egress({.grants = {grant(upstream.port(), "key")}, .credential = "key", .carrier = carrier});
    Lane lane(egress.control());
    lane::Request asked = request(upstream.port());
    asked.headers = {{"accept", "a"}, {"accept-encoding", "gzip"}, {"range", "bytes=3-"}};
    asked.slot_filled = true;
    const Answer answer = lane.ask(asked);
    ASSERT_TRUE(answer.whole) << (answer.failure ? answer.failure->text : "");
    const std::string head = upstream.heads().at(0);
    EXPECT_NE(head.find("\r\n" + line + "\r\n"), std::string::npos) << head;
    EXPECT_NE(head.find("\r\naccept-encoding: identity\r\n"), std::string::npos) << head;
    EXPECT_EQ(head.find("range"), std::string::npos) << head;
    EXPECT_EQ(head.find(carried), head.rfind(carried)) << head;
    EXPECT_EQ(answer.body, stars(stars(head + "\n" + secret + "|" + carried + "|sk-live"), carried));
    EXPECT_EQ(answer.header("x-echo"), "<" + std::string(carried.size(), '*') + ">");
    EXPECT_EQ(egress.event("credential.use")["credential"], "key");

    // Without the token in its slot there is no credential.
    asked.slot_filled = false;
    EXPECT_TRUE(lane.ask(asked).whole);
    const std::string without = upstream.heads().at(1);
    EXPECT_EQ(without.find(named ? "x-api-key" : "authorization"), std::string::npos) << without;
    for (const auto& event : egress.sockets.events()) {
      EXPECT_NE(event["type"], "credential.use");
      EXPECT_EQ(event.dump().find(secret), std::string::npos);
    }
  }
}

TEST(Egress, AnEncodedAnswerIsNotPassedOnWhereACredentialCouldHide) {
  Upstream upstream(always(ok("xxxx", "Content-Encoding: gzip\r\n")));
  Running with({.grants = {grant(upstream.port(), "key")}, .credential = "key"});
  const Answer refused = Lane(with.control()).ask(request(upstream.port()));
  ASSERT_TRUE(refused.failure);
  EXPECT_EQ(refused.failure->reason, "encoding");
  Running without({.grants = {grant(upstream.port())}});
  EXPECT_EQ(Lane(without.control()).ask(request(upstream.port())).body, "xxxx");
}

TEST(Egress, LargeBodiesBothWays) {
  const std::string bytes = pattern(big);
  for (const bool tls : {false, true}) {
    const TestCa ca;
    Upstream upstream(
        [&](Peer& peer, const std::string& head) -> bool {
          const bool chunked = head.find("Transfer-Encoding: chunked") != std::string::npos;
          return peer.write(ok(chunked ? peer.chunked() : peer.read(big)));
        },
        tls ? ca.server() : nullptr);
    Grant granted = grant(upstream.port());
    if (tls) granted.protocol = Protocol::https;
    Running egress({.grants = {granted}, .upstream_ca = ca.pem()});
    Lane lane(egress.control());
    for (const auto kind : {lane::BodyKind::length, lane::BodyKind::streamed}) {
      lane::Request asked = request(upstream.port(), "/", "POST");
      if (tls) asked.scheme = "https";
      asked.body = kind;
      if (kind == lane::BodyKind::length) asked.body_length = big;
      ASSERT_TRUE(lane.send(lane::encode(asked)));
      std::thread sender([&] { EXPECT_TRUE(lane.send(frames(bytes))); });
      const Answer answer = lane.answer();
      sender.join();
      ASSERT_TRUE(answer.whole) << (answer.failure ? answer.failure->text : "");
      EXPECT_TRUE(answer.body == bytes);
      EXPECT_EQ(egress.event("upstream.request")["bytes_up"], big);
    }
    EXPECT_EQ(upstream.connections(), 1);
  }
}

// What the other side doesn't take is not read: the first sender stands still after some socket buffers.
TEST(Egress, BackPressureBothWays) {
  std::atomic<std::size_t> written = 0;
  std::atomic<bool> go = false;
  const std::string piece = pattern(64 * 1024);
  Upstream upstream([&](Peer& peer, const std::string& head) -> bool {
    if (head.starts_with("POST")) {
      while (!go) ::poll(nullptr, 0, 5);
      return peer.write(ok(std::to_string(peer.read(64 * big).size())));
    }
    peer.write("HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(16 * big) + "\r\n\r\n");
    while (written < 16 * big && peer.write(piece)) written += piece.size();
    return true;
  });
  Running egress({.grants = {grant(upstream.port())}});
  Lane down(egress.control());
  ASSERT_TRUE(down.send(lane::encode(request(upstream.port())) + lane::encode_end()));
  const auto stands_still = [](const std::atomic<std::size_t>& counter) {
    for (std::size_t before = 0; before == 0 || before != counter;) {
      before = counter;
      ::poll(nullptr, 0, 300);
    }
    return counter.load();
  };
  EXPECT_LT(stands_still(written), 2 * big);
  EXPECT_EQ(down.answer().body.size(), 16 * big);

  Lane up(egress.control());
  lane::Request asked = request(upstream.port(), "/", "POST");
  asked.body = lane::BodyKind::length;
  asked.body_length = 16 * big;
  ASSERT_TRUE(up.send(lane::encode(asked)));
  std::atomic<std::size_t> sent = 0;
  std::thread sender([&] {
    const std::string frame = lane::encode_body(piece);
    while (sent < 16 * big && up.send(frame)) sent += piece.size();
    up.send(lane::encode_end());
  });
  // 64 MiB upstream reads at most: the loop above is bounded by what it asks for.
  EXPECT_LT(stands_still(sent), 2 * big);
  go = true;
  sender.join();
  EXPECT_EQ(sent, 16 * big);
}

TEST(Egress, ADeadKeptConnectionIsTriedOnceMoreWhereThatIsHarmless) {
  // The second request on a connection finds it dead, without a warning beforehand.
  std::atomic<int> asked_twice = 0;
  Upstream upstream([&](Peer& peer, const std::string& head) -> bool {
    if (head.starts_with("POST")) {
      ++asked_twice;
      return false;
    }
    if (!peer.write(ok("hello"))) return false;
    const std::string second = peer.head();
    if (!second.empty()) ++asked_twice;
    return false;
  });
  Running egress({.grants = {grant(upstream.port())}});
  Lane lane(egress.control());
  for (int i = 0; i < 4; ++i) EXPECT_EQ(lane.ask(request(upstream.port())).body, "hello") << i;
  EXPECT_EQ(asked_twice, 3);
  EXPECT_EQ(upstream.connections(), 4);
  const Answer answer = lane.ask(request(upstream.port(), "/", "POST"));  // on the kept one: not again
  ASSERT_TRUE(answer.failure);
  EXPECT_EQ(answer.failure->status, 502);
  EXPECT_EQ(upstream.connections(), 4);
}

TEST(Egress, AConnectionClosedWhileItRestedIsNoticed) {
  Upstream upstream([](Peer& peer, const std::string&) -> bool {
    peer.write(ok("hello"));
    return false;
  });
  Running egress({.grants = {grant(upstream.port())}});
  Lane lane(egress.control());
  EXPECT_EQ(lane.ask(request(upstream.port())).body, "hello");
  ::poll(nullptr, 0, 50);
  EXPECT_EQ(lane.ask(request(upstream.port(), "/", "POST")).body, "hello");
}

TEST(Egress, WhatComesUnaskedIsNoAnswerToTheNextRequest) {
  Upstream upstream([](Peer& peer, const std::string&) -> bool { return peer.write(ok("hello") + ok("planted")); });
  Running egress({.grants = {grant(upstream.port())}});
  Lane lane(egress.control());
  for (int i = 0; i < 3; ++i) EXPECT_EQ(lane.ask(request(upstream.port())).body, "hello");
  EXPECT_EQ(upstream.connections(), 3);
}

TEST(Egress, LanesAreIndependentAndConnectionsAreNotShared) {
  Upstream upstream([](Peer& peer, const std::string& head) -> bool {
    ::poll(nullptr, 0, 50);
    return peer.write(ok(head.substr(4, 3)));
  });
  Running egress({.grants = {grant(upstream.port())}});
  std::list<Lane> lanes;
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 8; ++i) {
      if (round == 0) lanes.emplace_back(egress.control());
    }
    int i = 0;
    for (Lane& lane : lanes) {
      lane.send(lane::encode(request(upstream.port(), "/" + std::to_string(10 + i++))) + lane::encode_end());
    }
    i = 0;
    for (Lane& lane : lanes) EXPECT_EQ(lane.answer().body, "/" + std::to_string(10 + i++));
  }
  EXPECT_EQ(upstream.connections(), 8);
}

// A client that asks for many things at once pays for their connections once, not every time.
TEST(Egress, AsManyConnectionsAreKeptAsLanesAskAtOnce) {
  constexpr int many = 24;
  std::atomic<int> asked = 0;
  Upstream upstream([&](Peer& peer, const std::string&) -> bool {
    // All are on their way before one is answered.
    const int round = (asked++ / many + 1) * many;
    for (int i = 0; i < 2000 && asked < round; ++i) ::poll(nullptr, 0, 5);
    return peer.write(ok("x"));
  });
  Running egress({.grants = {grant(upstream.port())}});
  std::list<Lane> lanes;
  for (int i = 0; i < many; ++i) lanes.emplace_back(egress.control());
  for (int round = 0; round < 3; ++round) {
    for (Lane& lane : lanes) lane.send(lane::encode(request(upstream.port())) + lane::encode_end());
    for (Lane& lane : lanes) EXPECT_TRUE(lane.answer().whole);
  }
  EXPECT_EQ(upstream.connections(), many);
}

TEST(Egress, AnEarlyAnswerGoesOnAsTheRequestDoes) {
  Upstream upstream([](Peer& peer, const std::string&) -> bool {
    peer.write("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n");
    return peer.write(peer.chunked());
  });
  Running egress({.grants = {grant(upstream.port())}});
  Lane lane(egress.control());
  lane::Request asked = request(upstream.port(), "/", "POST");
  asked.body = lane::BodyKind::streamed;
  for (int i = 0; i < 2; ++i) {
    lane.send(lane::encode(asked) + lane::encode_body("abc"));
    lane::Kind kind;
    std::string payload;
    ASSERT_TRUE(lane.frame(kind, payload));
    EXPECT_EQ(kind, lane::Kind::response);
    lane.send(lane::encode_body("def") + lane::encode_end());
    const Answer answer = lane.answer();
    EXPECT_TRUE(answer.whole);
    EXPECT_EQ(answer.body, "abcdef");
  }
  EXPECT_EQ(upstream.connections(), 1);
}

TEST(Egress, AnEarlyRefusalEndsTheUpload) {
  Upstream upstream([](Peer& peer, const std::string&) -> bool {
    peer.write("HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno");
    peer.read(1000);
    ::poll(nullptr, 0, 100);
    return false;
  });
  Running egress({.grants = {grant(upstream.port())}});
  Lane lane(egress.control());
  lane::Request asked = request(upstream.port(), "/", "POST");
  asked.body = lane::BodyKind::length;
  asked.body_length = big;
  for (int i = 0; i < 2; ++i) {  // and the lane is as good as new
    ASSERT_TRUE(lane.send(lane::encode(asked)));
    std::thread sender([&] { EXPECT_TRUE(lane.send(frames(pattern(big)))); });
    const Answer answer = lane.answer();
    sender.join();
    ASSERT_TRUE(answer.response) << (answer.failure ? answer.failure->text : "");
    EXPECT_EQ(answer.response->status, 413);
    EXPECT_EQ(answer.body, "no");
  }
  EXPECT_EQ(upstream.connections(), 2);
}

Grant judging(std::uint16_t port) {
  Grant granted = grant(port);
  Rule& rule = granted.allow.front();
  rule.methods = {"POST"};
  rule.content_type = "application/json";
  rule.max_body = big;
  rule.json = JsonRules{.deny_keys = {"mcp_servers"}, .deny_values = {}, .allow_values = {}, .require = {}};
  return granted;
}

lane::Request posting(std::uint16_t port, lane::BodyKind kind, std::size_t size) {
  lane::Request asked = request(port, "/", "POST");
  asked.headers = {{"content-type", "application/json"}};
  asked.body = kind;
  if (kind == lane::BodyKind::length) asked.body_length = size;
  return asked;
}

TEST(Egress, ABodyWithRulesGoesUpWholeOrNotAtAll) {
  Upstream upstream([](Peer& peer, const std::string& head) -> bool {
    const std::size_t at = head.find("Content-Length: ");
    return at != std::string::npos && peer.write(ok(peer.read(std::stoul(head.substr(at + 16)))));
  });
  Running egress({.grants = {judging(upstream.port())}});
  Lane lane(egress.control());
  const std::vector<std::string> good{"{}", "{\"a\":\"" + std::string(100'000, 'x') + "\"}",
                                      "{\"a\":\"" + std::string(3'000'000, 'x') + "\"}"};
  const std::vector<std::string> bad{"", "{\"mcp_servers\":[]}",
                                     "{\"a\":\"" + std::string(3'000'000, 'x') + "\",\"mcp_servers\":1}"};
  for (const auto kind : {lane::BodyKind::length, lane::BodyKind::streamed}) {
    for (const std::string& body : good) {
      ASSERT_TRUE(lane.send(lane::encode(posting(upstream.port(), kind, body.size())) + frames(body)));
      const Answer answer = lane.answer();
      ASSERT_TRUE(answer.whole) << (answer.failure ? answer.failure->text : "");
      EXPECT_TRUE(answer.body == body);
      EXPECT_EQ(egress.event("upstream.request")["bytes_up"], body.size());
    }
    const std::size_t seen = upstream.heads().size();
    for (const std::string& body : bad) {
      ASSERT_TRUE(lane.send(lane::encode(posting(upstream.port(), kind, body.size())) + frames(body)));
      const Answer answer = lane.answer();
      ASSERT_TRUE(answer.failure);
      EXPECT_EQ(answer.failure->status, 403);
      EXPECT_EQ(answer.failure->reason, "json");
      EXPECT_EQ(egress.event("upstream.failure")["reason"], "json");
    }
    EXPECT_EQ(upstream.heads().size(), seen);
  }
  EXPECT_EQ(upstream.connections(), 1);
}

TEST(Egress, ABodyWithRulesIsNotJudgedByHalves) {
  Upstream upstream([](Peer& peer, const std::string&) -> bool { return peer.write(ok("")); });
  Running egress({.grants = {judging(upstream.port())}});
  const auto begin = [&](Lane& lane, lane::BodyKind kind, std::size_t size, const std::string& part) {
    ASSERT_TRUE(lane.send(lane::encode(posting(upstream.port(), kind, size)) + lane::encode_body(part)));
    ::poll(nullptr, 0, 50);
  };
  {  // the client went away in the middle of what so far is a whole document
    Lane lane(egress.control());
    begin(lane, lane::BodyKind::streamed, 0, "{}");
    lane.close();
  }
  {  // fewer bytes than announced, and more
    Lane lane(egress.control());
    begin(lane, lane::BodyKind::length, 10, "{}");
    lane.send(lane::encode_end());
    EXPECT_TRUE(lane.closed());
    Lane other(egress.control());
    begin(other, lane::BodyKind::length, 2, "{}  ");
    EXPECT_TRUE(other.closed());
  }
  {  // without a length nobody has said how large it will be
    Lane lane(egress.control());
    ASSERT_TRUE(lane.send(lane::encode(posting(upstream.port(), lane::BodyKind::streamed, 0))));
    const std::string blanks(lane::max_body, ' ');
    for (std::size_t sent = 0; sent <= big; sent += blanks.size()) lane.send(lane::encode_body(blanks));
    lane.send(lane::encode_end());
    const Answer answer = lane.answer();
    ASSERT_TRUE(answer.failure);
    EXPECT_EQ(answer.failure->status, 413);
  }
  EXPECT_EQ(upstream.connections(), 0);
  // A head that says it is something else.
  Lane lane(egress.control());
  for (const lane::Headers& headers :
       {lane::Headers{}, lane::Headers{{"content-type", "text/plain"}},
        lane::Headers{{"content-type", "application/json; charset=utf-16"}},
        lane::Headers{{"content-type", "application/json"}, {"content-encoding", "gzip"}},
        lane::Headers{{"content-type", "application/json"}, {"content_encoding", "identity"}}}) {
    lane::Request asked = posting(upstream.port(), lane::BodyKind::length, 2);
    asked.headers = headers;
    ASSERT_TRUE(lane.send(lane::encode(asked) + frames("{}")));
    const Answer answer = lane.answer();
    ASSERT_TRUE(answer.failure);
    EXPECT_EQ(answer.failure->reason, "content-type");
  }
  EXPECT_EQ(upstream.connections(), 0);
}

Grant pushing(std::uint16_t port) {
  Grant granted = grant(port);
  Rule& rule = granted.allow.front();
  rule.methods = {"POST"};
  rule.path = "/a/b/git-receive-pack";
  rule.content_type = "application/x-git-receive-pack-request";
  rule.git = GitRules{.refs = {"refs/heads/agent/*"}};
  return granted;
}

lane::Request push_request(std::uint16_t port, lane::BodyKind kind, std::size_t size) {
  lane::Request asked = posting(port, kind, size);
  asked.target = "/a/b/git-receive-pack";
  asked.headers = {{"content-type", "application/x-git-receive-pack-request"}};
  return asked;
}

std::string push(const std::string& ref, std::size_t pack) {
  const std::string line =
      std::string(40, '0') + " " + std::string(40, 'a') + " " + ref + std::string("\0 report-status", 15);
  char length[5];
  std::snprintf(length, sizeof length, "%04zx", line.size() + 4);
  return length + line + "0000" + std::string("PACK\0\0\0\2", 8) + pattern(pack);
}

// Whatever the framing: the upstream gets all of a push that is granted, and nothing at all of one that is not.
TEST(Egress, APushIsJudgedBeforeAnyOfItGoesUp) {  // A06
  Upstream upstream([](Peer& peer, const std::string& head) -> bool {
    const std::size_t at = head.find("Content-Length: ");
    const std::string body = at == std::string::npos ? peer.chunked() : peer.read(std::stoul(head.substr(at + 16)));
    return peer.write(ok(body));
  });
  Running egress({.grants = {pushing(upstream.port())}});
  Lane lane(egress.control());
  for (const auto kind : {lane::BodyKind::length, lane::BodyKind::streamed}) {
    for (const std::string& body : {std::string("0000"), push("refs/heads/agent/x", 0),
                                    push("refs/heads/agent/x", 100'000), push("refs/heads/agent/x", big)}) {
      std::thread writer(
          [&] { lane.send(lane::encode(push_request(upstream.port(), kind, body.size())) + frames(body)); });
      const Answer answer = lane.answer();
      writer.join();
      ASSERT_TRUE(answer.whole) << (answer.failure ? answer.failure->text : "");
      EXPECT_TRUE(answer.body == body) << body.size();
      EXPECT_EQ(egress.event("upstream.request")["bytes_up"], body.size());
    }
    const std::size_t seen = upstream.heads().size();
    for (const std::string& body :
         {std::string(), std::string("0000x"), push("refs/heads/main", 0), push("refs/heads/main", 3'000'000),
          std::string("0000") + push("refs/heads/agent/x", 10)}) {
      std::thread writer(
          [&] { lane.send(lane::encode(push_request(upstream.port(), kind, body.size())) + frames(body)); });
      const Answer answer = lane.answer();
      writer.join();
      ASSERT_TRUE(answer.failure);
      EXPECT_EQ(answer.failure->status, 403);
      EXPECT_EQ(answer.failure->reason, "git");
      EXPECT_EQ(egress.event("upstream.failure")["reason"], "git");
    }
    EXPECT_EQ(upstream.heads().size(), seen);
  }
}

TEST(Egress, APushInOneByteFramesAndOneThatBreaksOff) {
  Upstream upstream([](Peer& peer, const std::string&) -> bool { return peer.write(ok(peer.chunked())); });
  Running egress({.grants = {pushing(upstream.port())}});
  const std::string body = push("refs/heads/agent/x", 500);
  {
    Lane lane(egress.control());
    std::string out = lane::encode(push_request(upstream.port(), lane::BodyKind::streamed, 0));
    for (const char c : body) out += lane::encode_body(std::string(1, c));
    ASSERT_TRUE(lane.send(out + lane::encode_end()));
    EXPECT_EQ(lane.answer().body, body);
  }
  const int connections = upstream.connections();
  for (const std::size_t cut : {3U, 50U, 130U}) {  // before it is judged
    Lane lane(egress.control());
    ASSERT_TRUE(lane.send(lane::encode(push_request(upstream.port(), lane::BodyKind::streamed, 0)) +
                          lane::encode_body(body.substr(0, cut))));
    ::poll(nullptr, 0, 30);
    lane.close();
  }
  ::poll(nullptr, 0, 50);
  EXPECT_EQ(upstream.connections(), connections);
  Lane lane(egress.control());  // a length that is not kept
  ASSERT_TRUE(lane.send(lane::encode(push_request(upstream.port(), lane::BodyKind::length, 10)) +
                        lane::encode_body("0000") + lane::encode_end()));
  EXPECT_TRUE(lane.closed());
  Lane encoded(egress.control());
  lane::Request asked = push_request(upstream.port(), lane::BodyKind::length, body.size());
  asked.headers.emplace_back("content-encoding", "gzip");
  ASSERT_TRUE(encoded.send(lane::encode(asked) + frames(body)));
  EXPECT_EQ(encoded.answer().failure->reason, "content-type");
  EXPECT_EQ(upstream.connections(), connections);
}

// A server that can't be reached: the rest of the push is read, and the lane goes on.
TEST(Egress, APushToNobody) {
  std::uint16_t port = 0;
  {
    port = Upstream([](Peer&, const std::string&) -> bool { return false; }).port();
  }
  Running egress({.grants = {pushing(port)}});
  Lane lane(egress.control());
  for (int i = 0; i < 2; ++i) {
    const std::string body = push("refs/heads/agent/x", 1'000'000);
    std::thread writer(
        [&] { lane.send(lane::encode(push_request(port, lane::BodyKind::length, body.size())) + frames(body)); });
    const Answer answer = lane.answer();
    writer.join();
    ASSERT_TRUE(answer.failure);
    EXPECT_EQ(answer.failure->reason, "connect");
  }
}

TEST(Egress, BudgetsAreCountedHereToo) {
  Upstream upstream([](Peer& peer, const std::string& head) -> bool {
    if (head.starts_with("POST")) peer.chunked();
    return peer.write(ok("12345"));
  });
  const auto refused = [](const Answer& answer) {
    return answer.failure ? std::to_string(answer.failure->status) + " " + answer.failure->text : "no failure";
  };
  {
    Grant granted = grant(upstream.port());
    granted.budget.requests = 1;
    Running egress({.grants = {granted}});
    Lane lane(egress.control());
    EXPECT_TRUE(lane.ask(request(upstream.port())).whole);
    EXPECT_EQ(refused(lane.ask(request(upstream.port()))), "429 the grant's budget for requests is used up");
  }
  Grant granted = grant(upstream.port());
  granted.budget.bytes_down = 9;
  granted.budget.bytes_up = 9;
  Running egress({.grants = {granted}});
  Lane lane(egress.control());
  EXPECT_TRUE(lane.ask(request(upstream.port())).whole);
  EXPECT_EQ(refused(lane.ask(request(upstream.port()))), "429 the grant's budget for bytes_down is used up");
  lane::Request asked = request(upstream.port(), "/", "POST");
  asked.body = lane::BodyKind::length;
  asked.body_length = 10;
  lane.send(lane::encode(asked) + frames("0123456789"));
  EXPECT_EQ(refused(lane.answer()), "429 the grant's budget for bytes_up is used up");
  asked.body = lane::BodyKind::streamed;
  asked.body_length = 0;
  lane.send(lane::encode(asked) + frames("0123456789"));
  EXPECT_EQ(refused(lane.answer()), "429 the grant's budget for bytes_up is used up");
  EXPECT_EQ(upstream.heads().size(), 3U);  // of the bodies that were too large, nothing went up
}

}  // namespace
}  // namespace bulkhead::egress

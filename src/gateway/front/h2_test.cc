// HTTP/2 from the workload: the same judgement as HTTP/1's, bodies both ways, and what a hostile client gets.
#include <gtest/gtest.h>

#include <algorithm>

#include "gateway/front/harness_test.h"
#include "gateway/http/h2_session.h"

namespace bulkhead::front {
namespace {

using std::chrono::milliseconds;
const std::string api = "api.example.com";

// A client that does HTTP/2 properly; raw() sends frames by hand behind its back.
class H2Client final : public http::H2Handler {
 public:
  struct Stream {
    std::vector<lane::Headers> blocks;
    std::string body, out;
    bool ended = false, closed = false, out_ended = true;
    std::uint32_t code = 0;
    std::string status() const { return blocks.empty() ? "" : blocks.back().front().second; }
    std::string header(std::string_view name) const {
      for (const auto& block : blocks) {
        for (const auto& [key, value] : block) {
          if (key == name) return value;
        }
      }
      return {};
    }
  };

  explicit H2Client(const Gateway& gateway, const std::string& host = api, std::uint16_t port = 443) : client_(port) {
    client_.alpn = "\x02h2";
    EXPECT_TRUE(client_.secure(gateway, host));
    flush();
  }

  std::int32_t open(const std::string& method, const std::string& path, const lane::Headers& headers = {},
                    std::string body = {}, bool ended = true, const std::string& authority = api,
                    const std::string& scheme = "https") {
    const bool has_body = !body.empty() || !ended;
    const auto id = session_.request({method, scheme, authority, path}, headers, "", has_body);
    if (!id) return 0;
    streams[*id].out = std::move(body);
    streams[*id].out_ended = ended;
    flush();
    return *id;
  }
  // Until the stream is at its end.
  const Stream& finish(std::int32_t id) {
    while (!streams[id].closed && step()) {
    }
    return streams[id];
  }
  const Stream& ask(const std::string& method, const std::string& path, const lane::Headers& headers = {},
                    std::string body = {}) {
    return finish(open(method, path, headers, std::move(body)));
  }
  bool step() {
    flush();
    const std::string bytes = client_.raw(64 * 1024);
    if (bytes.empty()) return false;
    const bool good = session_.receive(bytes, http::H2Session::Clock::now()).has_value();
    flush();
    return good;
  }
  bool flush() {
    std::string out;
    session_.send(out, 1 << 20);
    return out.empty() || client_.send(out);
  }
  void more(std::int32_t id, std::string bytes, bool ended) {
    streams[id].out += bytes;
    streams[id].out_ended = ended;
    session_.resume(id);
    flush();
  }
  void reset(std::int32_t id) {
    session_.reset(id, http::H2Code::cancel);
    flush();
  }
  bool raw(std::string_view bytes) { return client_.send(bytes); }
  Client& client() { return client_; }

  std::map<std::int32_t, Stream> streams;
  std::int32_t goaway = -1;
  bool take = true;

 private:
  void on_block(std::int32_t id, http::H2Block block, bool ended) override {
    streams[id].blocks.push_back(std::move(block.fields));
    streams[id].ended |= ended;
  }
  void on_data(std::int32_t id, std::string_view bytes) override {
    streams[id].body += bytes;
    if (take) session_.consumed(id, bytes.size());
  }
  void on_end(std::int32_t id) override { streams[id].ended = true; }
  void on_closed(std::int32_t id, std::uint32_t code) override {
    streams[id].closed = true;
    streams[id].code = code;
  }
  void on_malformed(std::int32_t, std::string why) override { ADD_FAILURE() << why; }
  http::H2Supply on_read(std::int32_t id, std::span<char> into) override {
    Stream& stream = streams[id];
    const std::size_t n = stream.out.copy(into.data(), into.size());
    stream.out.erase(0, n);
    return {n, stream.out.empty() && !stream.out_ended, stream.out.empty() && stream.out_ended, nullptr};
  }
  void on_sent_end(std::int32_t) override {}
  void on_goaway(std::int32_t last) override { goaway = last; }

  Client client_;
  http::H2Session session_{http::H2Session::Role::client, *this, {}};
};

Limits quick() {
  Limits limits;
  limits.handshake = limits.head = limits.idle = limits.body = limits.write = milliseconds(300);
  limits.linger = milliseconds(200);
  limits.tick = milliseconds(20);
  return limits;
}

struct H2FrontTest : testing::Test {
  H2FrontTest() : H2FrontTest(Limits{}) {}
  explicit H2FrontTest(const Limits& limits) : gateway(Run::library, limits) {}
  Gateway gateway;
};
struct QuickH2FrontTest : H2FrontTest {
  QuickH2FrontTest() : H2FrontTest(quick()) {}
};

Limits tight() {
  Limits limits;
  limits.h2_held = 64 * 1024;
  limits.linger = milliseconds(200);
  return limits;
}
struct TightH2FrontTest : H2FrontTest {
  TightH2FrontTest() : H2FrontTest(tight()) {}
};

// ---- what is allowed

TEST_F(H2FrontTest, RequestsOfOneConnectionEachOnALane) {
  H2Client client(gateway);
  std::vector<std::int32_t> ids;
  for (int i = 0; i < 20; ++i) ids.push_back(client.open("GET", "/hello?x=1", {{"accept", "*/*"}}));
  for (const auto id : ids) {
    const auto& reply = client.finish(id);
    EXPECT_EQ(reply.status(), "200");
    EXPECT_EQ(reply.body, "hello");
    EXPECT_EQ(reply.header("content-length"), "5");
    EXPECT_EQ(reply.code, 0U);
  }
  const auto requests = gateway.egress().requests();
  ASSERT_EQ(requests.size(), 20U);
  EXPECT_EQ(requests[0].scheme, "https");
  EXPECT_EQ(requests[0].host, api);
  EXPECT_EQ(requests[0].target, "/hello?x=1");
  EXPECT_EQ(requests[0].headers, (lane::Headers{{"accept", "*/*"}}));
  EXPECT_EQ(requests[0].body, lane::BodyKind::none);
  const auto event = gateway.event([](const nlohmann::json& e) { return e.value("decision", "") == "allow"; });
  EXPECT_EQ(event.value("http", ""), "2") << event;
  EXPECT_EQ(event.value("bytes_down", 0), 5) << event;
}

TEST_F(H2FrontTest, BodiesOfEveryFraming) {
  H2Client client(gateway);
  EXPECT_EQ(client.ask("POST", "/echo", {{"content-length", "12"}}, "twelve bytes").body, "twelve bytes");
  EXPECT_EQ(gateway.egress().requests().back().body, lane::BodyKind::length);
  EXPECT_EQ(client.ask("POST", "/echo", {}, "abcdefg").body, "abcdefg");
  EXPECT_EQ(gateway.egress().requests().back().body, lane::BodyKind::streamed);
  const auto& stream = client.ask("GET", "/stream");
  EXPECT_EQ(stream.body, "one two three");
  EXPECT_EQ(stream.header("content-length"), "");
  EXPECT_EQ(client.ask("HEAD", "/hello").header("content-length"), "1234");
  EXPECT_EQ(client.ask("GET", "/nobody").status(), "204");
}

TEST_F(H2FrontTest, TenMegabytesUpAndDownAtOnce) {
  const std::string bytes = pattern(big);
  H2Client client(gateway);
  const auto id = client.open("POST", "/both", {}, bytes);
  const auto other = client.open("GET", "/big");
  EXPECT_TRUE(client.finish(id).body == bytes);
  EXPECT_TRUE(client.finish(other).body == bytes);
}

TEST_F(H2FrontTest, TheCredentialsSlotGoesToItsEgress) {
  H2Client client(gateway, "cred.example.com");
  const auto id = client.open("GET", "/hello", {{"x-api-key", token}}, {}, true, "cred.example.com");
  EXPECT_EQ(client.finish(id).status(), "200");
  ASSERT_EQ(gateway.egress_api().requests().size(), 1U);
  EXPECT_TRUE(gateway.egress_api().requests()[0].slot_filled);
  EXPECT_TRUE(gateway.egress_api().requests()[0].headers.empty());
}

TEST_F(H2FrontTest, AFullWindowStopsOneStreamAndNoOther) {
  H2Client client(gateway);
  client.take = false;
  const auto stuck = client.open("GET", "/big");
  while (client.streams[stuck].body.size() < 256 * 1024) ASSERT_TRUE(client.step());
  EXPECT_EQ(client.ask("GET", "/hello").body, "hello");
  EXPECT_EQ(client.streams[stuck].body.size(), 256U * 1024);
}

// ---- what is not

TEST_F(H2FrontTest, DenialsAreAnswersAndTheConnectionStays) {  // F01, T09, C02
  H2Client client(gateway);
  const auto denied = [&](int status, const std::string& rule, const std::string& method, const std::string& path,
                          const lane::Headers& headers = {}, const std::string& authority = api) {
    const auto& reply = client.finish(client.open(method, path, headers, {}, true, authority));
    EXPECT_EQ(reply.status(), std::to_string(status)) << rule;
    EXPECT_EQ(reply.header("x-bulkhead"), "denied") << rule;
    EXPECT_EQ(reply.code, 0U) << rule;
    EXPECT_FALSE(gateway.event(rule).is_null()) << rule;
  };
  denied(421, "host-mismatch", "GET", "/hello", {}, "plain.example.com");  // another grant's authority
  denied(421, "host-mismatch", "GET", "/hello", {}, api + ":444");
  denied(421, "host-mismatch", "GET", "/hello", {{"host", "plain.example.com"}});
  denied(400, "host-malformed", "GET", "/hello", {}, "API.example.com.");
  denied(403, "method", "DELETE", "/hello");
  denied(405, "method", "TRACE", "/hello");
  denied(400, "non-canonical", "GET", "/a/../b");
  denied(400, "non-canonical", "GET", "//hello");
  denied(403, "foreign-credential", "GET", "/hello", {{"authorization", "Bearer real"}});
  denied(403, "foreign-credential", "GET", "/hello", {{"cookie", "a=b"}});
  denied(400, "carrier", "GET", "/hello", {{"cookie", "a=b"}, {"cookie", "c=d"}});  // crumbs
  denied(403, "override", "GET", "/hello", {{"x-http-method-override", "DELETE"}});
  denied(431, "head-size", "GET", "/hello", lane::Headers(120, {"a", "b"}));
  denied(431, "target-size", "GET", "/" + std::string(17 * 1024, 'a'));
  EXPECT_TRUE(gateway.egress().requests().empty());
  EXPECT_EQ(client.ask("GET", "/hello").status(), "200");
}

TEST_F(H2FrontTest, ADenialWithABodyOnItsWay) {
  H2Client client(gateway);
  const auto& reply = client.ask("DELETE", "/hello", {}, pattern(1 << 20));
  EXPECT_EQ(reply.status(), "403");
  EXPECT_EQ(client.ask("GET", "/hello").status(), "200");
  EXPECT_EQ(gateway.egress().requests().size(), 1U);
}

TEST_F(QuickH2FrontTest, AnEarlyAnswerEndsTheRest) {
  H2Client client(gateway);
  const auto id = client.open("POST", "/early", {}, "x", false);
  const auto& reply = client.finish(id);
  EXPECT_EQ(reply.status(), "413");
  EXPECT_EQ(reply.body, "no");
  EXPECT_EQ(reply.code, 0U);  // RST_STREAM(NO_ERROR), RFC 9113 §8.1
  EXPECT_EQ(client.ask("GET", "/hello").status(), "200");
}

TEST_F(H2FrontTest, GrpcClientsAreDeniedInTheirOwnWords) {  // F05
  H2Client client(gateway);
  const auto& reply =
      client.ask("DELETE", "/pkg.Svc/Method", {{"content-type", "application/grpc"}, {"te", "trailers"}});
  EXPECT_EQ(reply.status(), "200");
  EXPECT_EQ(reply.header("grpc-status"), "7");
  EXPECT_TRUE(reply.header("grpc-message").starts_with("Bulkhead: ")) << reply.header("grpc-message");
  EXPECT_EQ(reply.header("grpc-message").find('\n'), std::string::npos);
  EXPECT_EQ(reply.body, "");
  EXPECT_EQ(reply.blocks.size(), 1U);
}

TEST_F(H2FrontTest, BrokenAnswersAreCutNotFinished) {
  H2Client client(gateway);
  for (const char* path : {"/cut", "/cut-stream", "/broken"}) {
    const auto& reply = client.ask("GET", path);
    EXPECT_NE(reply.code, 0U) << path;
    EXPECT_FALSE(reply.ended) << path;
  }
  EXPECT_EQ(client.ask("GET", "/hello").status(), "200");
  const auto& budget = client.ask("GET", "/fail");
  EXPECT_EQ(budget.status(), "429");
}

// A client that got it from the server would have got just that.
TEST_F(H2FrontTest, AnAnswerTheServerDroppedWithoutAnErrorIsHandedOnAsThat) {
  H2Client client(gateway);
  const auto& reply = client.ask("GET", "/dropped");
  EXPECT_EQ(reply.status(), "200");
  EXPECT_EQ(reply.body, "0123456789");
  EXPECT_FALSE(reply.ended);
  EXPECT_TRUE(reply.closed);
  EXPECT_EQ(reply.code, static_cast<std::uint32_t>(http::H2Code::no_error));
  EXPECT_EQ(gateway.event("truncated").value("decision", ""), "allow");
  EXPECT_EQ(client.ask("GET", "/hello").status(), "200");
}

TEST_F(H2FrontTest, WhoLeavesIsNoticedByEgress) {
  {
    H2Client client(gateway);
    const auto id = client.open("GET", "/wait");
    while (gateway.egress().requests().empty()) std::this_thread::sleep_for(milliseconds(5));
    client.reset(id);
    for (int i = 0; i < 200 && gateway.egress().hangups() < 1; ++i) std::this_thread::sleep_for(milliseconds(10));
    EXPECT_EQ(gateway.egress().hangups(), 1);
    (void)client.open("GET", "/wait");
    while (gateway.egress().requests().size() < 2) std::this_thread::sleep_for(milliseconds(5));
    client.client().close();
  }
  for (int i = 0; i < 200 && gateway.egress().hangups() < 2; ++i) std::this_thread::sleep_for(milliseconds(10));
  EXPECT_EQ(gateway.egress().hangups(), 2);
  EXPECT_FALSE(gateway.event("client-gone").is_null());
}

TEST_F(QuickH2FrontTest, NobodyWaitsForASlowClient) {
  {
    H2Client client(gateway);
    const auto id = client.open("POST", "/echo", {}, "x", false);  // and no more
    EXPECT_EQ(client.finish(id).status(), "408");
  }
  {
    H2Client client(gateway);  // says nothing more
    while (client.step()) {
    }
    EXPECT_EQ(client.goaway, 0);
  }
  {
    H2Client client(gateway);
    ASSERT_TRUE(client.step());
    EXPECT_TRUE(client.raw(std::string("\0\0\1\1\0\0\0\0\1\x82", 10)));  // HEADERS, and no end of it
    while (client.step()) {
    }
    EXPECT_GE(client.goaway, 0);
    EXPECT_FALSE(gateway.event("slow").is_null());
  }
  {
    H2Client client(gateway);  // never opens the window
    client.take = false;
    const auto id = client.open("GET", "/big");
    EXPECT_NE(client.finish(id).code, 0U);
  }
}

// Bodies that egress doesn't take wait with the client, but for the windows, and all windows together are bounded.
TEST_F(TightH2FrontTest, WhatEgressDoesNotTakeIsBounded) {
  H2Client client(gateway);
  const auto id = client.open("POST", "/stall", {}, pattern(4 << 20));
  EXPECT_EQ(client.finish(id).status(), "503");
  EXPECT_FALSE(gateway.event("memory").is_null());
  EXPECT_EQ(client.ask("GET", "/hello").status(), "200");
}

TEST_F(H2FrontTest, FloodsEndTheConnectionAndAreEvidence) {  // F04
  const std::string ping(
      "\0\0\x8\x6\0\0\0\0\0"
      "12345678",
      17);
  H2Client client(gateway);
  std::string many;
  for (int i = 0; i < 3000; ++i) many += ping;
  (void)client.raw(many);
  while (client.step()) {
  }
  EXPECT_EQ(client.goaway, 0);
  EXPECT_FALSE(gateway.event("HTTP/2: flood").is_null());
  H2Client resetter(gateway);
  for (int i = 0; i < 400 && resetter.goaway < 0; ++i) {
    const auto id = resetter.open("GET", "/wait");
    if (id == 0) break;
    resetter.reset(id);
  }
  while (resetter.step()) {
  }
  EXPECT_GE(resetter.goaway, 0);
  EXPECT_LE(gateway.egress().requests().size(), 260U);
  H2Client again(gateway);
  EXPECT_EQ(again.ask("GET", "/hello").status(), "200");
}

TEST_F(H2FrontTest, H2IsSpokenOnlyWhereTheHandshakeAgreedOnIt) {
  {  // h2 agreed on, HTTP/1 sent
    Client client(443);
    client.alpn = "\x02h2";
    ASSERT_TRUE(client.secure(gateway, api));
    client.send(get(api, "/hello"));
    std::string got;
    for (std::string part; !(part = client.raw()).empty();) got += part;
    EXPECT_EQ(got.find("HTTP/1"), std::string::npos);
    EXPECT_FALSE(gateway.event("HTTP/2: preface").is_null());
  }
  const std::string preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + std::string("\0\0\0\4\0\0\0\0\0", 9);
  {  // HTTP/1 agreed on
    Client client(443);
    client.alpn = "\x08http/1.1";
    ASSERT_TRUE(client.secure(gateway, api));
    client.send(preface);
    EXPECT_EQ(client.raw().substr(0, 12), "HTTP/1.1 505");
  }
  {  // in plain text, with prior knowledge
    Client client(80);
    client.send(preface);
    EXPECT_EQ(client.raw().substr(0, 12), "HTTP/1.1 505");
  }
  {  // … and by upgrade: it goes on in HTTP/1
    Client client(80);
    const auto reply = client.ask(get("plain.example.com", "/hello",
                                      "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n"));
    ASSERT_TRUE(reply);
    EXPECT_EQ(reply->status, 200);
  }
}

TEST_F(H2FrontTest, RequestTrailersAreRefused) {
  H2Client client(gateway);
  ASSERT_TRUE(client.step());
  const std::string head(
      "\x82\x87\x84\x41\x0f"
      "api.example.com",
      20);  // GET https / :authority
  std::string post = head;
  post[0] = '\x83';
  const auto frame = [](char type, char flags, const std::string& payload) {
    return std::string("\0\0", 2) + static_cast<char>(payload.size()) + type + flags + std::string("\0\0\0\1", 4) +
           payload;
  };
  // The reply's stream is none that this client's session knows; what counts is that nothing went up.
  ASSERT_TRUE(client.raw(frame(1, 4, post) + frame(0, 0, "abc") + frame(1, 5, std::string("\0\1a\1b", 5))));
  EXPECT_FALSE(gateway.event("trailer").is_null());
}

TEST_F(H2FrontTest, TheSessionMayEndAtAnyTime) {
  H2Client client(gateway);
  (void)client.open("GET", "/wait");
  (void)client.open("POST", "/echo", {}, "x", false);
  while (gateway.egress().requests().size() < 2) std::this_thread::sleep_for(milliseconds(5));
  gateway.leave_supervisor();
  EXPECT_FALSE(gateway.event("ended").is_null());
}

// ---- what waits for an answer (held_test.cc has what is the same for HTTP/1)

struct AskingH2FrontTest : testing::Test {
  AskingH2FrontTest() : gateway(Run::library, Limits{}, true) {}
  std::uint64_t message(const std::string& type) {
    for (;;) {
      const auto next = gateway.denial();
      if (next.is_null()) return 0;
      if (next.value("type", "") == type) return next.value("number", std::uint64_t{0});
    }
  }
  void answer(std::uint64_t number) { gateway.tell({{"type", "answered"}, {"number", number}}); }
  Gateway gateway;
};

TEST_F(AskingH2FrontTest, StreamsWaitEachForItsOwn) {
  const std::string host = "new.example.com";
  H2Client client(gateway, host);
  const auto open = [&](const std::string& path, std::string body = {}) {
    return client.open(body.empty() ? "GET" : "POST", path, {}, std::move(body), true, host);
  };
  const std::int32_t first = open("/first"), second = open("/second", pattern(100'000)), third = open("/third");
  for (const std::uint64_t number : {1, 2, 3}) EXPECT_EQ(message("question"), number);
  answer(2);
  EXPECT_EQ(client.finish(second).status(), "403");
  EXPECT_EQ(message("ended"), 2U);
  EXPECT_FALSE(client.streams[first].closed);
  client.reset(first);
  EXPECT_EQ(message("ended"), 1U);
  answer(1);
  answer(3);
  EXPECT_EQ(client.finish(third).status(), "403");
  EXPECT_TRUE(gateway.egress().requests().empty());
}

}  // namespace
}  // namespace bulkhead::front

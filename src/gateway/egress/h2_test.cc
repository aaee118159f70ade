// Upstreams that speak HTTP/2: what goes up, what comes back, and what a hostile one gets.
#include <poll.h>

#include <condition_variable>

#include "gateway/egress/harness_test.h"
#include "gateway/http/h2_session.h"

namespace bulkhead::egress {
namespace {

using std::chrono::milliseconds;
constexpr std::size_t big = 8 * 1024 * 1024;

// One connection at an upstream that does HTTP/2 properly, but for what `on_request` does.
class H2Peer final : public http::H2Handler {
 public:
  struct Stream {
    lane::Headers head;
    std::string body, out;
    lane::Headers trailers;
    bool ended = false, out_ended = true;
    std::string field(std::string_view name) const {
      for (const auto& [key, value] : head) {
        if (key == name) return value;
      }
      return "<none>";
    }
  };
  using OnRequest = std::function<void(H2Peer&, std::int32_t, Stream&)>;

  H2Peer(Peer& peer, std::string first, OnRequest on_request, bool at_head, const http::H2Limits& limits)
      : session(http::H2Session::Role::server, *this, {.limits = limits, .head = {}}),
        peer_(peer),
        on_request_(std::move(on_request)),
        at_head_(at_head) {
    std::string bytes = std::move(first);
    do {
      if (!session.receive(bytes, http::H2Session::Clock::now())) break;
      for (const std::int32_t id : std::exchange(ready_, {})) on_request_(*this, id, streams[id]);
      if (!flush()) return;
      bytes = peer_.part();
    } while (!bytes.empty());
    flush();
  }
  bool flush() {
    for (;;) {
      std::string out;
      session.send(out, 64 * 1024);
      if (out.empty()) return true;
      if (!peer_.write(out)) return false;
    }
  }
  void answer(std::int32_t id, std::string body, const lane::Headers& headers = {}, std::uint16_t status = 200) {
    streams[id].out = std::move(body);
    session.respond(id, status, headers, true);
  }
  bool raw(std::string_view bytes) { return flush() && peer_.write(bytes); }

  http::H2Session session;
  std::map<std::int32_t, Stream> streams;
  std::size_t resets = 0;

 private:
  void ready(std::int32_t id) { ready_.push_back(id); }
  void on_block(std::int32_t id, http::H2Block block, bool ended) override {
    streams[id].head = std::move(block.fields);
    streams[id].ended = ended;
    if (ended || at_head_) ready(id);
  }
  void on_data(std::int32_t id, std::string_view bytes) override {
    streams[id].body += bytes;
    session.consumed(id, bytes.size());
  }
  void on_end(std::int32_t id) override {
    streams[id].ended = true;
    if (!at_head_) ready(id);
  }
  void on_closed(std::int32_t, std::uint32_t code) override { resets += code != 0 ? 1 : 0; }
  void on_malformed(std::int32_t, std::string why) override { ADD_FAILURE() << why; }
  http::H2Supply on_read(std::int32_t id, std::span<char> into) override {
    Stream& stream = streams[id];
    const std::size_t n = stream.out.copy(into.data(), into.size());
    stream.out.erase(0, n);
    const bool empty = stream.out.empty();
    return {n, empty && !stream.out_ended, empty && stream.out_ended, &stream.trailers};
  }
  void on_sent_end(std::int32_t) override {}
  void on_goaway(std::int32_t) override {}

  Peer& peer_;
  OnRequest on_request_;
  bool at_head_;
  std::vector<std::int32_t> ready_;
};

int choose_h2(SSL*, const unsigned char** out, unsigned char* size, const unsigned char* offered, unsigned n, void*) {
  for (unsigned i = 0; i < n; i += offered[i] + 1U) {
    if (std::string_view(reinterpret_cast<const char*>(offered + i + 1), offered[i]) != "h2") continue;
    *out = offered + i + 1;
    *size = offered[i];
    return SSL_TLSEXT_ERR_OK;
  }
  return SSL_TLSEXT_ERR_ALERT_FATAL;
}

tls::ContextPtr h2_server(const TestCa& ca) {
  tls::ContextPtr context = ca.server();
  ::SSL_CTX_set_alpn_select_cb(context.get(), choose_h2, nullptr);
  return context;
}

// An upstream, an egress before it, and a request to it.
struct Scene {
  TestCa ca;
  Upstream upstream;
  Running egress;
  explicit Scene(H2Peer::OnRequest on_request, bool at_head = false, const std::string& credential = "",
                 Timeouts timeouts = {}, http::H2Limits limits = {})
      : upstream(
            [on_request, at_head, limits](Peer& peer, const std::string& first) -> bool {
              const H2Peer serve(peer, first, on_request, at_head, limits);
              return false;
            },
            h2_server(ca)),
        egress(options(credential, timeouts)) {}
  Running::Options options(const std::string& credential, Timeouts timeouts) {
    Grant granted = grant(upstream.port(), credential);
    granted.protocol = Protocol::https;
    return {.grants = {granted}, .credential = credential, .upstream_ca = ca.pem(), .timeouts = timeouts};
  }
  lane::Request ask(const std::string& target = "/", const std::string& method = "GET") const {
    lane::Request out = request(upstream.port(), target, method);
    out.scheme = "https";
    return out;
  }
};

std::string frames(std::string_view body) {
  std::string out;
  for (; !body.empty(); body.remove_prefix(std::min(body.size(), lane::max_body))) {
    out += lane::encode_body(body.substr(0, lane::max_body));
  }
  return out;
}

std::string said(const Answer& answer) {
  if (!answer.failure) return answer.whole ? "an answer" : "cut";
  return std::to_string(answer.failure->status) + " " + answer.failure->reason + ": " + answer.failure->text;
}

TEST(EgressH2, OneConnectionForAllLanes) {
  lane::Headers seen;
  Scene scene([&](H2Peer& peer, std::int32_t id, H2Peer::Stream& stream) {
    seen = stream.head;
    peer.answer(id, "hello", {{"x-kept", "yes"}, {"set-cookie", "a=b"}, {"alt-svc", "h3"}});
  });
  Lane one(scene.egress.control()), two(scene.egress.control());
  lane::Request asked = scene.ask("/v1/x?y=1");
  asked.headers = {{"accept", "*/*"}, {"x-forwarded-for", "10.0.0.1"}, {"te", "trailers"}};
  for (int i = 0; i < 6; ++i) {
    const Answer answer = (i % 2 == 0 ? one : two).ask(asked);
    ASSERT_TRUE(answer.whole) << said(answer);
    EXPECT_EQ(answer.response->status, 200);
    EXPECT_EQ(answer.response->headers, (lane::Headers{{"x-kept", "yes"}}));
    EXPECT_EQ(answer.body, "hello");
    const auto event = scene.egress.event("upstream.request");
    EXPECT_EQ(event["http"], "2");
    EXPECT_EQ(event["tls"], "TLSv1.3");
    EXPECT_EQ(event["reused"], i > 0);
  }
  EXPECT_EQ(scene.upstream.connections(), 1);
  EXPECT_EQ(seen, (lane::Headers{{":method", "GET"},
                                 {":scheme", "https"},
                                 {":authority", "api.example.com:" + std::to_string(scene.upstream.port())},
                                 {":path", "/v1/x?y=1"},
                                 {"accept", "*/*"}}));
}

// What a server hands out, also in a trailer, and a redirect that is followed: as over HTTP/1 (issued_test.cc).
TEST(EgressH2, HandsOutAndFollows) {
  const std::string value = "eyJhbGciOiJSUzI1NiJ9.eyJhIjoxfQ.c2ln";
  const TestCa ca;
  std::string authority, used;
  const H2Peer::OnRequest serve = [&](H2Peer& peer, std::int32_t id, H2Peer::Stream& stream) {
    const std::string path = stream.field(":path");
    authority = stream.field(":authority");
    if (path == "/token") {
      stream.trailers = {{"x-echo", value}};
      return peer.answer(id, R"({"token":")" + value + "\"}", {{"content-type", "application/json"}});
    }
    if (path == "/cdn?signature=1") return peer.answer(id, stream.field("authorization"));
    used = stream.field("authorization");
    peer.answer(id, "moved", {{"location", "https://" + authority + "/cdn?signature=1"}}, 307);
  };
  Upstream upstream(
      [&](Peer& peer, const std::string& first) -> bool {
        const H2Peer one(peer, first, serve, false, {});
        return false;
      },
      h2_server(ca));
  Grant issuing = grant(upstream.port(), "c"), following = issuing;
  issuing.id = "9";
  issuing.protocol = following.protocol = Protocol::https;
  issuing.response.max_body = 1000;
  issuing.response.streaming = false;
  issuing.response.issue = {"token"};
  following.response.follow = {"api.example.com"};
  Running egress({.grants = {issuing, following},
                  .credential = "c",
                  .carrier = Credential::Carrier::bearer,
                  .issued = true,
                  .upstream_ca = ca.pem()});
  Lane lane(egress.control());
  lane::Request asked = request(upstream.port(), "/token");
  asked.scheme = "https";
  asked.grant = "9";
  Answer answer = lane.ask(asked);
  EXPECT_EQ(answer.body, R"({"token":"bulkhead-token-0123456789abcdef-1"})") << said(answer);
  EXPECT_TRUE(answer.trailers.empty());
  asked = request(upstream.port(), "/blob");
  asked.scheme = "https";
  asked.slot_filled = true;
  asked.issued = 1;
  answer = lane.ask(asked);
  ASSERT_TRUE(answer.whole) << said(answer);
  EXPECT_EQ(used, "Bearer " + value);
  EXPECT_EQ(answer.response->status, 200);
  EXPECT_EQ(answer.body, "<none>") << "no credential where the redirect led";
  EXPECT_EQ(upstream.connections(), 1);
}

// Also where TLS goes through TLS.
TEST(EgressH2, ThroughAProxy) {
  const TestCa ca;
  const std::string bytes = pattern(big);
  Upstream upstream(
      [&](Peer& peer, const std::string& first) -> bool {
        const H2Peer serve(peer, first,
                           [](H2Peer& to, std::int32_t id, H2Peer::Stream& stream) {
                             const std::string body = stream.body;
                             to.answer(id, body);
                           },
                           false, {});
        return false;
      },
      h2_server(ca));
  Upstream plain(honest_proxy()), sealed(honest_proxy(), ca.server({.san = "IP:127.0.0.1"}));
  for (Upstream* proxy : {&plain, &sealed}) {
    Grant granted = grant(upstream.port());
    granted.protocol = Protocol::https;
    EgressProxy with = by_proxy(*proxy);
    with.upstream.proxy_tls = proxy == &sealed;
    Running egress({.grants = {granted}, .upstream_ca = ca.pem(), .proxy = with});
    Lane one(egress.control()), two(egress.control());
    for (Lane* lane : {&one, &two}) {
      lane::Request asked = request(upstream.port(), "/echo", "POST");
      asked.scheme = "https";
      asked.body = lane::BodyKind::streamed;
      std::thread sender([&] { lane->send(lane::encode(asked) + frames(bytes) + lane::encode_end()); });
      const Answer answer = lane->answer();
      sender.join();
      EXPECT_EQ(answer.body.size(), bytes.size()) << said(answer);
      EXPECT_TRUE(answer.body == bytes);
      const auto event = egress.event("upstream.request");
      EXPECT_EQ(event["http"], "2");
      EXPECT_EQ(event["proxy"], "127.0.0.1:" + std::to_string(proxy->port()));
    }
    EXPECT_EQ(proxy->connections(), 1) << "both lanes share the connection";
  }
}

TEST(EgressH2, BodiesTrailersAndNothing) {
  Scene scene([](H2Peer& peer, std::int32_t id, H2Peer::Stream& stream) {
    const std::string path = stream.field(":path");
    if (path == "/echo") return peer.answer(id, stream.body, {{"x-length", stream.field("content-length")}});
    if (path == "/nothing") return (void)peer.session.respond(id, 204, {}, false);
    if (path == "/interim") {
      peer.session.interim(id, 103);
      return peer.answer(id, "late", {{"content-length", "4"}});
    }
    if (path == "/only") return (void)peer.session.respond(id, 200, {{"grpc-status", "7"}}, false);
    if (stream.field(":method") == "HEAD")
      return (void)peer.session.respond(id, 200, {{"content-length", "99"}}, false);
    stream.trailers = {{"grpc-status", "0"}, {"set-cookie", "a=b"}, {"connection-id", "x"}};
    peer.answer(id, path == "/empty" ? "" : "body");
  });
  Lane lane(scene.egress.control());
  const std::string bytes = pattern(big);
  lane::Request asked = scene.ask("/echo", "POST");
  asked.body = lane::BodyKind::streamed;
  std::thread sender([&] { lane.send(lane::encode(asked) + frames(bytes) + lane::encode_end()); });
  Answer answer = lane.answer();
  sender.join();
  ASSERT_TRUE(answer.whole) << said(answer);
  EXPECT_TRUE(answer.body == bytes);
  EXPECT_EQ(answer.header("x-length"), "<none>");
  asked.body = lane::BodyKind::length;
  asked.body_length = 3;
  lane.send(lane::encode(asked) + frames("abc") + lane::encode_end());
  answer = lane.answer();
  EXPECT_EQ(answer.body, "abc");
  EXPECT_EQ(answer.header("x-length"), "3");
  EXPECT_EQ(lane.ask(scene.ask("/nothing")).response->status, 204);
  answer = lane.ask(scene.ask("/interim"));
  EXPECT_EQ(answer.body, "late");
  EXPECT_EQ(answer.response->body, lane::BodyKind::length);
  answer = lane.ask(scene.ask("/only"));
  EXPECT_EQ(answer.header("grpc-status"), "7");
  EXPECT_EQ(answer.response->body, lane::BodyKind::none);
  EXPECT_EQ(lane.ask(scene.ask("/x", "HEAD")).response->body_length, 99U);
  for (const char* path : {"/trailers", "/empty"}) {
    answer = lane.ask(scene.ask(path));
    ASSERT_TRUE(answer.whole) << said(answer);
    EXPECT_EQ(answer.trailers, (lane::Headers{{"grpc-status", "0"}, {"connection-id", "x"}})) << path;
  }
  EXPECT_EQ(scene.upstream.connections(), 1);
}

TEST(EgressH2, TheCredentialIsInItsSlotAndNothingOfItComesBack) {
  std::string seen;
  Scene scene(
      [&](H2Peer& peer, std::int32_t id, H2Peer::Stream& stream) {
        seen = stream.field("x-api-key");
        stream.trailers = {{"x-echo", "<" + std::string(secret) + ">"}};
        peer.answer(id, "it is " + std::string(secret) + ".", {{"x-echo", secret}});
      },
      false, "key");
  Lane lane(scene.egress.control());
  for (int i = 0; i < 3; ++i) {  // again: the table must not help either
    lane::Request asked = scene.ask();
    asked.slot_filled = true;
    const Answer answer = lane.ask(asked);
    ASSERT_TRUE(answer.whole) << said(answer);
    const std::string stars(std::string_view(secret).size(), '*');
    EXPECT_EQ(seen, secret);
    EXPECT_EQ(answer.body, "it is " + stars + ".");
    EXPECT_EQ(answer.header("x-echo"), stars);
    EXPECT_EQ(answer.trailers, (lane::Headers{{"x-echo", "<" + stars + ">"}}));
  }
  EXPECT_FALSE(scene.egress.event("credential.use").is_null());
}

TEST(EgressH2, BothWaysAtOnce) {
  Scene scene(
      [](H2Peer& peer, std::int32_t id, H2Peer::Stream& stream) {
        stream.out_ended = false;
        peer.answer(id, "first");
        stream.out_ended = true;  // the rest is an early end: the request has none
      },
      true);
  Lane lane(scene.egress.control());
  lane::Request asked = scene.ask("/chat", "POST");
  asked.body = lane::BodyKind::streamed;
  lane.send(lane::encode(asked) + frames("hello"));
  lane::Kind kind;
  std::string payload, body;
  while (lane.frame(kind, payload) && kind != lane::Kind::end) body += kind == lane::Kind::body ? payload : "";
  EXPECT_EQ(body, "first");
  lane.send(lane::encode_end());
  EXPECT_EQ(lane.ask(scene.ask()).body, "first");  // the lane and the connection go on
  EXPECT_EQ(scene.upstream.connections(), 1);
}

// What front doesn't take stays with the server: nothing here grows.
TEST(EgressH2, BackPressureReachesTheServer) {
  std::atomic<std::size_t> left = 0;
  Scene scene([&](H2Peer& peer, std::int32_t id, H2Peer::Stream& stream) {
    if (stream.field(":path") != "/big") return peer.answer(id, "hello");
    peer.answer(id, pattern(4 * big));
    peer.flush();
    left = peer.streams[id].out.size();
  });
  Lane stuck(scene.egress.control()), other(scene.egress.control());
  stuck.send(lane::encode(scene.ask("/big")) + lane::encode_end());
  for (int i = 0; i < 300 && left == 0; ++i) ::poll(nullptr, 0, 10);
  EXPECT_GT(left, 3 * big);
  EXPECT_EQ(other.ask(scene.ask()).body, "hello");
  const Answer answer = stuck.answer();
  EXPECT_TRUE(answer.whole && answer.body == pattern(4 * big));
}

TEST(EgressH2, WhoLeavesIsToldToTheServer) {
  std::atomic<int> resets = 0;
  Scene scene([&](H2Peer& peer, std::int32_t id, H2Peer::Stream& stream) {
    resets = static_cast<int>(peer.resets);
    if (stream.field(":path") == "/wait") return;
    peer.answer(id, "hello");
  });
  {
    Lane lane(scene.egress.control());
    lane.send(lane::encode(scene.ask("/wait")) + lane::encode_end());
    ::poll(nullptr, 0, 100);
  }
  EXPECT_EQ(scene.egress.event("upstream.failure")["reason"], "client-gone");
  Lane lane(scene.egress.control());
  EXPECT_EQ(lane.ask(scene.ask()).body, "hello");
  EXPECT_EQ(resets, 1);
  EXPECT_EQ(scene.upstream.connections(), 1);
}

TEST(EgressH2, RequestsTheServerDidNotLookAtAreMadeAgain) {
  for (const bool goaway : {false, true}) {
    std::atomic<int> asked = 0;
    Scene scene([&](H2Peer& peer, std::int32_t id, H2Peer::Stream&) {
      if (++asked == 2) {
        if (!goaway) return peer.session.reset(id, http::H2Code::refused_stream);
        // GOAWAY, last stream 1, NO_ERROR
        (void)peer.raw(std::string("\0\0\x8\x7\0\0\0\0\0\0\0\0\1\0\0\0\0", 17));
        return;
      }
      peer.answer(id, "hello");
    });
    Lane lane(scene.egress.control());
    EXPECT_EQ(lane.ask(scene.ask()).body, "hello");
    EXPECT_EQ(said(lane.ask(scene.ask())), "an answer") << goaway;
    EXPECT_EQ(asked, 3);
    EXPECT_EQ(scene.upstream.connections(), 2);
    // A request that is not repeatable is not.
    asked = 1;
    lane::Request post = scene.ask("/", "POST");
    post.body = lane::BodyKind::length;
    post.body_length = 1;
    lane.send(lane::encode(post) + frames("x") + lane::encode_end());
    EXPECT_EQ(lane.answer().failure->reason, "upstream") << goaway;
    EXPECT_EQ(asked, 2);
  }
}

std::string frame(unsigned type, unsigned flags, std::uint32_t stream, std::string_view payload) {
  std::string out;
  for (const int shift : {16, 8, 0}) out += static_cast<char>((payload.size() >> shift) & 0xff);
  out += static_cast<char>(type);
  out += static_cast<char>(flags);
  for (const int shift : {24, 16, 8, 0}) out += static_cast<char>((stream >> shift) & 0xff);
  return out + std::string(payload);
}

TEST(EgressH2, AnswersThatBreakTheRulesAreRefused) {  // F04, and HTTP/1's rows
  const auto literal = [](std::string_view name, std::string_view value) {
    return std::string(1, '\0') + static_cast<char>(name.size()) + std::string(name) + static_cast<char>(value.size()) +
           std::string(value);
  };
  const std::string ok = "\x88";  // :status 200
  std::string interims, many;
  for (int i = 0; i < 20; ++i) interims += frame(1, 4, 1, literal(":status", "103"));
  for (int i = 0; i < 200; ++i) many += literal("a", "b");
  std::string continued = frame(1, 0, 1, ok), pings;
  for (int i = 0; i < 100; ++i) continued += frame(9, 0, 1, literal("a", "b"));
  for (int i = 0; i < 3000; ++i) pings += frame(6, 0, 0, "12345678");
  const std::string bomb =
      ok + std::string("\x40\x01z\x7f\xa1\x1e", 6) + std::string(4000, 'x') + std::string(9000, '\xbe');
  const struct {
    const char* what;
    std::string bytes;
  } cases[] = {
      {"no status", frame(1, 5, 1, literal("a", "b"))},
      {"two statuses", frame(1, 5, 1, ok + ok)},
      {"101", frame(1, 4, 1, literal(":status", "101"))},
      {"interims", interims},
      {"upper case", frame(1, 5, 1, ok + literal("Bad", "x"))},
      {"connection", frame(1, 5, 1, ok + literal("connection", "close"))},
      {"chunked", frame(1, 4, 1, ok + literal("transfer-encoding", "chunked"))},
      {"line break", frame(1, 5, 1, ok + literal("a", "x\r\ny: z"))},
      {"too short", frame(1, 4, 1, ok + literal("content-length", "5")) + frame(0, 1, 1, "abc")},
      {"too long", frame(1, 4, 1, ok + literal("content-length", "2")) + frame(0, 1, 1, "abc")},
      {"two lengths",
       frame(1, 4, 1, ok + literal("content-length", "3") + literal("content-length", "4")) + frame(0, 1, 1, "abc")},
      {"body without head", frame(0, 1, 1, "abc")},
      {"body of a 204", frame(1, 4, 1, literal(":status", "204")) + frame(0, 1, 1, "abc")},
      {"pseudo in trailers", frame(1, 4, 1, ok) + frame(0, 0, 1, "a") + frame(1, 5, 1, ok)},
      {"second head", frame(1, 4, 1, ok) + frame(1, 4, 1, literal("a", "b"))},
      {"many fields", frame(1, 5, 1, ok + many)},
      {"push", frame(5, 4, 1, std::string("\0\0\0\2", 4) + "\x82\x87\x84")},
      {"CONTINUATION", continued},
      {"PING", pings},
      {"HPACK bomb", frame(1, 5, 1, bomb)},
      {"HTTP/1", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"},
      {"reset", frame(3, 0, 1, std::string("\0\0\0\2", 4))},
      {"nonsense", std::string(100, '\xff')},
  };
  for (const auto& one : cases) {
    std::atomic<bool> first = true;
    Scene scene([&](H2Peer& peer, std::int32_t id, H2Peer::Stream&) {
      if (!first.exchange(false)) return peer.answer(id, "hello");
      (void)peer.raw(one.bytes);
    });
    Lane lane(scene.egress.control());
    const Answer answer = lane.ask(scene.ask());
    EXPECT_FALSE(answer.whole) << one.what;
    // Half an answer may have been passed on, but never one that looks whole.
    EXPECT_TRUE(answer.failure || answer.response) << one.what;
    if (answer.failure) EXPECT_EQ(answer.failure->status, 502) << one.what << said(answer);
    // The egress goes on, on another connection where this one is done for.
    Lane other(scene.egress.control());
    EXPECT_EQ(said(other.ask(scene.ask("/again"))), "an answer") << one.what;
  }
}

// Where one connection has no room another is made.
TEST(EgressH2, AServerThatAllowsFewAtOnce) {
  http::H2Limits few;
  few.streams = 4;
  Scene scene([](H2Peer& peer, std::int32_t id, H2Peer::Stream&) { peer.answer(id, pattern(100'000)); }, false, "", {},
              few);
  Lane first(scene.egress.control());
  EXPECT_TRUE(first.ask(scene.ask()).whole);  // now it is known
  std::vector<std::unique_ptr<Lane>> lanes;
  for (int i = 0; i < 20; ++i) {
    lanes.push_back(std::make_unique<Lane>(scene.egress.control()));
    lanes.back()->send(lane::encode(scene.ask()) + lane::encode_end());
  }
  for (auto& lane : lanes) {
    const Answer answer = lane->answer();
    EXPECT_TRUE(answer.whole) << said(answer);
  }
}

TEST(EgressH2, GrpcNeedsHttp2AndTrailers) {
  lane::Headers seen;
  Scene scene([&](H2Peer& peer, std::int32_t id, H2Peer::Stream& stream) {
    seen = stream.head;
    stream.trailers = {{"grpc-status", "0"}};
    const bool packed = stream.field(":path") == "/pkg.Svc/Packed";
    peer.answer(id, stream.body,
                {{"content-type", "application/grpc"}, {"grpc-encoding", packed ? "gzip" : "identity"}});
  });
  Upstream old([](Peer& peer, const std::string&) -> bool { return peer.write(ok("hello")); }, scene.ca.server());
  Grant calls = grant(scene.upstream.port(), "key"), others = grant(old.port(), "key");
  others.id = "2";
  calls.protocol = others.protocol = Protocol::grpc;
  calls.allow[0].methods = others.allow[0].methods = {"POST"};
  calls.allow[0].path = others.allow[0].path = "/pkg.Svc/*";
  Running egress({.grants = {calls, others}, .credential = "key", .upstream_ca = scene.ca.pem()});
  Lane lane(egress.control());
  lane::Request asked = scene.ask("/pkg.Svc/Get", "POST");
  asked.headers = {{"content-type", "application/grpc"}, {"grpc-accept-encoding", "gzip"}};
  asked.body = lane::BodyKind::streamed;
  lane.send(lane::encode(asked) + frames("message") + lane::encode_end());
  Answer answer = lane.answer();
  ASSERT_TRUE(answer.whole) << said(answer);
  EXPECT_EQ(answer.body, "message");
  EXPECT_EQ(answer.trailers, (lane::Headers{{"grpc-status", "0"}}));
  EXPECT_EQ(seen[4], (std::pair<std::string, std::string>("te", "trailers")));
  EXPECT_EQ(std::count_if(seen.begin(), seen.end(), [](auto& h) { return h.first == "grpc-accept-encoding"; }), 0);
  // With a credential in play an answer has to be readable.
  asked.target = "/pkg.Svc/Packed";
  lane.send(lane::encode(asked) + frames("message") + lane::encode_end());
  EXPECT_EQ(lane.answer().failure->reason, "encoding");
  asked.grant = "2";
  asked.port = old.port();
  Lane another(egress.control());
  another.send(lane::encode(asked) + frames("message") + lane::encode_end());
  EXPECT_EQ(another.answer().failure->reason, "http2");
  EXPECT_TRUE(old.heads().empty());
}

TEST(EgressH2, AFlowThatBreaksOffIsCut) {
  Scene scene([](H2Peer& peer, std::int32_t id, H2Peer::Stream& stream) {
    stream.out_ended = false;
    peer.answer(id, "half");
    peer.flush();
    peer.session.reset(id, http::H2Code::internal_error);
  });
  Lane lane(scene.egress.control());
  const Answer answer = lane.ask(scene.ask());
  EXPECT_FALSE(answer.whole);
  EXPECT_EQ(scene.egress.event("upstream.failure")["reason"], "upstream");
}

// RST_STREAM with NO_ERROR where END_STREAM should be: whether that was all, only a length can say.
TEST(EgressH2, AnAnswerThatIsDroppedWithoutAnError) {
  lane::Headers headers;
  Scene scene([&](H2Peer& peer, std::int32_t id, H2Peer::Stream& stream) {
    stream.out_ended = false;
    peer.answer(id, "hello", headers);
    peer.flush();
    peer.session.reset(id, http::H2Code::no_error);
  });
  {
    Lane lane(scene.egress.control());
    const Answer answer = lane.ask(scene.ask());
    EXPECT_EQ(answer.body, "hello");
    EXPECT_FALSE(answer.whole);
    EXPECT_TRUE(answer.dropped);
    EXPECT_EQ(scene.egress.event("upstream.failure")["reason"], "truncated");
  }
  headers = {{"content-length", "5"}};
  Lane whole(scene.egress.control());
  EXPECT_TRUE(whole.ask(scene.ask()).whole);
  headers = {{"content-length", "6"}};
  Lane less(scene.egress.control());
  const Answer answer = less.ask(scene.ask());
  EXPECT_FALSE(answer.whole);
}

TEST(EgressH2, SilenceEndsAtItsDeadline) {
  Timeouts timeouts;
  timeouts.quiet = milliseconds(300);
  timeouts.tick = milliseconds(20);
  Scene scene(
      [](H2Peer& peer, std::int32_t id, H2Peer::Stream& stream) {
        if (stream.field(":path") == "/wait") return;
        peer.answer(id, "hello");
      },
      false, "", timeouts);
  Lane lane(scene.egress.control());
  EXPECT_EQ(lane.ask(scene.ask()).body, "hello");
  EXPECT_EQ(said(lane.ask(scene.ask("/wait"))), "504 timeout: the server was silent for too long");
  EXPECT_EQ(lane.ask(scene.ask()).body, "hello");
}

TEST(EgressH2, AnIdleConnectionGoes) {
  Timeouts timeouts;
  timeouts.idle = milliseconds(100);
  timeouts.tick = milliseconds(20);
  Scene scene([](H2Peer& peer, std::int32_t id, H2Peer::Stream&) { peer.answer(id, "hello"); }, false, "", timeouts);
  Lane lane(scene.egress.control());
  EXPECT_EQ(lane.ask(scene.ask()).body, "hello");
  ::poll(nullptr, 0, 400);
  EXPECT_EQ(lane.ask(scene.ask()).body, "hello");
  EXPECT_EQ(scene.upstream.connections(), 2);
}

// Everybody at once, before anybody knows what the server speaks, and again when it is known.
TEST(EgressH2, ManyLanesAtOnce) {
  Scene scene([](H2Peer& peer, std::int32_t id, H2Peer::Stream&) { peer.answer(id, pattern(100'000)); });
  for (int round = 0; round < 2; ++round) {
    std::vector<std::unique_ptr<Lane>> lanes;
    for (int i = 0; i < 50; ++i) {
      lanes.push_back(std::make_unique<Lane>(scene.egress.control()));
      lanes.back()->send(lane::encode(scene.ask()) + lane::encode_end());
    }
    for (auto& lane : lanes) {
      const Answer answer = lane->answer();
      EXPECT_TRUE(answer.whole && answer.body == pattern(100'000)) << said(answer);
    }
  }
}

}  // namespace
}  // namespace bulkhead::egress

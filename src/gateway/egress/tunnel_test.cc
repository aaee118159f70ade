// Opaque connections, from lane to upstream and back.
#include "gateway/egress/tunnel.h"

#include "gateway/egress/harness_test.h"

namespace bulkhead::egress {
namespace {

Grant opaque(std::uint16_t port) {
  Grant out = grant(port);
  out.protocol = Protocol::tcp;
  out.allow.clear();
  return out;
}

// Greets, then says back what it hears.
Upstream::Script echo() {
  return [](Peer& peer, const std::string& head) -> bool { return peer.write("heard " + head); };
}

struct Tunnelled {
  std::optional<lane::Failure> failure;
  bool opened = false;
};

Tunnelled open(Lane& lane, std::uint16_t port, const std::string& host = "api.example.com",
               const std::string& id = "1") {
  Tunnelled out;
  EXPECT_TRUE(lane.send(lane::encode(lane::Tunnel{id, host, port})));
  lane::Kind kind{};
  std::string payload;
  if (!lane.frame(kind, payload)) return out;
  out.opened = kind == lane::Kind::opened;
  if (kind == lane::Kind::failure) out.failure = *lane::decode_failure(payload);
  return out;
}

std::string rest(Lane& lane, bool& ended) {
  std::string out, payload;
  lane::Kind kind{};
  ended = false;
  while (lane.frame(kind, payload)) {
    if (kind == lane::Kind::end) {
      ended = true;
      break;
    }
    out += payload;
  }
  return out;
}

TEST(Tunnel, BytesBothWaysAndTheEndOfEach) {
  Upstream upstream(echo());
  Running egress({.grants = {opaque(upstream.port())}});
  Lane lane(egress.control());
  ASSERT_TRUE(open(lane, upstream.port()).opened);
  EXPECT_EQ(egress.event("upstream.open")["address"], "127.0.0.1");
  ASSERT_TRUE(lane.send(lane::encode_body("one\r\n\r\n") + lane::encode_body("two\r\n\r\n") + lane::encode_end()));
  bool ended = false;
  EXPECT_EQ(rest(lane, ended), "heard one\r\n\r\nheard two\r\n\r\n");
  EXPECT_TRUE(ended);
  const auto event = egress.event("upstream.close");
  EXPECT_EQ(event["reason"], "end");
  EXPECT_EQ(event["bytes_up"], 14);
  EXPECT_EQ(event["bytes_down"], 26);
  EXPECT_TRUE(lane.closed()) << "a lane carries one opaque connection";
}

TEST(Tunnel, OnlyWhatTheGrantSays) {
  Upstream upstream(echo());
  Grant https = grant(upstream.port());
  https.id = "2";
  Running egress({.grants = {opaque(upstream.port()), https}});
  const auto why = [&](const std::string& host, std::uint16_t port, const std::string& id) {
    Lane lane(egress.control());
    const Tunnelled opened = open(lane, port, host, id);
    EXPECT_FALSE(opened.opened);
    return opened.failure ? opened.failure->reason : "";
  };
  const std::uint16_t port = upstream.port();
  EXPECT_EQ(why("other.example.com", port, "1"), "no-grant");
  EXPECT_EQ(why("api.example.com", static_cast<std::uint16_t>(port + 1), "1"), "no-grant");
  EXPECT_EQ(why("api.example.com", port, "2"), "no-grant") << "a grant for https opens nothing unseen";
  EXPECT_EQ(why("api.example.com", port, "3"), "grant");
  EXPECT_EQ(why("API.example.com", port, "1"), "non-canonical");
  EXPECT_EQ(upstream.connections(), 0);
}

// Attack D01, for what nobody looks into.
TEST(Tunnel, NoPrivateAddressBehindAName) {
  Running egress({.grants = {opaque(5432)}, .records = {{"api.example.com. A", {"10.0.0.1"}}}});
  Lane lane(egress.control());
  const Tunnelled opened = open(lane, 5432);
  ASSERT_TRUE(opened.failure);
  EXPECT_EQ(opened.failure->reason, "address");
}

TEST(Tunnel, BudgetsCutItOff) {
  Upstream upstream(echo());
  Grant granted = opaque(upstream.port());
  granted.budget.bytes_up = 10;
  granted.budget.requests = 2;
  Running egress({.grants = {granted}});
  Lane lane(egress.control());
  ASSERT_TRUE(open(lane, upstream.port()).opened);
  ASSERT_TRUE(lane.send(lane::encode_body("0123456789\r\n\r\n")));
  bool ended = false;
  EXPECT_EQ(rest(lane, ended), "");
  EXPECT_FALSE(ended);
  EXPECT_EQ(egress.event("upstream.close")["reason"], "budget");
  EXPECT_TRUE(upstream.heads().empty()) << "nothing of what was too much went up";
  Lane second(egress.control());
  EXPECT_TRUE(open(second, upstream.port()).opened);
  Lane third(egress.control());
  EXPECT_EQ(open(third, upstream.port()).failure->reason, "budget");
}

TEST(Tunnel, WhoeverLeavesEndsIt) {
  Upstream upstream([](Peer& peer, const std::string&) -> bool {
    peer.reset();
    return false;
  });
  Running egress({.grants = {opaque(upstream.port())}});
  Lane lane(egress.control());
  ASSERT_TRUE(open(lane, upstream.port()).opened);
  ASSERT_TRUE(lane.send(lane::encode_body("x\r\n\r\n")));
  EXPECT_TRUE(lane.closed());
  Lane left(egress.control());
  ASSERT_TRUE(open(left, upstream.port()).opened);
  (void)egress.event("upstream.close");
  left.close();
  EXPECT_EQ(egress.event("upstream.close")["reason"], "client-gone");
  Lane wrong(egress.control());
  ASSERT_TRUE(open(wrong, upstream.port()).opened);
  ASSERT_TRUE(wrong.send(lane::encode_opened()));
  EXPECT_TRUE(wrong.closed());
}

}  // namespace
}  // namespace bulkhead::egress

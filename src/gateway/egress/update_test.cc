// Grants that go while the egress works: what is under way, what is kept open, what is counted.
#include "gateway/update.h"

#include <poll.h>

#include "base/ipc.h"
#include "gateway/egress/harness_test.h"

namespace bulkhead::egress {
namespace {

// Tells it, and waits until it is done; how many requests were cut.
std::uint64_t tell(Running& egress, GrantsUpdate update) {
  update.number = 3;
  if (!ipc::send(egress.sockets.supervisor.get(), to_json(update))) return 99;
  pollfd p{egress.sockets.supervisor.get(), POLLIN, 0};
  if (::poll(&p, 1, 5000) != 1) return 98;
  const auto message = ipc::receive(egress.sockets.supervisor.get());
  const auto answer = ipc::parse(message->text);
  EXPECT_EQ((*answer)["type"], "applied");
  EXPECT_EQ((*answer)["number"], 3);
  return (*answer)["cut"];
}

// Head and a first piece, then nothing for as long as the other side stays; `gone` says that it went.
Upstream::Script endless(std::atomic<bool>& gone) {
  return [&gone](Peer& peer, const std::string&) -> bool {
    peer.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n");
    (void)peer.read(1);
    gone = true;
    return false;
  };
}

bool within_a_second(const std::atomic<bool>& flag) {
  for (int i = 0; i < 100 && !flag; ++i) ::poll(nullptr, 0, 10);
  return flag;
}

TEST(EgressUpdate, CutsWhatIsUnderWay) {
  std::atomic<bool> gone = false;
  Upstream upstream(endless(gone));
  Running egress({.grants = {grant(upstream.port())}});
  Lane lane(egress.control());
  lane.send(lane::encode(request(upstream.port())) + lane::encode_end());
  lane::Kind kind;
  std::string payload;
  ASSERT_TRUE(lane.frame(kind, payload));
  EXPECT_EQ(kind, lane::Kind::response);
  EXPECT_FALSE(gone);
  EXPECT_EQ(tell(egress, {0, {}, {{grant(upstream.port()), Gone::revoked}}, false}), 1U);
  EXPECT_TRUE(within_a_second(gone));
  while (lane.frame(kind, payload)) EXPECT_EQ(kind, lane::Kind::body);  // no end: it was cut
  EXPECT_EQ(egress.event("upstream.failure")["reason"], "revoked");

  Lane another(egress.control());
  const Answer denied = another.ask(request(upstream.port()));
  ASSERT_TRUE(denied.failure);
  EXPECT_EQ(denied.failure->status, 403);
  EXPECT_EQ(upstream.connections(), 1);
}

// Before anything of an answer has come, front can still be told why. With a body, too, that is half up.
TEST(EgressUpdate, SaysWhyWhereItStillCan) {
  for (const bool body : {false, true}) {
    std::atomic<bool> asked = false, gone = false;
    Upstream upstream([&](Peer& peer, const std::string&) -> bool {
      asked = true;
      while (!peer.read(1).empty()) {
      }
      gone = true;
      return false;
    });
    Running egress({.grants = {grant(upstream.port())}});
    Lane lane(egress.control());
    lane::Request asking = request(upstream.port(), "/", body ? "POST" : "GET");
    if (body) asking.body = lane::BodyKind::streamed;
    lane.send(lane::encode(asking) + (body ? lane::encode_body("some") : lane::encode_end()));
    EXPECT_TRUE(within_a_second(asked));
    EXPECT_EQ(tell(egress, {0, {}, {{grant(upstream.port()), Gone::closed}}, false}), 1U);
    EXPECT_TRUE(within_a_second(gone));
    const Answer answer = lane.answer();
    ASSERT_TRUE(answer.failure);
    EXPECT_EQ(answer.failure->reason, "closed");
    EXPECT_EQ(answer.failure->status, 403);
  }
}

TEST(EgressUpdate, WhatStillHoldsGoesOn) {
  std::atomic<bool> gone = false;
  Upstream upstream(endless(gone));
  Grant kept = grant(upstream.port());
  Running egress({.grants = {kept}});
  Lane lane(egress.control());
  lane.send(lane::encode(request(upstream.port())) + lane::encode_end());
  lane::Kind kind;
  std::string payload;
  ASSERT_TRUE(lane.frame(kind, payload));
  kept.budget.requests = 2;
  EXPECT_EQ(tell(egress, {0, {kept}, {}, false}), 0U);
  EXPECT_FALSE(gone);

  // It was counted before there was a limit: one more fits.
  Lane another(egress.control());
  another.send(lane::encode(request(upstream.port())) + lane::encode_end());
  ASSERT_TRUE(another.frame(kind, payload));
  EXPECT_EQ(kind, lane::Kind::response);
  Lane third(egress.control());
  const Answer denied = third.ask(request(upstream.port()));
  ASSERT_TRUE(denied.failure);
  EXPECT_EQ(denied.failure->reason, "budget");
  // Gone and back again: what was counted stays counted.
  EXPECT_EQ(tell(egress, {0, {}, {}, false}), 2U);
  EXPECT_EQ(tell(egress, {0, {kept}, {}, false}), 0U);
  Lane fourth(egress.control());
  EXPECT_EQ(fourth.ask(request(upstream.port())).failure->reason, "budget");
}

TEST(EgressUpdate, ClosesWhatIsIdle) {
  std::atomic<bool> gone = false;
  int requests = 0;
  Upstream upstream([&](Peer& peer, const std::string&) -> bool {
    ++requests;
    peer.write(ok("x"));
    pollfd p{peer.fd(), POLLIN, 0};
    (void)::poll(&p, 1, 5000);
    char byte = 0;
    if (::recv(peer.fd(), &byte, 1, MSG_PEEK) == 0) gone = true;
    return !gone;
  });
  Running egress({.grants = {grant(upstream.port())}});
  Lane lane(egress.control());
  EXPECT_TRUE(lane.ask(request(upstream.port())).whole);
  EXPECT_FALSE(gone);
  EXPECT_EQ(tell(egress, {0, {}, {}, false}), 0U);
  EXPECT_TRUE(within_a_second(gone));
}

// What goes to an egress that has nothing left to dial. (Here it still may, which shows what it holds.)
TEST(EgressUpdate, TheProxysCredentialIsForgottenToo) {
  Upstream proxy(honest_proxy());
  Upstream upstream([](Peer& peer, const std::string&) -> bool { return peer.write(ok("x")); });
  const Grant kept = grant(upstream.port());
  Running egress({.grants = {kept}, .proxy = by_proxy(proxy)});
  EXPECT_TRUE(Lane(egress.control()).ask(request(upstream.port())).whole);
  EXPECT_EQ(tell(egress, {0, {kept}, {}, false}), 0U);
  EXPECT_TRUE(Lane(egress.control()).ask(request(upstream.port())).whole);
  EXPECT_EQ(tell(egress, {0, {kept}, {}, true}), 0U);
  EXPECT_TRUE(Lane(egress.control()).ask(request(upstream.port())).whole);
  ASSERT_EQ(proxy.heads().size(), 3U);
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(proxy.heads()[i].find("Proxy-Authorization") != std::string::npos, i < 2) << i;
  }
}

TEST(EgressUpdate, NonsenseEndsIt) {
  Running egress({.grants = {}});
  ASSERT_TRUE(ipc::send(egress.sockets.supervisor.get(), std::string_view(R"({"type":"grants"})")));
  EXPECT_NE(egress.stopped().find("no update"), std::string::npos);
}

}  // namespace
}  // namespace bulkhead::egress

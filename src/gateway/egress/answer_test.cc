// What a grant says beside its rules, from lane to upstream and back: answers, expiry, names of a wildcard.
#include "gateway/egress/answer.h"

#include "gateway/egress/harness_test.h"

namespace bulkhead::egress {
namespace {

Upstream::Script always(const std::string& answer) {
  return [answer](Peer& peer, const std::string&) -> bool { return peer.write(answer); };
}

std::string json(std::string_view body, const std::string& more = "") {
  return ok(body, "Content-Type: application/json\r\n" + more);
}

// What one request gets from an upstream that answers so, under these rules.
Answer answer_under(const ResponseRules& rules, const std::string& answer, const std::string& method = "GET") {
  Upstream upstream(always(answer));
  Grant granted = grant(upstream.port());
  granted.response = rules;
  Running egress({.grants = {granted}});
  Lane lane(egress.control());
  return lane.ask(request(upstream.port(), "/", method));
}

void expect_refused(const Answer& answer, std::string_view why) {
  ASSERT_TRUE(answer.failure);
  EXPECT_EQ(answer.failure->status, 403);
  EXPECT_EQ(answer.failure->reason, "response");
  EXPECT_NE(answer.failure->text.find(why), std::string::npos) << answer.failure->text;
  EXPECT_FALSE(answer.response);
}

TEST(AnswerRules, LargerThanLetIn) {
  ResponseRules rules;
  rules.max_body = 5;
  EXPECT_EQ(answer_under(rules, ok("12345")).body, "12345");
  expect_refused(answer_under(rules, ok("123456")), "larger than");
  // Not announced: cut off where it becomes too much, and never whole.
  const Answer cut =
      answer_under(rules, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n123\r\n3\r\n456\r\n0\r\n\r\n");
  EXPECT_FALSE(cut.whole && cut.response);
  // HEAD announces and sends nothing.
  EXPECT_TRUE(answer_under(rules, "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n", "HEAD").whole);
}

TEST(AnswerRules, OnlyTheListedKinds) {
  ResponseRules rules;
  rules.content_type = {"application/json", "text/plain"};
  EXPECT_EQ(answer_under(rules, json("{}")).body, "{}");
  EXPECT_EQ(answer_under(rules, ok("x", "Content-Type: Text/Plain; charset=utf-8\r\n")).body, "x");
  expect_refused(answer_under(rules, ok("x")), "no one type");
  expect_refused(answer_under(rules, ok("x", "Content-Type: text/html\r\n")), "text/html");
  expect_refused(answer_under(rules, json("{}", "Content-Type: text/html\r\n")), "no one type");
  expect_refused(answer_under(rules, ok("x", "Content-Type: text/plain, text/html\r\n")), "no one type");
  EXPECT_EQ(answer_under(rules, "HTTP/1.1 204 No Content\r\n\r\n").response->status, 204);
}

TEST(AnswerRules, HeldUntilWhole) {
  ResponseRules rules;
  rules.streaming = false;
  rules.max_body = 100;
  const std::string chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n123\r\n";
  const Answer whole = answer_under(rules, chunked + "3\r\n456\r\n0\r\n\r\n");
  ASSERT_TRUE(whole.response);
  EXPECT_EQ(whole.body, "123456");
  EXPECT_EQ(whole.response->body, lane::BodyKind::length);
  EXPECT_EQ(whole.response->body_length, 6U);
  const Answer broken = answer_under(rules, chunked + "ZZ\r\n");
  EXPECT_TRUE(broken.failure) << "nothing of half an answer";
  expect_refused(answer_under(rules, ok("data: x\n\n", "Content-Type: text/event-stream\r\n")), "event stream");
}

TEST(AnswerRules, Redacts) {
  ResponseRules rules;
  rules.streaming = false;
  rules.max_body = 200;
  rules.redact = {"**.email"};
  const Answer answer = answer_under(rules, json(R"({"user":{"email":"a@b.example","id":7}})"));
  ASSERT_TRUE(answer.response) << (answer.failure ? answer.failure->text : "");
  EXPECT_EQ(answer.body, R"({"user":{"email":"[redacted]","id":7}})");
  EXPECT_EQ(answer.response->body_length, answer.body.size());
  expect_refused(answer_under(rules, ok("email=a@b.example")), "only of plain JSON");
  expect_refused(answer_under(rules, json("{\"email\":")), "can't be taken out");
  expect_refused(answer_under(rules, json("xx", "Content-Encoding: gzip\r\n")), "encoded");
}

TEST(AnswerRules, WhatIsReadIsAskedForPlain) {
  Upstream upstream(always(json("{}")));
  Grant granted = grant(upstream.port());
  granted.response.streaming = false;
  granted.response.max_body = 10;
  granted.response.redact = {"a"};
  Running egress({.grants = {granted}});
  Lane lane(egress.control());
  lane::Request asked = request(upstream.port());
  asked.headers = {{"accept-encoding", "gzip"}, {"range", "bytes=1-"}};
  EXPECT_EQ(lane.ask(asked).body, "{}");
  const std::string head = upstream.heads().front();
  EXPECT_NE(head.find("accept-encoding: identity"), std::string::npos) << head;
  EXPECT_EQ(head.find("range"), std::string::npos) << head;
}

TEST(AnswerRules, TheCredentialIsGoneBeforeAnythingElse) {
  Upstream upstream(always(json(std::string(R"({"key":")") + secret + R"(","email":1})")));
  Grant granted = grant(upstream.port(), "api");
  granted.response.streaming = false;
  granted.response.max_body = 200;
  granted.response.redact = {"email"};
  Running egress({.grants = {granted}, .credential = "api"});
  Lane lane(egress.control());
  const Answer answer = lane.ask(request(upstream.port()));
  EXPECT_EQ(answer.body,
            R"({"key":")" + std::string(std::string_view(secret).size(), '*') + R"(","email":"[redacted]"})");
}

TEST(Address, StandsInPlaceOfWhatTheNameResolvesTo) {
  Upstream upstream(always(ok("x")));
  Grant granted = grant(upstream.port());
  granted.address = "127.0.0.1";
  Running egress({.grants = {granted}, .records = {{"api.example.com. A", {"10.0.0.1"}}}});
  Lane lane(egress.control());
  EXPECT_EQ(lane.ask(request(upstream.port())).body, "x");
  EXPECT_TRUE(upstream.heads().front().find("Host: api.example.com") != std::string::npos);
}

TEST(Expiry, EndsTheGrant) {
  Upstream upstream(always(ok("x")));
  Grant granted = grant(upstream.port());
  granted.expires = std::chrono::seconds(1);
  Running egress({.grants = {granted}});
  Lane lane(egress.control());
  EXPECT_EQ(lane.ask(request(upstream.port())).body, "x");
  std::this_thread::sleep_for(std::chrono::milliseconds(1100));
  const Answer late = lane.ask(request(upstream.port()));
  ASSERT_TRUE(late.failure);
  EXPECT_EQ(late.failure->status, 403);
  EXPECT_EQ(late.failure->reason, "expired");
  EXPECT_EQ(upstream.heads().size(), 1U);
}

TEST(Labels, EachNameOfAWildcardCounts) {
  Upstream upstream(always(ok("x")));
  Grant granted = grant(upstream.port(), "", "*.example.com");
  granted.hosts.push_back("api.example.com");
  granted.labels = 2;
  Running egress({.grants = {granted},
                  .records = {{"api.example.com. A", {"127.0.0.1"}},
                              {"a.example.com. A", {"127.0.0.1"}},
                              {"b.example.com. A", {"127.0.0.1"}},
                              {"c.example.com. A", {"127.0.0.1"}}}});
  Lane lane(egress.control());
  const auto ask = [&](const char* host) {
    lane::Request asked = request(upstream.port());
    asked.host = host;
    const Answer answer = lane.ask(asked);
    return answer.failure ? answer.failure->reason : answer.body;
  };
  EXPECT_EQ(ask("a.example.com"), "x");
  EXPECT_EQ(ask("api.example.com"), "x") << "spelled out: says nothing to anybody";
  EXPECT_EQ(ask("b.example.com"), "x");
  EXPECT_EQ(ask("c.example.com"), "labels");
  EXPECT_EQ(ask("a.example.com"), "x") << "one that was used already";
  EXPECT_EQ(upstream.heads().size(), 4U);
}

}  // namespace
}  // namespace bulkhead::egress

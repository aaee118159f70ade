// Requests that wait for an answer: what is asked, what an answer does, and what front bounds.
#include <gtest/gtest.h>

#include "gateway/front/harness_test.h"
#include "gateway/question.h"
#include "gateway/update.h"

namespace bulkhead::front {
namespace {

using std::chrono::milliseconds;

Limits few() {
  Limits limits;
  limits.questions = 2;
  limits.questions_per_second = 1e9;
  return limits;
}

struct HeldTest : testing::Test {
  explicit HeldTest(const Limits& limits = {}) : gateway(Run::library, limits, true) {}

  // The supervisor's next message of that type.
  nlohmann::json message(const std::string& type) {
    for (;;) {
      auto next = gateway.denial();
      if (next.is_null() || next.value("type", "") == type) return next;
    }
  }
  Question question() {
    const auto asked = question_from(message("question"));
    EXPECT_TRUE(asked) << (asked ? "" : asked.error().message);
    return asked ? *asked : Question{};
  }
  // One grant more, as an answer makes it.
  void grant(const std::string& host, const std::string& path) {
    GrantsUpdate update;
    update.number = ++updates;
    Grant one;
    one.id = "90";
    one.hosts = {host};
    one.port = 80;
    one.protocol = Protocol::http;
    one.allow = {{{"GET", "POST"}, path, {"*"}, "", std::nullopt}};
    update.grants = {one};
    gateway.tell(to_json(update));
    EXPECT_EQ(message("applied").value("number", 0), static_cast<int>(updates));
  }
  void answer(std::uint64_t number) { gateway.tell(question_word("answered", number)); }

  Gateway gateway;
  std::uint64_t updates = 0;
};

struct FewHeldTest : HeldTest {
  FewHeldTest() : HeldTest(few()) {}
};

const std::string host = "new.example.com";

TEST_F(HeldTest, AnAnswerMeansJudgeAgain) {
  Client client(80);
  ASSERT_TRUE(client.send("POST /a/b?x=%2f1 HTTP/1.1\r\nHost: " + host +
                          "\r\nContent-Type: text/plain\r\nX-App: 1\r\nContent-Length: 3\r\n\r\nabc"));
  const Question asked = question();
  EXPECT_EQ(asked.number, 1U);
  EXPECT_EQ(asked.method, "POST");
  EXPECT_EQ(asked.scheme, "http");
  EXPECT_EQ(asked.host, host);
  EXPECT_EQ(asked.port, 80);
  EXPECT_EQ(asked.target, "/a/b?x=%2f1");
  EXPECT_EQ(asked.content_type, "text/plain");
  EXPECT_EQ(asked.headers, std::vector<std::string>{"x-app"});
  EXPECT_EQ(asked.body, lane::BodyKind::length);
  EXPECT_EQ(asked.body_length, 3U);
  // Nothing is granted, so the answer is what it was.
  answer(1);
  auto reply = client.reply("POST");
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->status, 403);
  EXPECT_EQ(message("ended").value("number", 0), 1);

  ASSERT_TRUE(client.send(get(host, "/hello")));
  EXPECT_EQ(question().number, 2U);
  grant(host, "/hello");
  EXPECT_TRUE(gateway.egress().requests().empty()) << "not before the answer";
  answer(2);
  reply = client.reply();
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->status, 200);
  EXPECT_EQ(reply->body, "hello");
  EXPECT_EQ(message("ended").value("number", 0), 2);
  ASSERT_EQ(gateway.egress().requests().size(), 1U);
  // … and what follows is not asked about any more.
  EXPECT_EQ(client.ask(get(host, "/hello"))->status, 200);
}

TEST_F(HeldTest, AnswersToNobodysQuestionDoNothing) {
  Client client(80);
  ASSERT_TRUE(client.send(get(host, "/")));
  EXPECT_EQ(question().number, 1U);
  for (const std::uint64_t number : {0, 2, 7, 1'000'000}) answer(number);
  Client other(80);
  EXPECT_EQ(other.ask(get("plain.example.com", "/hello"))->status, 200);
  answer(1);
  EXPECT_EQ(client.reply()->status, 403);
}

TEST_F(HeldTest, OnlyWhatAGrantIsTheAnswerTo) {
  const std::string requests[] = {get(host, "/", "Authorization: Bearer abc\r\n"),
                                  get(host, "/?api_key=1"),
                                  get(host, "/a/../b"),
                                  get(host, "/", "X-HTTP-Method-Override: PUT\r\n"),
                                  get("10.0.0.1", "/"),
                                  get(host + ":81", "/"),
                                  get(host, "/" + std::string(longest_asked_target, 'a')),
                                  get(host, "/", "X-Api-Key: " + std::string(token) + "\r\n")};
  for (const std::string& request : requests) {
    Client client(80);
    const auto reply = client.ask(request);
    ASSERT_TRUE(reply) << request;
    EXPECT_GE(reply->status, 400) << request;
  }
  // The session's token where nothing exchanges it, and another key where something does.
  for (const auto& [name, key] : {std::pair("new.example.com", token), {"cred.example.com", "sk-of-somebody-else"}}) {
    Client tls(443);
    ASSERT_TRUE(tls.secure(gateway, name));
    const std::string head = std::string("DELETE / HTTP/1.1\r\nHost: ") + name + "\r\nX-Api-Key: " + key + "\r\n\r\n";
    EXPECT_EQ(tls.ask(head)->status, 403) << name;
  }
  Client client(80);
  ASSERT_TRUE(client.send(get(host, "/")));
  EXPECT_EQ(question().number, 1U) << "the first that was asked";
  answer(1);
  EXPECT_EQ(client.reply()->status, 403);
}

TEST_F(HeldTest, TheSessionsTokenIsNamedByItsCredential) {
  Client tls(443);
  ASSERT_TRUE(tls.secure(gateway, "cred.example.com"));
  const std::string head = "DELETE / HTTP/1.1\r\nHost: cred.example.com\r\nX-App: 1\r\n";
  ASSERT_TRUE(tls.send(head + "X-Api-Key: " + token + "\r\n\r\n"));
  Question asked = question();
  EXPECT_EQ(asked.credential, "api");
  EXPECT_EQ(asked.headers, std::vector<std::string>{"x-app"}) << "no rule lists the slot";
  answer(1);
  EXPECT_EQ(tls.reply()->status, 403);
  ASSERT_TRUE(tls.send(head + "\r\n"));
  asked = question();
  EXPECT_EQ(asked.credential, "");
  answer(2);
  EXPECT_EQ(tls.reply()->status, 403);
}

TEST_F(HeldTest, AClientThatLeaves) {
  {
    Client client(80);
    ASSERT_TRUE(client.send(get(host, "/left")));
    EXPECT_EQ(question().number, 1U);
    grant(host, "/**");
  }
  EXPECT_EQ(message("ended").value("number", 0), 1);
  EXPECT_EQ(gateway.event("no-grant").value("path", ""), "/left");
  answer(1);
  Client other(80);
  EXPECT_EQ(other.ask(get(host, "/hello"))->status, 200);
  EXPECT_EQ(gateway.egress().requests().size(), 1U) << "nobody waited for the other";
}

TEST_F(FewHeldTest, MoreThanMayWaitAreDenied) {
  Client first(80), second(80), third(80);
  ASSERT_TRUE(first.send(get(host, "/1")));
  EXPECT_EQ(question().target, "/1");
  ASSERT_TRUE(second.send(get(host, "/2")));
  EXPECT_EQ(question().target, "/2");
  const auto reply = third.ask(get(host, "/3"));
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->status, 403);
  // In whatever order they are answered.
  answer(2);
  EXPECT_EQ(second.reply()->status, 403);
  answer(1);
  EXPECT_EQ(first.reply()->status, 403);
  for (const int number : {2, 1}) EXPECT_EQ(message("ended").value("number", 0), number);
  ASSERT_TRUE(third.send(get(host, "/4")));
  EXPECT_EQ(question().number, 3U);
}

struct ShortHeldTest : HeldTest {
  ShortHeldTest() : HeldTest(brief()) {}
  static Limits brief() {
    Limits limits;
    limits.question = milliseconds(500);
    return limits;
  }
};

TEST_F(ShortHeldTest, NoAnswerInTimeIsADenial) {
  Client client(80);
  ASSERT_TRUE(client.send(get(host, "/")));
  EXPECT_EQ(question().number, 1U);
  grant(host, "/**");  // nobody said that it is this one's
  EXPECT_EQ(client.reply()->status, 403);
  EXPECT_TRUE(gateway.egress().requests().empty());
}

struct SlowHeldTest : HeldTest {
  SlowHeldTest() : HeldTest(slow()) {}
  static Limits slow() {
    Limits limits = few();
    limits.questions_per_second = 1e-6;
    return limits;
  }
};

TEST_F(SlowHeldTest, AskingAgainAndAgainIsBounded) {
  Client client(80);
  for (const std::uint64_t number : {1, 2}) {
    ASSERT_TRUE(client.send(get(host, "/")));
    EXPECT_EQ(question().number, number);
    answer(number);
    EXPECT_EQ(client.reply()->status, 403);
  }
  for (int i = 0; i < 3; ++i) EXPECT_EQ(client.ask(get(host, "/"))->status, 403) << "without a question";
}

TEST_F(HeldTest, ASessionThatEndsRecordsWhatWaited) {
  Client client(80);
  ASSERT_TRUE(client.send(get(host, "/waits")));
  EXPECT_EQ(question().number, 1U);
  gateway.leave_supervisor();
  const auto ended = gateway.event("ended");
  EXPECT_EQ(ended.value("path", ""), "/waits");
  EXPECT_EQ(ended.value("decision", ""), "deny");
}

TEST_F(HeldTest, ASupervisorThatSaysNonsenseEndsIt) {
  gateway.tell({{"type", "answered"}, {"number", "1"}});
  EXPECT_TRUE(gateway.ended());
  EXPECT_NE(gateway.errors().find("nobody asked"), std::string::npos) << gateway.errors();
}

}  // namespace
}  // namespace bulkhead::front

#include "gateway/egress/login.h"

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <nlohmann/json.hpp>

#include "base/ipc.h"
#include "base/sys.h"
#include "gateway/egress/login_for_test.h"

namespace bulkhead::egress {
namespace {

namespace asio = boost::asio;
using nlohmann::json;

TokenSlot slot() {
  return login_slot("bulkhead-access-0123456789abcdef", "bulkhead-refresh-0123456789abcdef");
}

LoginTokens tokens(const std::string& access, const std::string& refresh) {
  LoginTokens out;
  out.access = Secret(access);
  out.refresh = Secret(refresh);
  return out;
}

const grant::RefreshFields fields{{"grant_type", "refresh_token"}, {"refresh_token", "x"}};

// This test is the process that has the file.
class HeldLoginTest : public testing::Test {
 protected:
  using Begun = tl::expected<std::unique_ptr<HeldLogin::Turn>, lane::Failure>;

  void SetUp() override {
    auto pair = sys::socket_pair(SOCK_SEQPACKET);
    ASSERT_TRUE(pair);
    file_ = std::move(pair->first);
    ASSERT_TRUE(sys::set_nonblocking(file_.get(), true));
    ASSERT_TRUE(held_.give(tokens("real-access-1", "real-refresh-1"), std::move(pair->second), issued_));
  }
  void run() {
    io_.restart();
    io_.poll();
  }
  // The next thing that was said to the file's process; empty: nothing.
  std::string said() {
    const auto message = ipc::receive(file_.get());
    return message && !message->closed ? json::parse(message->text).at("type").get<std::string>() : "";
  }
  void say(const json& object) { ASSERT_TRUE(ipc::send(file_.get(), object)); }
  void begin(std::optional<Begun>& into) {
    asio::co_spawn(io_, held_.begin(issued_), [&into](const std::exception_ptr& error, Begun begun) {
      if (!error) into.emplace(std::move(begun));
    });
    run();
  }
  std::unique_ptr<HeldLogin::Turn> turn(const json& answer = {{"type", "begun"}}) {
    std::optional<Begun> begun;
    begin(begun);
    EXPECT_EQ(said(), "begin");
    EXPECT_FALSE(begun) << "before the file's process has said so";
    say(answer);
    run();
    if (!begun || !*begun) return nullptr;
    return std::move(**begun);
  }
  std::string refused(const json& answer) {
    std::optional<Begun> begun;
    begin(begun);
    say(answer);
    run();
    return begun && !*begun ? begun->error().reason : "allowed";
  }
  tl::expected<HeldLogin::Answer, lane::Failure> finish(HeldLogin::Turn& turn, std::uint16_t status,
                                                        const std::string& body) {
    return held_.finish(turn, status, body, issued_);
  }
  std::string scrubbed(std::string text) const {
    Patterns patterns = issued_.patterns();
    held_.add_to(patterns);
    patterns.scrub(text);
    return text;
  }

  asio::io_context io_;
  HeldLogin held_{io_, login_with("a", "r"), slot()};
  IssuedValues issued_{slot()};
  UniqueFd file_;
};

TEST_F(HeldLoginTest, ARefreshIsStoredBeforeItPasses) {
  auto mine = turn();
  ASSERT_TRUE(mine);
  EXPECT_TRUE(held_.under_way());
  EXPECT_EQ(json::parse(held_.body(fields, false)).at("refresh_token"), "real-refresh-1");
  say({{"type", "stored"}, {"written", true}, {"why", ""}});
  const auto answer = finish(*mine, 200,
                             R"({"access_token":"real-access-2","refresh_token":"real-refresh-2","expires_in":60,
                                 "scope":"a b","account":{"token":"real-access-2"}})");
  ASSERT_TRUE(answer) << answer.error().text;
  EXPECT_EQ(json::parse(answer->body), json::parse(R"({"access_token":"bulkhead-access-0123456789abcdef-2",
    "refresh_token":"bulkhead-refresh-0123456789abcdef","expires_in":60,"scope":"a b"})"));
  EXPECT_EQ(answer->number, 2U);
  EXPECT_TRUE(answer->rotated && answer->written);
  const auto message = ipc::receive(file_.get());
  ASSERT_TRUE(message);
  const auto stored = store_from(json::parse(message->text));
  ASSERT_TRUE(stored);
  EXPECT_TRUE(same(stored->tokens, tokens("real-access-2", "real-refresh-2")));
  EXPECT_EQ(stored->expires_in, 60U);
  mine.reset();
  EXPECT_EQ(said(), "") << "what was stored needs no end";
  EXPECT_EQ(json::parse(held_.body(fields, false)).at("refresh_token"), "real-refresh-2");
  // What was replaced stays secret.
  for (const char* secret : {"real-access-1", "real-access-2", "real-refresh-1", "real-refresh-2"}) {
    EXPECT_EQ(scrubbed(secret), std::string(std::string_view(secret).size(), '*')) << secret;
  }
}

TEST_F(HeldLoginTest, OneAtATime) {
  auto first = turn();
  ASSERT_TRUE(first);
  std::optional<Begun> second;
  begin(second);
  EXPECT_FALSE(second);
  EXPECT_EQ(said(), "") << "it waits for the other";
  first.reset();
  run();
  EXPECT_EQ(said(), "end");
  EXPECT_EQ(said(), "begin");
  say({{"type", "begun"}});
  run();
  ASSERT_TRUE(second && *second);
}

TEST_F(HeldLoginTest, WhatTheFileHoldsByThenIsWhatGoesUp) {
  auto mine = turn({{"type", "tokens"}, {"access", "real-access-9"}, {"refresh", "real-refresh-9"}, {"id", ""}});
  ASSERT_TRUE(mine);
  EXPECT_EQ(json::parse(held_.body(fields, false)).at("refresh_token"), "real-refresh-9");
  ASSERT_NE(issued_.find(2), nullptr);
  EXPECT_EQ(issued_.find(2)->value.reveal(), "Bearer real-access-9");
  EXPECT_EQ(scrubbed("real-refresh-1 real-refresh-9"), "************** **************");
}

TEST_F(HeldLoginTest, WhenItIsNotOurTurn) {
  EXPECT_EQ(refused({{"type", "busy"}}), "login");
  EXPECT_EQ(refused({{"type", "something"}}), "login");
  EXPECT_EQ(refused({{"type", "tokens"}, {"access", "with a blank"}, {"refresh", "r"}, {"id", ""}}), "login");
  EXPECT_FALSE(held_.under_way()) << "a turn that was refused is over";
  held_.forget();
  EXPECT_EQ(refused({{"type", "begun"}}), "revoked");
  EXPECT_EQ(scrubbed("real-refresh-1"), "real-refresh-1") << "nothing of it is held any more";
  file_.reset();
  std::optional<Begun> gone;
  begin(gone);
  ASSERT_TRUE(gone);
  EXPECT_FALSE(*gone);
}

TEST_F(HeldLoginTest, OfARefusalOneWordPasses) {
  for (const auto& [body, word] :
       {std::pair{R"({"error":"invalid_grant","error_description":"real-refresh-1"})", "invalid_grant"},
        {R"({"error":{"type":"refresh_token_reused","message":"real-refresh-1"}})", "refresh_token_reused"},
        {R"({"error":"real-refresh-1"})", "invalid_request"},
        {"real-refresh-1", "invalid_request"}}) {
    auto mine = turn();
    ASSERT_TRUE(mine);
    const auto answer = finish(*mine, 400, body);
    ASSERT_TRUE(answer);
    EXPECT_FALSE(answer->number);
    EXPECT_EQ(json::parse(answer->body).at("error"), word);
    EXPECT_EQ(answer->body.find("real-"), std::string::npos);
    mine.reset();
    EXPECT_EQ(said(), "end");
  }
}

TEST_F(HeldLoginTest, WhatCantBeUnderstoodIsKeptBackAndStoredNowhere) {
  for (const char* body :
       {"", "[]", "{", R"({"refresh_token":"real-refresh-2"})", R"({"access_token":7})",
        R"({"access_token":"with a blank"})", R"({"access_token":"real-access-2","access_token":"real-access-3"})",
        R"({"access_token":"bulkhead-access-0123456789abcdef-1"})",
        R"({"access_token":"real-access-2","refresh_token":"x-bulkhead-refresh-0123456789abcdef"})"}) {
    auto mine = turn();
    ASSERT_TRUE(mine);
    const auto answer = finish(*mine, 200, body);
    ASSERT_FALSE(answer) << body;
    EXPECT_EQ(answer.error().status, 502);
    EXPECT_EQ(answer.error().text.find("real-"), std::string::npos);
    mine.reset();
    EXPECT_EQ(said(), "end") << body;
  }
  auto mine = turn();
  ASSERT_TRUE(mine);
  for (const std::uint16_t status : {201, 204, 302}) {
    EXPECT_FALSE(finish(*mine, status, R"({"access_token":"real-access-2"})")) << status;
  }
}

TEST_F(HeldLoginTest, AFileThatCantBeWrittenIsSaidAndTheTokensWork) {
  auto mine = turn();
  ASSERT_TRUE(mine);
  say({{"type", "stored"}, {"written", false}, {"why", "the disk is full"}});
  const auto answer = finish(*mine, 200, R"({"access_token":"real-access-2"})");
  ASSERT_TRUE(answer);
  EXPECT_FALSE(answer->written || answer->rotated);
  EXPECT_EQ(answer->why, "the disk is full");
  EXPECT_FALSE(json::parse(answer->body).contains("refresh_token"));
  ASSERT_NE(issued_.find(2), nullptr);
  EXPECT_EQ(json::parse(held_.body(fields, false)).at("refresh_token"), "real-refresh-1") << "the old one stays";
}

}  // namespace
}  // namespace bulkhead::egress

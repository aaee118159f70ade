#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <nlohmann/json.hpp>

#include "base/ipc.h"
#include "base/sys.h"
#include "gateway/egress/login.h"
#include "gateway/egress/login_for_test.h"

namespace bulkhead::egress {
namespace {

using nlohmann::json;

constexpr const char *first_access = "real-access-1", *first_refresh = "real-refresh-1";
// {"plan":"pro","secret":"s"}
const std::string real_jwt = "eyJhbGciOiJSUzI1NiJ9.eyJwbGFuIjoicHJvIiwic2VjcmV0IjoicyJ9.c2lnbmF0dXJl";

TokenSlot slot(bool jwt) {
  return login_slot("bulkhead-1", "bulkhead-refresh-2", jwt);
}

// A login, and the process that has its file, played.
struct LoginAnswer : testing::Test {
  explicit LoginAnswer(bool jwt = false)
      : issued(slot(jwt)), held(io, login_with("access", "refresh", jwt), slot(jwt)) {
    auto pair = sys::socket_pair(SOCK_SEQPACKET);
    LoginTokens tokens;
    tokens.access = Secret(first_access);
    tokens.refresh = Secret(first_refresh);
    EXPECT_TRUE(pair && held.give(std::move(tokens), std::move(pair->first), issued));
    file = std::move(pair->second);
  }

  // The answer to a refresh, as it goes to front; null where nothing of it may pass.
  json answer(const json& body, std::uint16_t status = 200) { return answer(body.dump(), status); }
  json answer(const std::string& body, std::uint16_t status = 200) {
    EXPECT_TRUE(ipc::send(file.get(), json{{"type", "stored"}, {"written", written}, {"why", written ? "" : "disk"}}));
    HeldLogin::Turn turn(held);
    auto made = held.finish(turn, status, body, issued);
    if (!made) {
      EXPECT_EQ(made.error().status, 502);
      why = made.error().text;
      return nullptr;
    }
    last = *made;
    Patterns patterns = issued.patterns();
    held.add_to(patterns);
    patterns.scrub(made->body);
    return json::parse(made->body);
  }
  json stored() {
    auto message = ipc::receive(file.get());
    return message && !message->closed ? json::parse(message->text) : json();
  }
  std::string real(std::uint32_t number) {
    const CredentialHeader* header = issued.find(number);
    return header == nullptr ? "" : std::string(header->value.reveal());
  }

  boost::asio::io_context io;
  IssuedValues issued;
  HeldLogin held;
  UniqueFd file;
  HeldLogin::Answer last;
  std::string why;
  bool written = true;
};
struct JwtAnswer : LoginAnswer {
  JwtAnswer() : LoginAnswer(true) {}
};

TEST_F(LoginAnswer, TheWorkloadGetsTokensOfTheSessions) {
  EXPECT_EQ(answer(json{{"access_token", "real-access-2"},
                        {"refresh_token", "real-refresh-2"},
                        {"expires_in", 60},
                        {"token_type", "Bearer"},
                        {"scope", "read"},
                        {"account", "real-account"}}),
            (json{{"access_token", "bulkhead-1-2"},
                  {"refresh_token", "bulkhead-refresh-2"},
                  {"expires_in", 60},
                  {"token_type", "Bearer"},
                  {"scope", "read"}}));
  EXPECT_EQ(last.number, 2U);
  EXPECT_TRUE(last.rotated && last.written);
  EXPECT_EQ(real(2), "Bearer real-access-2");
  // The file gets the real ones, and the next refresh goes up with what is valid by then.
  EXPECT_EQ(stored(), (json{{"type", "store"},
                            {"access", "real-access-2"},
                            {"refresh", "real-refresh-2"},
                            {"id", ""},
                            {"expires_in", 60}}));
  EXPECT_EQ(held.body({{"refresh_token", "bulkhead-refresh-2"}}, true), "refresh_token=real-refresh-2");
}

TEST_F(LoginAnswer, ARefreshTokenThatIsNotReplacedStays) {
  EXPECT_EQ(answer(json{{"access_token", "real-access-2"}}), (json{{"access_token", "bulkhead-1-2"}}));
  EXPECT_FALSE(last.rotated);
  EXPECT_EQ(held.body({{"refresh_token", "bulkhead-refresh-2"}}, true), "refresh_token=real-refresh-1");
}

TEST_F(LoginAnswer, TokensInOtherPlacesDoNotPass) {
  const json told = answer(json{{"access_token", "real-access-2"},
                                {"refresh_token", "real-refresh-2"},
                                {"id_token", "real-id-token-2"},
                                {"token_type", "real-access-2"},
                                {"scope", "a real-refresh-2 real-id-token-2 real-refresh-1 real-access-1 b"},
                                {"expires_in", "real-access-2"},
                                {"real-access-2", 1}});
  EXPECT_EQ(told, (json{{"access_token", "bulkhead-1-2"},
                        {"refresh_token", "bulkhead-refresh-2"},
                        {"token_type", "*************"},
                        {"scope", "a ************** *************** ************** ************* b"}}));
}

TEST_F(LoginAnswer, WhatCanNotBeUnderstoodIsKeptBack) {
  const std::string good = R"("access_token":"real-access-2")";
  for (const std::string& body :
       {std::string(), std::string("access_token=real-access-2"), "[{" + good + "}]", "{" + good, "{" + good + "}x",
        "{" + good + "," + good + "}", std::string(R"({"refresh_token":"real-refresh-2"})"),
        std::string(R"({"access_token":["real-access-2"]})"), std::string(R"({"access_token":""})"),
        std::string(R"({"access_token":"short"})"), std::string(R"({"access_token":"real access 2"})"),
        std::string(R"({"access_token":"bulkhead-1-7"})"), std::string(R"({"access_token":"x-bulkhead-refresh-2"})"),
        "{" + good + R"(,"refresh_token":7})"}) {
    EXPECT_EQ(answer(body), nullptr) << body;
    EXPECT_EQ(why.find("real-"), std::string::npos) << why;
  }
  for (const std::uint16_t status : {201, 204, 206, 302, 307}) EXPECT_EQ(answer("{" + good + "}", status), nullptr);
  EXPECT_EQ(real(2), "") << "nothing was kept";
  EXPECT_EQ(stored().at("type"), "end") << "nothing was written";
}

TEST_F(LoginAnswer, OfARefusalOneWord) {
  for (const auto& [body, status, word] :
       {std::tuple{R"({"error":"invalid_grant","error_description":"real-refresh-1 was used"})", 400, "invalid_grant"},
        {R"({"error":{"type":"refresh_token_reused","message":"real-refresh-1"}})", 401, "refresh_token_reused"},
        {R"({"error":"real-refresh-1"})", 400, "invalid_request"},
        {"real-refresh-1", 400, "invalid_request"},
        {"", 503, "temporarily_unavailable"},
        {R"({"access_token":"real-access-2"})", 429, "temporarily_unavailable"}}) {
    const json told = answer(std::string(body), static_cast<std::uint16_t>(status));
    EXPECT_EQ(told.at("error"), word) << body;
    EXPECT_EQ(told.size(), 2U);
    EXPECT_EQ(told.dump().find("real-"), std::string::npos) << told;
    EXPECT_FALSE(last.number);
  }
}

TEST_F(LoginAnswer, ADiskThatTakesNothingIsSaid) {
  written = false;
  EXPECT_EQ(answer(json{{"access_token", "real-access-2"}}), (json{{"access_token", "bulkhead-1-2"}}));
  EXPECT_FALSE(last.written);
  EXPECT_EQ(last.why, "disk");
}

TEST_F(JwtAnswer, ClaimsStayAndSignaturesGo) {
  const json told = answer(json{{"access_token", real_jwt}, {"id_token", real_jwt}});
  // {"alg":"none","typ":"JWT"} and {"plan":"pro"}
  const std::string look_alike = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.eyJwbGFuIjoicHJvIn0.";
  EXPECT_EQ(told, (json{{"access_token", look_alike + "bulkhead-1-2"}, {"id_token", look_alike + "bulkhead"}}));
  EXPECT_EQ(answer(json{{"access_token", "no-jwt-at-all"}}), nullptr);
  EXPECT_EQ(answer(json{{"access_token", real_jwt}, {"id_token", "no-jwt-at-all"}}), nullptr);
}

}  // namespace
}  // namespace bulkhead::egress

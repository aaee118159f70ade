#include "credential/login.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "credential/login_messages.h"

namespace bulkhead {
namespace {

using nlohmann::json;

Login login() {
  Login out;
  out.access = "oauth.access";
  out.refresh = "oauth.refresh";
  out.expires = "oauth.expires";
  out.keep = {"oauth.scopes", "plan"};
  return out;
}

TokenSlot slot() {
  TokenSlot out;
  out.credential = "agent";
  out.token = "sk-bulkhead-1";
  out.issued = true;
  out.refresh = "refresh-bulkhead-2";
  return out;
}

const char* const file =
    R"({"plan":"max","oauth":{"access":"real-access-1","refresh":"real-refresh-1","expires":5,"scopes":["a"],"x":1},"y":2})";

// {"a":1,"secret":2,"exp":3}
const char* const real_jwt = "eyJhbGciOiJSUzI1NiJ9.eyJhIjoxLCJzZWNyZXQiOjIsImV4cCI6M30.c2lnbmF0dXJl";

TEST(LoginFile, TheSessionsHasItsOwnTokensAndWhatIsKept) {
  const auto text = login_for_session(login(), file, slot());
  ASSERT_TRUE(text) << text.error().message;
  EXPECT_EQ(json::parse(*text), json::parse(R"({"plan":"max","oauth":{"access":"sk-bulkhead-1-1",
    "refresh":"refresh-bulkhead-2","expires":5,"scopes":["a"]}})"));
}

TEST(LoginFile, ATokenInASecondPlaceIsNotKept) {
  const auto text = login_for_session(
      login(), R"({"plan":"real-refresh-1","oauth":{"access":"real-access-1","refresh":"real-refresh-1"}})", slot());
  ASSERT_FALSE(text);
  EXPECT_NE(text.error().message.find("has a token where"), std::string::npos);
}

TEST(LoginFile, WhatIsNoLoginIsRefused) {
  for (const char* text :
       {"", "[]", "{", "{}", R"({"oauth":[]})", R"({"oauth":{"access":"real-access-1"}})",
        R"({"oauth":{"access":"real-access-1","refresh":null}})", R"({"oauth":{"access":"real-access-1","refresh":7}})",
        R"({"oauth":{"access":"real-access-1","refresh":"short"}})",
        R"({"oauth":{"access":"real-access-1","refresh":"with a blank"}})",
        R"({"oauth":{"access":"real-access-1","refresh":"with\na line"}})"}) {
    EXPECT_FALSE(read_login(login(), text)) << text;
  }
}

TEST(LoginFile, NewTokensReplaceTheOldAndNothingElse) {
  LoginTokens tokens;
  tokens.access = Secret("real-access-2");
  const auto at = std::chrono::system_clock::time_point(std::chrono::seconds(1000));
  auto text = renewed_login(login(), file, tokens, 60, at);
  ASSERT_TRUE(text);
  json expected = json::parse(file);
  expected["oauth"]["access"] = "real-access-2";
  expected["oauth"]["expires"] = 1'060'000;
  EXPECT_EQ(json::parse(*text), expected);
  tokens.refresh = Secret("real-refresh-2");
  text = renewed_login(login(), file, tokens, 60, at);
  expected["oauth"]["refresh"] = "real-refresh-2";
  EXPECT_EQ(json::parse(*text), expected);
}

TEST(LoginFile, AJwtKeepsItsClaimsAndLosesItsSignature) {
  Login with = login();
  with.claims = {"a", "exp"};
  TokenSlot jwt = slot();
  jwt.jwt = true;
  const auto token = session_access(jwt, with, 7, real_jwt);
  ASSERT_TRUE(token);
  // {"alg":"none","typ":"JWT"} and {"a":1,"exp":3}
  EXPECT_EQ(*token, "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.eyJhIjoxLCJleHAiOjN9.sk-bulkhead-1-7");
  for (const char* other : {"x", "a.b", "a.b.c.d", "..", "eyJhIjox.eyJhIjox.c"}) {
    EXPECT_FALSE(session_access(jwt, with, 7, other)) << other;
  }
}

TEST(LoginMessages, ReadBackAsTheyWere) {
  LoginRequest request;
  request.name = "odd \"name\"";
  request.login = login();
  request.login.id = "oauth.id";
  request.login.refreshed = "when";
  request.login.claims = {"plan"};
  request.login.send = {{"client_id", {"c"}}, {"scope", {"user:*", "x"}}};
  request.slot = slot();
  request.slot.jwt = true;
  request.become = {70000, 70001};
  const auto back = login_request_from(json::parse(to_json(request).dump()));
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(back->name, request.name);
  EXPECT_EQ(back->login, request.login);
  EXPECT_EQ(back->become, request.become);
  EXPECT_EQ(to_json(*back), to_json(request));
  for (const char* key : {"name", "login", "slot", "type"}) {
    json without = to_json(request);
    without.erase(key);
    EXPECT_FALSE(login_request_from(without)) << key;
  }
}

}  // namespace
}  // namespace bulkhead

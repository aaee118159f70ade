#include "gateway/grant/refresh.h"

#include <gtest/gtest.h>

namespace bulkhead::grant {
namespace {

Login login() {
  Login out;
  out.access = "a";
  out.refresh = "r";
  out.send = {{"client_id", {"id-1"}}, {"scope", {"read", "user:*"}}};
  return out;
}

TokenSlot slot() {
  TokenSlot out;
  out.credential = "agent";
  out.token = "bulkhead-1";
  out.issued = true;
  out.refresh = "refresh-bulkhead-2";
  return out;
}

std::string judged(std::string_view body, bool form = false) {
  const auto fields = judge_refresh(login(), slot(), form, body);
  return fields ? "allow" : fields.error().reason;
}

TEST(Refresh, IsOneForm) {
  EXPECT_EQ(judged(R"({"grant_type":"refresh_token","refresh_token":"refresh-bulkhead-2"})"), "allow");
  EXPECT_EQ(judged(R"({"client_id":"id-1","scope":"read user:x","grant_type":"refresh_token",)"
                   R"("refresh_token":"refresh-bulkhead-2"})"),
            "allow");
  EXPECT_EQ(judged("grant_type=refresh_token&refresh_token=refresh-bulkhead-2&scope=read+user%3ax", true), "allow");
}

TEST(Refresh, NothingElseIsGranted) {
  const std::string token = R"("refresh_token":"refresh-bulkhead-2")";
  for (const auto& [body, reason] :
       {std::pair{std::string("{}"), "grant-type"},
        {"{" + token + "}", "grant-type"},
        {R"({"grant_type":"refresh_token"})", "grant-type"},
        {R"({"grant_type":"authorization_code",)" + token + "}", "grant-type"},
        {R"({"grant_type":"Refresh_Token",)" + token + "}", "grant-type"},
        {R"({"grant_type":"refresh_token","refresh_token":"x"})", "foreign-credential"},
        {R"({"grant_type":"refresh_token","refresh_token":""})", "foreign-credential"},
        {R"({"grant_type":"refresh_token","refresh_token":"bulkhead-1-1"})", "foreign-credential"},
        {R"({"grant_type":"refresh_token","client_id":"id-2",)" + token + "}", "body"},
        {R"({"grant_type":"refresh_token","scope":"read  read",)" + token + "}", "body"},
        {R"({"grant_type":"refresh_token","scope":"",)" + token + "}", "body"},
        {R"({"grant_type":"refresh_token","code":"1",)" + token + "}", "body"},
        {R"({"grant_type":"refresh_token","Refresh_Token":"x",)" + token + "}", "body"},
        {R"({"grant_type":"refresh_token","scope":null,)" + token + "}", "json"},
        {R"({"grant_type":"refresh_token","grant_type":"refresh_token",)" + token + "}", "json"},
        {R"([{"grant_type":"refresh_token"}])", "json"},
        {"grant_type=refresh_token", "json"}}) {
    EXPECT_EQ(judged(body), reason) << body;
  }
}

TEST(Refresh, AFormIsReadInOneWay) {
  const std::string good = "grant_type=refresh_token&refresh_token=refresh-bulkhead-2";
  EXPECT_EQ(judged(good, true), "allow");
  for (const std::string& body :
       {good + "&", "&" + good, good + "&x", good + ";scope=read", good + "&scope=%zz", good + "&scope=%2",
        good + "&scope=\xc3\xa9", good + " ", good + "\n", good + "&grant_type=refresh_token",
        "grant_type=authorization_code&" + good, good + "&scope[]=read", std::string()}) {
    EXPECT_NE(judged(body, true), "allow") << body;
  }
  // Another spelling of the same name is the same name.
  EXPECT_EQ(judged(good + "&grant%5Ftype=authorization_code", true), "body");
}

TEST(Refresh, GoesUpWithTheRealToken) {
  const auto fields =
      judge_refresh(login(), slot(), false,
                    R"({"scope":"read user:x","grant_type":"refresh_token","refresh_token":"refresh-bulkhead-2"})");
  ASSERT_TRUE(fields);
  EXPECT_EQ(refresh_body(*fields, false, "re\"al"),
            R"({"scope":"read user:x","grant_type":"refresh_token","refresh_token":"re\"al"})");
  EXPECT_EQ(refresh_body(*fields, true, "1//re+al"),
            "scope=read+user%3Ax&grant_type=refresh_token&refresh_token=1%2F%2Fre%2Bal");
}

}  // namespace
}  // namespace bulkhead::grant

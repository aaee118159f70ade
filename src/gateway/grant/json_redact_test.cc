#include "gateway/grant/json_redact.h"

#include <gtest/gtest.h>

namespace bulkhead::grant {
namespace {

std::string redacted(const std::vector<std::string>& places, std::string_view body) {
  const auto out = redact_json(places, body);
  return out ? *out : "refused: " + out.error().text;
}

TEST(RedactJson, TakesValuesOutWhateverTheyAre) {
  EXPECT_EQ(redacted({"user.email"}, R"({"user":{"email":"a@b","id":1}})"),
            R"({"user":{"email":"[redacted]","id":1}})");
  EXPECT_EQ(redacted({"a"}, R"({"a":{"b":[1,{"c":2}]},"d":3})"), R"({"a":"[redacted]","d":3})");
  EXPECT_EQ(redacted({"a"}, R"({"a":[[],{}],"d":[4]})"), R"({"a":"[redacted]","d":[4]})");
  EXPECT_EQ(redacted({"list.*"}, R"({"list":[1,[2],{"x":3}],"end":null})"),
            R"({"list":["[redacted]","[redacted]","[redacted]"],"end":null})");
  EXPECT_EQ(redacted({"**.token"}, R"([{"token":"s"},{"deep":{"token":{"token":1}}}])"),
            R"([{"token":"[redacted]"},{"deep":{"token":"[redacted]"}}])");
}

TEST(RedactJson, SpellingsOfAKeyAreOneKey) {
  EXPECT_EQ(redacted({"email"}, R"({"EMAIL":"x","Email":"y"})"), R"({"EMAIL":"[redacted]","Email":"[redacted]"})");
  EXPECT_EQ(redacted({"email"}, "{\"\\u0065mail\":1}"), R"({"email":"[redacted]"})");
}

TEST(RedactJson, TheRestKeepsItsValue) {
  const std::string same =
      R"({"n":[0,-1,1.10,1e300,123456789012345678901234567890,true,false,null],"s":"ä\"\\\n","e":{},"l":[]})";
  EXPECT_EQ(redacted({"other"}, same), same);
  EXPECT_EQ(redacted({}, " [ 1 , 2 ] "), "[1,2]");
  EXPECT_EQ(redacted({}, "7"), "7");
}

TEST(RedactJson, WhatReadersUnderstandDifferentlyIsRefused) {
  for (const char* body : {"", "{", R"({"a":1,"a":2})", "[1]]", "\xef\xbb\xbf{}", "{\"a\":\"\xff\"}", "NaN"}) {
    EXPECT_TRUE(redacted({"a"}, body).starts_with("refused: ")) << body;
  }
  EXPECT_TRUE(redacted({"a"}, std::string(101, '[') + std::string(101, ']')).starts_with("refused: "));
  EXPECT_TRUE(redacted({"a..b"}, "{}").starts_with("refused: "));
}

std::string issued(std::string_view body, const std::vector<std::string>& redact = {}) {
  int number = 0;
  const auto out = redact_json(redact, body, {"token", "more.*"},
                               [&](std::string_view value) -> tl::expected<std::string, JsonRefusal> {
                                 if (value == "bad") return tl::unexpected(JsonRefusal{"bad"});
                                 return std::to_string(++number) + "<" + std::string(value) + ">";
                               });
  return out ? *out : "refused: " + out.error().text;
}

TEST(IssueJson, StringsBecomeSomethingElse) {
  EXPECT_EQ(issued(R"({"token":"a","expires_in":300,"more":["b","c"]})"),
            R"({"token":"1<a>","expires_in":300,"more":["2<b>","3<c>"]})");
  EXPECT_EQ(issued(R"({"Token":"\u0061\"","deep":{"token":"x"}})"), R"({"Token":"1<a\">","deep":{"token":"x"}})");
  EXPECT_EQ(issued(R"({"other":1})"), R"({"other":1})");
  EXPECT_EQ(issued(R"({"token":"a","more":["b"]})", {"token"}), R"({"token":"[redacted]","more":["1<b>"]})");
  EXPECT_EQ(issued(R"({"more":[["a"]]})", {"more"}), R"({"more":"[redacted]"})");
}

TEST(IssueJson, WhatIsNoStringIsRefused) {
  for (const char* body : {R"({"token":1})", R"({"token":null})", R"({"token":true})", R"({"token":1.5})",
                           R"({"token":{}})", R"({"token":["a"]})", R"({"token":{"token":"a"}})", R"({"more":[[]]})",
                           R"({"token":"bad"})", R"({"token":"a","token":"b"})"}) {
    EXPECT_TRUE(issued(body).starts_with("refused: ")) << body;
  }
}

}  // namespace
}  // namespace bulkhead::grant

#include "policy/json_path.h"

#include <gtest/gtest.h>

#include "policy/test_help.h"

namespace bulkhead {
namespace {

using testing_help::error_of;
using testing_help::must_load;

using Steps = std::vector<std::string>;

bool matches(std::string_view path, const Steps& steps) {
  const auto parsed = JsonPath::parse(path);
  EXPECT_TRUE(parsed) << path;
  return parsed && parsed->matches(steps);
}

TEST(JsonPath, StepsAreKeysElementsAndAnyNumber) {
  EXPECT_TRUE(matches("model", {"model"}));
  EXPECT_FALSE(matches("model", {"a", "model"}));
  EXPECT_FALSE(matches("model", {"model", "a"}));
  EXPECT_TRUE(matches("tools.*.type", {"tools", "", "type"}));
  EXPECT_TRUE(matches("tools.*.type", {"tools", "0", "type"}));
  EXPECT_FALSE(matches("tools.*.type", {"tools", "type"}));
  EXPECT_FALSE(matches("tools.*.type", {"tools", "", "", "type"}));
  EXPECT_TRUE(matches("**.type", {"type"}));
  EXPECT_TRUE(matches("**.type", {"a", "", "b", "type"}));
  EXPECT_TRUE(matches("messages.**.source.type", {"messages", "", "content", "", "source", "type"}));
  EXPECT_TRUE(matches("messages.**.source.type", {"messages", "source", "source", "type"}));
  EXPECT_FALSE(matches("messages.**.source.type", {"system", "", "source", "type"}));
  EXPECT_TRUE(matches("a.*", {"a", ""}));
  EXPECT_FALSE(matches("a", {}));
}

TEST(JsonPath, OneKeyForAllItsSpellings) {
  EXPECT_TRUE(matches("MCP_Servers", {fold_json("mcp_SERVERS")}));
  EXPECT_EQ(fold_json("mcp_\xc5\xbf"
                      "erver\xc5\xbf"),
            "mcp_servers");
  EXPECT_EQ(fold_json("to\xe2\x84\xaa"
                      "en"),
            "token");
  EXPECT_EQ(fold_json("\xc5"), "\xc5");
}

TEST(JsonPath, NothingElseIsAPlace) {
  for (const char* text :
       {"", ".", "a.", ".a", "a..b", "a b", "a[0]", "***", "a.**", "**", "**.a.**.b", "t*", "\xc3\xa4"}) {
    EXPECT_FALSE(JsonPath::parse(text)) << text;
  }
  EXPECT_FALSE(JsonPath::parse("a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a"));
}

TEST(JsonPath, ValuesAreTextsOrBeginnings) {
  EXPECT_TRUE(json_value_matches("url", "url"));
  EXPECT_FALSE(json_value_matches("url", "urls"));
  EXPECT_TRUE(json_value_matches("web_search*", "web_search_20250305"));
  EXPECT_TRUE(json_value_matches("*", ""));
  EXPECT_FALSE(json_value_matches("", "x"));
}

// The table of a policy that rules about bodies stand in.
std::string rule(const std::string& json, const std::string& head = "") {
  return "[[grant]]\nhost = \"api.example.com\"\n[[grant.allow]]\npath = \"/x\"\n" +
         (head.empty() ? "method = \"POST\"\ncontent_type = \"application/json\"\nmax_body = \"1MB\"\n" : head) + json;
}

TEST(JsonRules, AreRead) {
  const Document document = must_load(
      rule("[grant.allow.json]\ndeny_keys = [\"a\", \"b.*\"]\n[grant.allow.json.deny_values]\n\"**.t\" = [\"x*\"]\n"
           "[grant.allow.json.allow_values]\n\"tools.*.type\" = [\"custom\"]\n[grant.allow.json.require]\nmodel = "
           "[\"m\"]\n"));
  const Rule& loaded = document.grants.at(0).allow.at(0);
  ASSERT_TRUE(loaded.json);
  EXPECT_EQ(loaded.json->deny_keys, (std::vector<std::string>{"a", "b.*"}));
  EXPECT_EQ(loaded.json->deny_values.at("**.t"), std::vector<std::string>{"x*"});
  EXPECT_EQ(loaded.json->allow_values.at("tools.*.type"), std::vector<std::string>{"custom"});
  EXPECT_EQ(loaded.json->require.at("model"), std::vector<std::string>{"m"});
  EXPECT_FALSE(must_load(rule("")).grants.at(0).allow.at(0).json);
}

TEST(JsonRules, WhatCannotBeJudgedIsAnError) {
  const std::string json = "[grant.allow.json]\ndeny_keys = [\"a\"]\n";
  const auto error = [](const std::string& text) { return error_of(text); };
  EXPECT_NE(error(rule(json, "method = \"POST\"\nmax_body = \"1MB\"\n")).find("content_type"), std::string::npos);
  EXPECT_NE(error(rule(json, "method = \"POST\"\ncontent_type = \"application/json\"\n")).find("max_body"),
            std::string::npos);
  EXPECT_NE(
      error(rule(json, "method = \"POST\"\ncontent_type = \"application/json\"\nmax_body = \"1GB\"\n")).find("128MB"),
      std::string::npos);
  EXPECT_NE(error(rule(json, "method = [\"GET\", \"POST\"]\ncontent_type = \"application/json\"\nmax_body = 1\n"))
                .find("no body"),
            std::string::npos);
  EXPECT_NE(error(rule("[grant.allow.json]\ndeny_keys = [\"a[0]\"]\n")).find("a[0]"), std::string::npos);
  EXPECT_NE(error(rule("[grant.allow.json]\ndeny_key = [\"a\"]\n")).find("did you mean `deny_keys`"),
            std::string::npos);
  EXPECT_NE(error(rule("[grant.allow.json.require]\n\"a..b\" = [\"x\"]\n")).find("a..b"), std::string::npos);
  EXPECT_NE(error(rule("[grant.allow.json.require]\na = []\n")).find("empty list"), std::string::npos);
  EXPECT_NE(error(rule("[grant.allow.json.require]\na = [\"x*y\"]\n")).find("at its end only"), std::string::npos);
  EXPECT_NE(error(rule("[grant.allow.json.require]\na = \"x\"\n")).find("array of strings"), std::string::npos);
}

TEST(JsonPath, TheObjectThatHoldsAMember) {
  const auto holds = [](const char* path, const std::vector<std::string>& steps) {
    return JsonPath::parse_object(path)->holds(steps);
  };
  EXPECT_TRUE(holds("a", {"a", "x"}));
  EXPECT_TRUE(holds("A.*", {"a", "", "x"}));
  EXPECT_TRUE(holds("a.**", {"a", "x"}));
  EXPECT_TRUE(holds("a.**", {"a", "b", "c", "x"}));
  EXPECT_TRUE(holds("**", {"x"}));
  EXPECT_FALSE(holds("a", {"a"}));
  EXPECT_FALSE(holds("a", {"x"}));
  EXPECT_FALSE(holds("a", {"a", "b", "x"}));
  EXPECT_FALSE(holds("a.*", {"a", "x"}));
  EXPECT_FALSE(holds("a", {}));
  EXPECT_FALSE(JsonPath::parse("a.**"));
}

}  // namespace
}  // namespace bulkhead

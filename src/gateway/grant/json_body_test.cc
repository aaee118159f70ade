#include "gateway/grant/json_body.h"

#include <gtest/gtest.h>

namespace bulkhead::grant {
namespace {

const JsonRules messages{
    .deny_keys = {"mcp_servers", "container", "input.**.file_id"},
    .deny_values = {{"messages.**.source.type", {"url", "file"}}, {"stream_options.n", {"1"}}},
    .allow_values = {{"tools.*.type", {"custom", "bash_*"}}, {"input.**.image_url", {"data:*"}}},
    .require = {{"model", {"claude-*"}}},
};

std::string judge(std::string_view body, const JsonRules& rules = messages) {
  const auto judged = judge_json(rules, body);
  return judged ? "" : judged.error().text;
}

TEST(JsonBody, WhatTheRuleAllowsPasses) {
  for (const char* body : {
           R"({"model":"claude-x"})",
           " {\"model\" : \"claude-x\"}\n",
           R"({"model":"claude-x","tools":[{"name":"a"},{"type":"custom"},{"type":"bash_20250124"}]})",
           R"({"model":"claude-x","tools":[]})",
           R"({"model":"claude-x","messages":[{"content":[{"type":"image","source":{"type":"base64"}}]}]})",
           // Only a text: what a model reads is not what a server does.
           R"({"model":"claude-x","messages":[{"content":"{\"source\":{\"type\":\"url\"},\"mcp_servers\":1}"}]})",
           // The same words elsewhere mean something else.
           R"({"model":"claude-x","tools":[{"input_schema":{"properties":{"mcp_servers":{"type":"string"}}}}]})",
           R"({"model":"claude-x","stream_options":{"n":2}})",
           R"({"model":"claude-x","input":[{"image_url":"data:image/png;base64,AA=="}]})",
           R"({"model":"claude-x","a":1,"A":2,"b":[1.5e3,-0,true,null,"\u00e4\ud83d\ude00"]})",
       }) {
    EXPECT_EQ(judge(body), "") << body;
  }
}

struct Case {
  const char* why;  // a part of what is said
  const char* body;
};

TEST(JsonBody, WhatItDoesNotAllowIsRefused) {  // A02, A12, C05
  const Case cases[] = {
      {"mcp_servers", R"({"model":"claude-x","mcp_servers":[]})"},
      {"mcp_servers", R"({"mcp_servers":null,"model":"claude-x"})"},
      {"is not granted", R"({"model":"claude-x","\u006dcp_servers":[]})"},
      {"is not granted", R"({"model":"claude-x","MCP_Servers":[]})"},
      {"is not granted",
       "{\"model\":\"claude-x\",\"mcp_\xc5\xbf"
       "ervers\":[]}"},
      {"container", R"({"model":"claude-x","container":{"skills":[]}})"},
      {"file_id", R"({"model":"claude-x","input":[{"content":[{"file_id":"f"}]}]})"},
      {"web_search", R"({"model":"claude-x","tools":[{"type":"web_search_20250305"}]})"},
      {"web_fetch", R"({"model":"claude-x","tools":[{"type":"custom"},{"type":"web_fetch_20250910"}]})"},
      {"web_fetch", R"({"model":"claude-x","Tools":[{"Type":"web_fetch_20250910"}]})"},
      {"null", R"({"model":"claude-x","tools":[{"type":null}]})"},
      {"one value", R"({"model":"claude-x","tools":[{"type":["web_fetch_20250910"]}]})"},
      {"one value", R"({"model":"claude-x","tools":[{"type":{"a":1}}]})"},
      {"is not granted", R"({"model":"claude-x","tools":{"0":{"type":"code_execution_20250825"}}})"},
      {"url", R"({"model":"claude-x","messages":[{"content":[{"source":{"type":"url","url":"https://e/?d"}}]}]})"},
      {"url", R"({"model":"claude-x","messages":[{"content":[{"source":{"type":"\u0075rl"}}]}]})"},
      {"URL", R"({"model":"claude-x","messages":[{"content":[{"source":{"type":"URL"}}]}]})"},
      {"url", R"({"model":"claude-x","messages":[{"content":[{"source":{"type":["url"]}}]}]})"},
      {"url", R"({"model":"claude-x","messages":[{"content":[{"source":{"type":[["x",["url"]]]}}]}]})"},
      {"https://", R"({"model":"claude-x","input":[{"content":[{"image_url":"https://e.example/?secret"}]}]})"},
      {"one value", R"({"model":"claude-x","input":[{"content":[{"image_url":{"url":"https://e.example/"}}]}]})"},
      {"n = \"1\"", R"({"model":"claude-x","stream_options":{"n":1}})"},
      {"form", R"({"model":"claude-x","stream_options":{"n":1.0}})"},
      {"form", R"({"model":"claude-x","stream_options":{"n":1e0}})"},
      {"gpt", R"({"model":"gpt-5"})"},
      {"one value", R"({"model":["claude-x"]})"},
      {"has to be there", R"({"messages":[]})"},
      {"has to be there", R"({"Model":"claude-x"})"},
      {"has to be there", R"({"a":{"model":"claude-x"}})"},
      {"has to be there", "[]"},
      {"has to be there", "\"claude-x\""},
      {"twice", R"({"model":"claude-x","model":"claude-y"})"},
      {"twice", R"({"model":"claude-x","a":{"b":1,"\u0062":2}})"},
      {"byte order mark", "\xef\xbb\xbf{\"model\":\"claude-x\"}"},
      {"NUL", R"({"model":"claude-x","mcp_servers\u0000":1})"},
      {"no JSON", ""},
      {"no JSON", "   "},
      {"no JSON", R"({"model":"claude-x"}{})"},
      {"no JSON", R"({"model":"claude-x"},)"},
      {"no JSON", R"({"model":"claude-x",})"},
      {"no JSON", R"({"model":"claude-x" /* */})"},
      {"no JSON", R"({'model':'claude-x'})"},
      {"no JSON", R"({"model":"claude-x","a":NaN})"},
      {"no JSON", R"({"model":"claude-x","a":01})"},
      {"no JSON", R"({"model":"claude-x","a":1e999})"},
      {"no JSON", R"({"model":"claude-x","a":"\ud800"})"},
      {"no JSON", "{\"model\":\"claude-x\",\"a\":\"\xc0\xaf\"}"},
      {"no JSON", "{\"model\":\"claude-x\",\"a\":\"\xff\"}"},
      {"no JSON", "{\"model\":\"claude-x\",\"a\":\"\n\"}"},
      {"no JSON", "{\"model\":\"claude-x\"\v}"},
      {"no JSON", "m\0o"},
      {"no JSON", "model=claude-x"},
  };
  for (const Case& one : cases) {
    const std::string said = judge(one.body);
    EXPECT_NE(said.find(one.why), std::string::npos) << one.body << "\n  said: " << said;
    EXPECT_EQ(said.find('\n'), std::string::npos);
  }
  // Utf-16 says the same with other bytes.
  EXPECT_NE(judge(std::string_view("{\0\"\0m\0\"\0", 8)), "");
  const std::string good = R"({"model":"claude-x"})";
  EXPECT_NE(judge(good + '\0'), "");
  EXPECT_NE(judge(good + '\0' + R"({"mcp_servers":[]})"), "");
}

TEST(JsonBody, ClosedObjectsHoldNothingElse) {  // A02, C05
  const JsonRules rules{.deny_keys = {},
                        .deny_values = {},
                        .allow_values = {},
                        .require = {},
                        .allow_keys = {"channel", "text", "tools.*.functions", "tools.functions", "deep.**.x"}};
  for (const char* body : {
           "{}",
           R"({"channel":"C1","text":"{\"token\":1}"})",
           R"({"text":{"anything":{"goes":1}}})",
           R"({"text":[{"token":1}]})",
       }) {
    EXPECT_EQ(judge(body, rules), "") << body;
  }
  for (const char* body : {
           R"({"channel":"C1","token":"xoxb"})",
           R"({"Channel":"C1"})",
           R"({"ch\u0061nnel":"C1","t\u006fken":"x"})",
           R"({"":1})",
           R"({"channel ":"C1"})",
           R"({"tools":[]})",  // not listed itself
           R"([{"token":1}])",
           "[]",
           "\"channel\"",
           "null",
       }) {
    EXPECT_NE(judge(body, rules), "") << body;
  }
  JsonRules tools = rules;
  tools.allow_keys = {"tools.*.functions", "tools.functions", "deep.**.x"};
  EXPECT_EQ(judge(R"({"tools":[{"functions":[{"name":"search"}]},{}],"other":1,"deep":{"x":{"x":1}}})", tools), "");
  for (const char* body : {
           R"({"tools":[{"search":{}}]})",
           R"({"tools":[{"functions":[],"search":{}}]})",
           R"({"Tools":[{"search":{}}]})",
           R"({"tools":[{"Functions":[]}]})",
           R"({"tools":{"search":{}}})",
           R"({"tools":{"0":{"search":{}}}})",
           R"({"deep":{"x":{"y":1}}})",
           R"({"deep":[[{"y":1}]]})",
       }) {
    EXPECT_NE(judge(body, tools), "") << body;
  }
}

TEST(JsonBody, AWordIsNotTheTextThatSpellsIt) {  // A11: "false" is true to many a server
  const JsonRules rules{.deny_keys = {},
                        .deny_values = {{"deny", {"true"}}},
                        .allow_values = {{"maybe", {"null", "x*"}}, {"any", {"*"}}},
                        .require = {{"unfurl", {"false"}}}};
  EXPECT_EQ(judge(R"({"unfurl":false,"maybe":null,"any":"true"})", rules), "");
  EXPECT_EQ(judge(R"({"unfurl":false,"maybe":"xy"})", rules), "");
  EXPECT_NE(judge(R"({"unfurl":"false"})", rules).find("is the text"), std::string::npos);
  EXPECT_NE(judge(R"({"unfurl":"False"})", rules), "");
  EXPECT_NE(judge(R"({"unfurl":0})", rules), "");
  EXPECT_NE(judge(R"({"unfurl":null})", rules), "");
  EXPECT_NE(judge(R"({"unfurl":false,"maybe":"null"})", rules), "");
  EXPECT_NE(judge(R"({"unfurl":false,"deny":"true"})", rules), "");  // denied in either form
  EXPECT_NE(judge(R"({"unfurl":false,"deny":true})", rules), "");
}

TEST(JsonBody, DepthAndSizeAreBounded) {
  const auto nested = [](std::size_t depth) {
    return R"({"model":"claude-x","a":)" + std::string(depth, '[') + std::string(depth, ']') + "}";
  };
  EXPECT_EQ(judge(nested(max_json_depth - 1)), "");
  EXPECT_NE(judge(nested(max_json_depth)).find("deep"), std::string::npos);
  EXPECT_NE(judge(std::string(3'000'000, '[')).find("deep"), std::string::npos);
  std::string wide = R"({"model":"claude-x")";
  for (int i = 0; i < 200'000; ++i) wide += ",\"k" + std::to_string(i) + "\":" + std::to_string(i);
  EXPECT_EQ(judge(wide + "}"), "");
}

TEST(JsonBody, ARuleThatCannotBeReadGrantsNothing) {
  JsonRules rules;
  rules.deny_keys = {"a..b"};
  EXPECT_NE(judge("{}", rules), "");
  EXPECT_EQ(judge("{}", JsonRules{}), "");
}

}  // namespace
}  // namespace bulkhead::grant

#include "mcp/request.h"

#include <gtest/gtest.h>

namespace bulkhead::mcp {
namespace {

using nlohmann::json;

http::RequestHead head_with(lane::Headers headers, const char* method = "POST") {
  http::RequestHead head;
  head.method = method;
  head.target = endpoint;
  head.headers = {{"content-type", "application/json"}, {"accept", "application/json, text/event-stream"}};
  for (auto& header : headers) head.headers.push_back(std::move(header));
  head.body = lane::BodyKind::length;
  head.body_length = 2;
  return head;
}

std::string alone(const char* method, const json& params = json::object()) {
  json message{{"jsonrpc", "2.0"}, {"id", 7}, {"method", method}, {"params", params}};
  message["params"]["_meta"] = {{version_key, stateless_version}};
  return message.dump();
}

int code_of(const http::RequestHead& head, std::string_view body) {
  const auto judged = judge_message(head, body);
  return judged ? 0 : judged.error().body["error"]["code"].get<int>();
}

TEST(McpRequest, AWeightOfNoughtIsANo) {
  for (const char* accept : {"application/json;q=0, text/event-stream", "application/json; Q=0.000, text/event-stream",
                             "application/json, text/*;q=0", "application/json,text/event-stream;a=b;q=0.0", ""}) {
    http::RequestHead head = head_with({});
    head.headers[1].second = accept;
    const auto refusal = refuse_head(head);
    ASSERT_TRUE(refusal) << accept;
    EXPECT_EQ(refusal->status, 406) << accept;
  }
  for (const char* accept : {"*/*", "application/json;q=0.001, text/event-stream;q=1.000", "*/*;q=0.1,x/y;q=0"}) {
    http::RequestHead head = head_with({});
    head.headers[1].second = accept;
    EXPECT_FALSE(refuse_head(head)) << accept;
  }
}

TEST(McpRequest, FieldsThatStandInTwoLinesAreOneList) {
  http::RequestHead head = head_with({{"accept", "text/event-stream"}});
  head.headers[1].second = "application/json";
  EXPECT_FALSE(refuse_head(head));
  EXPECT_EQ(refuse_head(head_with({{"content-type", "application/json"}}))->status, 415);
}

TEST(McpRequest, WhatAPageSendsIsRefusedFirst) {
  http::RequestHead head = head_with({{"origin", ""}});
  head.target = "/elsewhere";
  EXPECT_EQ(refuse_head(head)->status, 403);
  EXPECT_EQ(refuse_head(head_with({{"origin", "null"}}, "DELETE"))->status, 403);
}

TEST(McpRequest, HeadersSayWhatTheMessageSays) {
  const std::string call = alone("tools/call", {{"name", "run_command"}});
  const lane::Headers right{
      {"mcp-protocol-version", stateless_version}, {"mcp-method", "tools/call"}, {"mcp-name", "run_command"}};
  EXPECT_EQ(code_of(head_with(right), call), 0);
  for (std::size_t i = 0; i < right.size(); ++i) {
    lane::Headers headers = right;
    headers.erase(headers.begin() + static_cast<std::ptrdiff_t>(i));
    EXPECT_EQ(code_of(head_with(headers), call), -32020) << i;
    headers = right;
    headers.push_back(right[i]);
    EXPECT_EQ(code_of(head_with(headers), call), -32020) << i;
    headers = right;
    headers[i].second += "x";
    EXPECT_NE(code_of(head_with(headers), call), 0) << i;
  }
  EXPECT_EQ(code_of(head_with(right), alone("tools/call", {{"name", 7}})), -32020);
  EXPECT_EQ(code_of(head_with(right), alone("tools/list")), -32020);
}

TEST(McpRequest, NamesInBase64AreReadAsTheyAreMeant) {
  const auto named = [](const std::string& name, const std::string& header) {
    return code_of(
        head_with({{"mcp-protocol-version", stateless_version}, {"mcp-method", "tools/call"}, {"mcp-name", header}}),
        alone("tools/call", {{"name", name}}));
  };
  EXPECT_EQ(named("a", "=?base64?YQ==?="), 0);
  EXPECT_EQ(named("ab", "=?base64?YWI=?="), 0);
  EXPECT_EQ(named("abc", "=?base64?YWJj?="), 0);
  EXPECT_EQ(named("", std::string("=?base64?") + "?="), 0);
  EXPECT_EQ(named("=?base64?", "=?base64?"), 0);
  EXPECT_EQ(named("=?base64?YQ==?=", "=?base64?YQ==?="), -32020);
  for (const char* wrong : {"=?base64?YQ=?=", "=?base64?====?=", "=?base64?Y Q==?=", "=?BASE64?YQ==?=", "a "}) {
    EXPECT_EQ(named("a", wrong), -32020) << wrong;
  }
}

TEST(McpRequest, AnEmptySessionIsNone) {
  EXPECT_FALSE(*session_named(head_with({})));
  EXPECT_EQ(session_named(head_with({{"mcp-session-id", ""}})).error().status, 404);
  EXPECT_EQ(session_named(head_with({{"mcp-session-id", "a b"}})).error().status, 404);
  EXPECT_EQ(session_named(head_with({{"mcp-session-id", std::string(129, 'a')}})).error().status, 404);
  EXPECT_EQ(session_named(head_with({{"mcp-session-id", "a"}, {"mcp-session-id", "a"}})).error().status, 400);
}

}  // namespace
}  // namespace bulkhead::mcp

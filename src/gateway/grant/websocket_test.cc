// ATTACKS N17: what a grant for a WebSocket opens, and what none but such a one does.
#include <gtest/gtest.h>

#include "gateway/grant/carrier.h"
#include "gateway/grant/grant.h"
#include "policy/load.h"

namespace bulkhead::grant {
namespace {

std::vector<Grant> grants() {
  auto document = load_document(R"(version = 1
[[grant]]
host = "feed.example.com"
protocol = "wss"
[[grant.allow]]
path = "/v1/{channel}"
query = ["since"]
headers = ["sec-websocket-protocol"]
[[grant.allow]]
path = "/bare"
max_body = "1KB"
[[grant]]
host = "plain.example.com"
protocol = "ws"
[[grant.allow]]
path = "/"
[[grant]]
host = "web.example.com"
[[grant.allow]]
method = "GET"
path = "/**"
headers = ["*"]
)",
                                "p.toml", "user");
  EXPECT_TRUE(document) << (document ? "" : document.error().message);
  return document ? document->grants : std::vector<Grant>();
}

RequestHead opening(const std::string& host, const std::string& target, const lane::Headers& more = {},
                    const std::string& scheme = "wss") {
  lane::Headers headers{{"upgrade", "websocket"},
                        {"connection", "Upgrade"},
                        {"sec-websocket-version", "13"},
                        {"sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="},
                        {"sec-websocket-extensions", "permessage-deflate"}};
  headers.insert(headers.end(), more.begin(), more.end());
  return {.method = "GET",
          .scheme = scheme,
          .host = host,
          .port = static_cast<std::uint16_t>(scheme == "wss" || scheme == "https" ? 443 : 80),
          .target = target,
          .headers = headers};
}

Decision decide(const RequestHead& head) {
  return judge(grants(), {}, head);
}

TEST(WebSocket, OnlyAGrantOfItsKindOpensOne) {
  const std::string feed = "feed.example.com";
  const std::pair<RequestHead, const char*> cases[] = {
      {opening(feed, "/v1/news"), ""},
      {opening(feed, "/v1/news?since=1"), ""},
      {opening(feed, "/bare"), ""},
      {opening("plain.example.com", "/", {}, "ws"), ""},
      {opening("web.example.com", "/x"), "no-grant"},
      {opening("web.example.com", "/x", {}, "ws"), "no-grant"},
      {opening(feed, "/v1/news", {}, "https"), "no-grant"},
      {opening("plain.example.com", "/", {}, "http"), "no-grant"},
      {opening("plain.example.com", "/", {}, "wss"), "no-grant"},
      {opening(feed, "/v1/a/b"), "path"},
      {opening(feed, "/v1/news?key=1"), "query"},
      {opening(feed, "/v1/news", {{"x-app", "1"}}), "header"},
      {opening(feed, "/v1/news", {{"authorization", "Bearer x"}}), "foreign-credential"},
      {opening(feed, "/v1/news", {{"cookie", "a=b"}}), "foreign-credential"},
      {opening(feed, "/v1/news", {{"content-type", "text/plain"}}), "body"},
      {opening(feed, "/v1/news", {{"sec-websocket-protocol", "chat, v2.chat"}}), ""},
      {opening(feed, "/bare", {{"sec-websocket-protocol", "chat"}}), "header"},
  };
  for (const auto& [head, reason] : cases) {
    EXPECT_EQ(decide(head).reason, reason) << head.scheme << " " << head.host << head.target;
  }
  RequestHead body = opening(feed, "/bare");
  body.body = lane::BodyKind::streamed;
  EXPECT_EQ(decide(body).reason, "body");
}

TEST(WebSocket, AnOfferIsOfItsKindAndLoads) {
  for (const auto& [head, line] : {std::pair{opening("new.example.com", "/feed"), "protocol = \"wss\"\n"},
                                   std::pair{opening("new.example.com", "/feed", {}, "ws"), "protocol = \"ws\"\n"}}) {
    const Decision denied = decide(head);
    EXPECT_EQ(denied.reason, "no-grant");
    EXPECT_NE(denied.text.find("no WebSocket"), std::string::npos) << denied.text;
    EXPECT_NE(denied.add.find(line), std::string::npos) << denied.add;
    EXPECT_EQ(denied.add.find("method"), std::string::npos);
    EXPECT_EQ(denied.add.find("port"), std::string::npos);
    const auto loaded = load_document("version = 1\n" + denied.add, "p.toml", "user");
    ASSERT_TRUE(loaded) << loaded.error().message;
    std::vector<Grant> now = loaded->grants;
    EXPECT_EQ(judge(now, {}, head).verdict, Verdict::allow);
  }
}

TEST(WebSocket, SubprotocolsThatCarryKeys) {
  for (const char* list :
       {"openai-insecure-api-key.sk-1", "realtime, openai-insecure-api-key.sk-1",
        "base64url.bearer.authorization.k8s.io.dG9rZW4", "access_token, abc", "bearer, abc", "X-Api-Key",
        "x, "
        "0123456789012345678901234567890123456789012345678901234567890123456"}) {
    EXPECT_TRUE(protocol_carries_credential(list)) << list;
    EXPECT_EQ(decide(opening("feed.example.com", "/v1/news", {{"sec-websocket-protocol", list}})).reason,
              "foreign-credential")
        << list;
  }
  for (const char* list : {"chat", "graphql-transport-ws, graphql-ws", "mqtt", "v4.channel.k8s.io", "realtime"}) {
    EXPECT_FALSE(protocol_carries_credential(list)) << list;
  }
}

TEST(WebSocket, WhatIsOfOneConnectionGoesNowhere) {
  const lane::Headers up = upstream_headers(
      opening("feed.example.com", "/v1/news", {{"sec-websocket-protocol", "chat"}, {"origin", "https://a"}}), nullptr);
  EXPECT_EQ(up, (lane::Headers{{"sec-websocket-protocol", "chat"}, {"origin", "https://a"}}));
}

}  // namespace
}  // namespace bulkhead::grant

#include "gateway/websocket/handshake.h"

#include <gtest/gtest.h>

#include <set>

namespace bulkhead::websocket {
namespace {

constexpr const char* key = "dGhlIHNhbXBsZSBub25jZQ==";
constexpr const char* accept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";  // RFC 6455 §1.3

TEST(Handshake, TheRfcsOwnExample) {
  EXPECT_EQ(accept_of(key), accept);
}

TEST(Handshake, KeysAreRandom) {
  std::set<std::string> keys;
  for (int i = 0; i < 20; ++i) keys.insert(make_key());
  EXPECT_EQ(keys.size(), 20U);
  for (const std::string& one : keys) EXPECT_TRUE(one.size() == 24 && one.ends_with("==")) << one;
}

TEST(Handshake, AServersAnswerIsJudged) {
  const lane::Headers good{
      {"upgrade", "WebSocket"}, {"connection", "keep-alive, Upgrade"}, {"sec-websocket-accept", accept}};
  const auto with = [&](const std::string& name, const std::string& value) {
    lane::Headers out = good;
    for (auto& header : out) {
      if (header.first != name) continue;
      header.second = value;
      return out;
    }
    out.emplace_back(name, value);
    return out;
  };
  std::string protocol;
  EXPECT_EQ(judge_switch(good, key, {}, protocol), std::nullopt);
  EXPECT_EQ(protocol, "");
  EXPECT_EQ(judge_switch(with("sec-websocket-protocol", "chat"), key, {"v2", "chat"}, protocol), std::nullopt);
  EXPECT_EQ(protocol, "chat");

  const auto refused = [&](const lane::Headers& headers, const char* why) {
    const auto wrong = judge_switch(headers, key, {"chat"}, protocol);
    ASSERT_TRUE(wrong) << why;
    EXPECT_NE(wrong->find(why), std::string::npos) << *wrong;
  };
  refused({{"connection", "upgrade"}, {"sec-websocket-accept", accept}}, "other than WebSocket");
  refused(with("upgrade", "h2c"), "other than WebSocket");
  refused(with("upgrade", "websocket, h2c"), "other than WebSocket");
  refused(with("connection", "close"), "not say that the connection");
  refused(with("sec-websocket-accept", accept_of("AAAAAAAAAAAAAAAAAAAAAA==")), "Accept");
  refused(with("sec-websocket-accept", "S3PPLMBITXAQ9KYGZZHZRBK+XOO="), "Accept");
  refused({{"upgrade", "websocket"}, {"connection", "upgrade"}}, "Accept");
  lane::Headers twice = good;
  twice.emplace_back("sec-websocket-accept", accept);
  refused(twice, "Accept");
  refused(with("sec-websocket-extensions", "permessage-deflate"), "extension");
  refused(with("sec-websocket-protocol", "mqtt"), "subprotocol");
  refused(with("sec-websocket-protocol", ""), "subprotocol");
  refused(with("sec-websocket-protocol", "chat, chat"), "subprotocol");
}

TEST(Handshake, OffersAreLists) {
  EXPECT_EQ(offered_protocols({{"sec-websocket-protocol", "a,  b"}}), (std::vector<std::string>{"a", "b"}));
  EXPECT_TRUE(offered_protocols({{"x", "y"}}).empty());
}

}  // namespace
}  // namespace bulkhead::websocket

// WebSockets, as a client and the egress behind see front's part of them.
#include <gtest/gtest.h>

#include "gateway/front/harness_test.h"
#include "gateway/websocket/frames.h"
#include "gateway/websocket/handshake.h"

namespace bulkhead::front {
namespace {

using lane::Message;
using lane::Opcode;
using namespace std::string_literals;

const std::string host = "ws.example.com";
const std::string key = "dGhlIHNhbXBsZSBub25jZQ==";

std::string opening(const std::string& target = "/switch", const std::string& more = {}, const std::string& to = host) {
  return get(to, target,
             "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + key +
                 "\r\n" + more);
}

std::string from_client(const Message& part) {
  return websocket::frame(websocket::Sender::client, part);
}

struct WebSocketTest : testing::Test {
  WebSocketTest() : gateway(Run::library, limits()) {}
  static Limits limits() {
    Limits out;
    out.close = std::chrono::milliseconds(300);
    out.linger = std::chrono::milliseconds(200);
    out.tick = std::chrono::milliseconds(20);
    return out;
  }
  // The head of the answer.
  static std::string open(Client& client, const std::string& request = opening()) {
    EXPECT_TRUE(client.send(request));
    std::string head;
    while (head.find("\r\n\r\n") == std::string::npos) {
      const std::string more = client.raw(1);
      if (more.empty()) break;
      head += more;
    }
    return head;
  }
  // Messages and control frames until a close frame, `count` of them, or the end.
  static std::vector<Message> listen(Client& client, std::size_t count = 100) {
    websocket::Reader reader(websocket::Sender::server);
    std::vector<Message> out;
    while (out.size() < count && (out.empty() || out.back().opcode != Opcode::close)) {
      const std::string bytes = client.raw();
      if (bytes.empty()) break;
      std::string_view rest = bytes;
      for (;;) {
        auto part = reader.next(rest);
        EXPECT_TRUE(part) << part.error();
        if (!part || !*part) break;
        if ((*part)->opcode != Opcode::continuation) {
          out.push_back(**part);
        } else {
          out.back().data += (*part)->data;
        }
      }
    }
    return out;
  }
  static int code(const Message& message) {
    if (message.opcode != Opcode::close || message.data.size() < 2) return 0;
    return static_cast<unsigned char>(message.data[0]) << 8 | static_cast<unsigned char>(message.data[1]);
  }

  Gateway gateway;
};

TEST_F(WebSocketTest, MessagesBothWays) {
  Client client(80);
  const std::string head = open(client, opening("/switch?chosen",
                                                "Sec-WebSocket-Protocol: a, b\r\n"
                                                "Sec-WebSocket-Extensions: permessage-deflate\r\n"));
  EXPECT_TRUE(head.starts_with("HTTP/1.1 101 ")) << head;
  EXPECT_NE(head.find("Sec-WebSocket-Accept: " + websocket::accept_of(key) + "\r\n"), std::string::npos) << head;
  EXPECT_NE(head.find("Sec-WebSocket-Protocol: b\r\n"), std::string::npos) << head;
  EXPECT_EQ(head.find("Extensions"), std::string::npos);
  client.send(from_client({Opcode::text, true, "hello"}) + from_client({Opcode::ping, true, "p"}) +
              from_client({Opcode::binary, false, "a"}) + from_client({Opcode::continuation, true, "b"}) +
              from_client({Opcode::close, true, websocket::close_payload(4000, "done")}));
  const auto got = listen(client);
  ASSERT_EQ(got.size(), 4U);
  EXPECT_EQ(got[0].data, "hello");
  EXPECT_EQ(got[1].opcode, Opcode::ping);
  EXPECT_EQ(got[2].data, "ab");
  EXPECT_EQ(code(got[3]), 4000);
  EXPECT_TRUE(client.ended());
  const auto requests = gateway.egress().requests();
  ASSERT_EQ(requests.size(), 1U);
  EXPECT_EQ(requests[0].scheme, "ws");
  EXPECT_EQ(requests[0].headers, (lane::Headers{{"sec-websocket-protocol", "a, b"}}));
  const auto event = gateway.event([](const nlohmann::json& e) { return e.value("scheme", "") == "ws"; });
  EXPECT_EQ(event["status"], 101);
  EXPECT_EQ(event["decision"], "allow");
  EXPECT_EQ(event["rule"], "");
  EXPECT_EQ(event["messages_up"], 2);
  EXPECT_EQ(event["messages_down"], 2);
  EXPECT_EQ(event["bytes_up"], 14);
  EXPECT_EQ(event["bytes_down"], 14);
}

TEST_F(WebSocketTest, OverTls) {
  Client client(443);
  ASSERT_TRUE(client.secure(gateway, host));
  EXPECT_TRUE(open(client).starts_with("HTTP/1.1 101 "));
  client.send(from_client({Opcode::text, true, "hello"}));
  EXPECT_EQ(listen(client, 1).at(0).data, "hello");
  EXPECT_EQ(gateway.egress().requests().at(0).scheme, "wss");
}

TEST_F(WebSocketTest, OnlyByAGrantOfItsKind) {
  for (const std::string& to : {"plain.example.com"s, "other.example.com"s}) {
    Client client(80);
    const auto reply = client.ask(opening("/switch", "", to));
    ASSERT_TRUE(reply);
    EXPECT_EQ(reply->status, 403);
    EXPECT_NE(reply->body.find("protocol = \"ws\""), std::string::npos) << reply->body;
  }
  Client https(443);
  ASSERT_TRUE(https.secure(gateway, "api.example.com"));
  EXPECT_EQ(https.ask(opening("/switch", "", "api.example.com"))->status, 403);
  Client plain(80);
  EXPECT_EQ(plain.ask(get(host, "/hello"))->status, 403) << "and such a grant opens nothing else";
  EXPECT_TRUE(gateway.egress().requests().empty());
}

// Whatever egress says: where no WebSocket was asked for there is none, and none with what was not offered.
TEST_F(WebSocketTest, FrontDoesNotTakeEgresssWord) {
  Client plain(80);
  EXPECT_EQ(plain.ask(get("plain.example.com", "/switch", "Sec-WebSocket-Key: " + key + "\r\n"))->status, 502);
  Client chosen(80);
  EXPECT_EQ(chosen.ask(opening("/switch?chosen", "Sec-WebSocket-Protocol: a\r\n"))->status, 502);
  for (const char* word : {"wrong order", "wrong frame"}) {
    Client client(80);
    ASSERT_TRUE(open(client).starts_with("HTTP/1.1 101 "));
    client.send(from_client({Opcode::text, true, word}));
    const auto got = listen(client);
    ASSERT_EQ(got.size(), 1U) << word;
    EXPECT_EQ(code(got[0]), 1011) << word;
    EXPECT_TRUE(client.ended());
  }
}

TEST_F(WebSocketTest, ItsEndIsSaid) {
  for (const auto& [word, expected] : {std::pair{"fail", 1008}, std::pair{"large", 1009}, std::pair{"die", 1011}}) {
    Client client(80);
    ASSERT_TRUE(open(client).starts_with("HTTP/1.1 101 "));
    client.send(from_client({Opcode::text, true, word}));
    const auto got = listen(client);
    ASSERT_EQ(got.size(), 1U) << word;
    EXPECT_EQ(code(got[0]), expected);
    EXPECT_NE(got[0].data.find("Bulkhead: "), std::string::npos);
    EXPECT_TRUE(client.ended());
  }
  EXPECT_EQ(gateway.event("budget")["decision"], "deny");
  EXPECT_EQ(gateway.event("body")["decision"], "deny");
  EXPECT_EQ(gateway.event("upstream")["decision"], "allow");
  EXPECT_NE(gateway.denial(), nullptr);
}

TEST_F(WebSocketTest, AClientsFramesAreReadStrictly) {
  for (const std::string& bad :
       {"\x81\x01x"s, "\xc1\x81\0\0\0\0x"s, "\x83\x81\0\0\0\0x"s, "\x80\x81\0\0\0\0x"s, "\x09\x80\0\0\0\0"s,
        "\x82\xfe\0\x01\0\0\0\0x"s, "\x88\x81\0\0\0\0x"s, "GET / HTTP/1.1\r\nHost: ws.example.com\r\n\r\n"s}) {
    Client client(80);
    ASSERT_TRUE(open(client).starts_with("HTTP/1.1 101 "));
    client.send(bad + from_client({Opcode::text, true, "behind"}));
    const auto got = listen(client);
    ASSERT_EQ(got.size(), 1U) << testing::PrintToString(bad);
    EXPECT_EQ(code(got[0]), 1002) << testing::PrintToString(bad);
    EXPECT_TRUE(client.ended());
  }
  EXPECT_EQ(gateway.event("websocket")["decision"], "allow");
}

TEST_F(WebSocketTest, AClientThatLeavesTakesItDown) {
  {
    Client client(80);
    ASSERT_TRUE(open(client).starts_with("HTTP/1.1 101 "));
    client.close();
    EXPECT_EQ(gateway.event("client-gone")["status"], 101);
  }
  for (int i = 0; i < 300 && gateway.egress().hangups() < 1; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  EXPECT_EQ(gateway.egress().hangups(), 1);
}

}  // namespace
}  // namespace bulkhead::front

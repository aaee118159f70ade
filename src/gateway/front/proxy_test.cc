// The proxy port and opaque connections, as the workload sees them.
#include "gateway/front/proxy.h"

#include <gtest/gtest.h>

#include "gateway/front/harness_test.h"

namespace bulkhead::front {
namespace {

using namespace std::string_literals;

struct ProxyTest : testing::Test {
  Gateway gateway{Run::library, Limits{}};

  // What the proxy port answers to a CONNECT; the client goes on.
  std::string connect(Client& client, const std::string& target, const std::string& more = {},
                      const std::string& version = "1.1") {
    client.send("CONNECT " + target + " HTTP/" + version + "\r\n" + more + "\r\n");
    std::string head;
    for (std::string byte; !head.ends_with("\r\n\r\n") && !(byte = client.raw(1)).empty();) head += byte;
    return head;
  }
  // What a server that speaks first says may be right behind it.
  static std::string bytes(Client& client, std::size_t count) {
    std::string out;
    for (std::string part; out.size() < count && !(part = client.raw(count - out.size())).empty();) out += part;
    return out;
  }
  std::string socks(Client& client, const std::string& request) {
    client.send("\x05\x01\x00"s);
    EXPECT_EQ(bytes(client, 2), "\x05\x00"s);
    client.send(request);
    return bytes(client, 10);
  }
};

std::string socks_name(const std::string& name, std::uint16_t port) {
  return "\x05\x01\x00\x03"s + static_cast<char>(name.size()) + name + static_cast<char>(port >> 8) +
         static_cast<char>(port & 0xff);
}

TEST_F(ProxyTest, ConnectLeadsToTheSameJudgement) {
  for (const char* version : {"1.1", "1.0"}) {
    Client client(proxy_port);
    EXPECT_TRUE(connect(client, "api.example.com:443", {}, version).starts_with("HTTP/1.1 200 "));
    ASSERT_TRUE(client.secure(gateway, "api.example.com"));
    const auto reply = client.ask(get("api.example.com", "/hello"));
    ASSERT_TRUE(reply);
    EXPECT_EQ(reply->body, "hello");
  }
  Client client(proxy_port);
  EXPECT_TRUE(connect(client, "evil.example.net:443", "Host: evil.example.net:443\r\n").starts_with("HTTP/1.1 200 "));
  ASSERT_TRUE(client.secure(gateway, "evil.example.net"));
  const auto reply = client.ask(get("evil.example.net", "/hello"));
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->status, 403) << "a proxy in front of the gateway opens nothing";
  EXPECT_EQ(gateway.egress().requests().size(), 2U);
}

TEST_F(ProxyTest, SocksLeadsToTheSameJudgement) {
  Client client(proxy_port);
  EXPECT_EQ(socks(client, socks_name("plain.example.com", 80)), "\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00"s);
  const auto reply = client.ask(get("plain.example.com", "/hello"));
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->body, "hello");
  Client literal(proxy_port);
  EXPECT_EQ(socks(literal, "\x05\x01\x00\x01\x0a\x00\x00\x01\x00\x50"s).substr(0, 2), "\x05\x00"s);
  const auto denied = literal.ask(get("10.0.0.1", "/"));
  ASSERT_TRUE(denied);
  EXPECT_EQ(denied->status, 403);
}

// Attacks T01 and T02: what was asked of the proxy is what has to follow.
TEST_F(ProxyTest, NoOtherHostBehindTheOneThatWasNamed) {
  Client client(proxy_port);
  connect(client, "api.example.com:443");
  ASSERT_TRUE(client.secure(gateway, "small.example.com"));
  EXPECT_EQ(client.ask(get("small.example.com", "/"))->status, 421);
  Client plain(proxy_port);
  connect(plain, "plain.example.com:80");
  EXPECT_EQ(plain.ask(get("small.example.com", "/"))->status, 421);
  EXPECT_TRUE(gateway.egress().requests().empty());
}

// Attack T05.
TEST_F(ProxyTest, NoOpaqueTunnelWithoutAGrant) {
  Client binary(proxy_port);
  connect(binary, "api.example.com:443");
  binary.send("\x00\x01\x02\x03"s);
  EXPECT_TRUE(binary.ended());
  Client text(proxy_port);
  connect(text, "api.example.com:443");
  text.send("SSH-2.0-x\r\n");
  EXPECT_TRUE(text.raw().starts_with("HTTP/1.1 400 ")) << "letters are taken for a request";
  Client ssh(proxy_port);
  connect(ssh, "git.example.com:22");
  EXPECT_TRUE(ssh.raw().starts_with("SSH-2.0-Bulkhead")) << "refused in its own words";
  EXPECT_TRUE(gateway.egress().tunnels().empty());
}

TEST_F(ProxyTest, WhatIsNoConnect) {
  const auto status_of = [&](const std::string& head) {
    Client client(proxy_port);
    client.send(head);
    const auto reply = client.reply();
    return reply ? reply->status : 0;
  };
  const std::string host = "api.example.com:443";
  EXPECT_EQ(status_of("GET http://plain.example.com/ HTTP/1.1\r\nHost: plain.example.com\r\n\r\n"), 405);
  EXPECT_EQ(status_of("CONNECT api.example.com HTTP/1.1\r\n\r\n"), 400);
  EXPECT_EQ(status_of("CONNECT api.example.com:0 HTTP/1.1\r\n\r\n"), 400);
  EXPECT_EQ(status_of("CONNECT u@api.example.com:443 HTTP/1.1\r\n\r\n"), 400);
  EXPECT_EQ(status_of("CONNECT api.example.com:443@evil.net:443 HTTP/1.1\r\n\r\n"), 400);
  EXPECT_EQ(status_of("CONNECT api.example.com.:443 HTTP/1.1\r\n\r\n"), 400);
  EXPECT_EQ(status_of("CONNECT 127.1:443 HTTP/1.1\r\n\r\n"), 400);
  EXPECT_EQ(status_of("CONNECT api.example.com%00:443 HTTP/1.1\r\n\r\n"), 400);
  EXPECT_EQ(status_of("CONNECT / HTTP/1.1\r\n\r\n"), 400);
  EXPECT_EQ(status_of("CONNECT  HTTP/1.1\r\n\r\n"), 400);
  EXPECT_EQ(status_of("CONNECT a b:443 HTTP/1.1\r\n\r\n"), 400);
  EXPECT_EQ(status_of("CONNECT " + host + " HTTP/1.1\r\nHost: evil.net\r\n\r\n"), 421);
  EXPECT_EQ(status_of("CONNECT " + host + " HTTP/1.1\r\nHost: " + host + "\r\nHost: " + host + "\r\n\r\n"), 400);
  EXPECT_EQ(status_of("CONNECT " + host + " HTTP/1.1\r\nProxy-Authorization: Basic eDp5\r\n\r\n"), 403);
  EXPECT_EQ(status_of("CONNECT " + host + " HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello"), 400);
  EXPECT_EQ(status_of("CONNECT " + host + " HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"), 400);
  EXPECT_EQ(status_of("CONNECT " + host + " HTTP/1.1\nHost: x\n\n"), 400);
  EXPECT_TRUE(gateway.egress().requests().empty());
}

TEST_F(ProxyTest, WhatIsNoSocks) {
  Client password(proxy_port);
  password.send("\x05\x01\x02"s);
  EXPECT_EQ(password.raw(), "\x05\xff"s);
  for (const std::string& bad :
       {"\x05\x02\x00\x01\x0a\x00\x00\x01\x00\x50"s,  // BIND
        "\x05\x03\x00\x01\x0a\x00\x00\x01\x00\x50"s,  // UDP
        "\x05\x01\x00\x09\x0a\x00\x00\x01\x00\x50"s, "\x05\x01\x01\x01\x0a\x00\x00\x01\x00\x50"s,
        socks_name("evil.com\0.example.com"s, 443),  // attack N06
        socks_name("", 443), socks_name("a b", 443), socks_name("a.example.com", 0)}) {
    Client client(proxy_port);
    const std::string reply = socks(client, bad);
    EXPECT_TRUE(reply.size() > 1 && reply[1] != 0) << bad;
  }
}

TEST_F(ProxyTest, ByteByByte) {
  Client client(proxy_port);
  for (const char c : "CONNECT plain.example.com:80 HTTP/1.1\r\nUser-Agent: x\r\n\r\n"s) client.send({&c, 1});
  EXPECT_TRUE(client.raw().starts_with("HTTP/1.1 200 "));
  Client socks_client(proxy_port);
  for (const char c : "\x05\x02\x00\x02"s) socks_client.send({&c, 1});
  EXPECT_EQ(socks_client.raw(), "\x05\x00"s);
  for (const char c : socks_name("plain.example.com", 80)) socks_client.send({&c, 1});
  EXPECT_EQ(bytes(socks_client, 10).substr(0, 2), "\x05\x00"s);
  EXPECT_EQ(socks_client.ask(get("plain.example.com", "/hello"))->body, "hello");
}

// ---- opaque connections

// All that comes until the end.
std::string rest(Client& client) {
  std::string out;
  for (std::string part; !(part = client.raw()).empty();) out += part;
  return out;
}

TEST_F(ProxyTest, AGrantedOpaqueConnection) {
  Client client(proxy_port);
  EXPECT_EQ(socks(client, socks_name("db.example.com", 5432)).substr(0, 2), "\x05\x00"s);
  EXPECT_EQ(client.raw(), "ready\n") << "the server speaks first";
  client.send("select 1;\n");
  EXPECT_EQ(client.raw(), "select 1;\n");
  const std::string much = pattern(1 << 20);
  std::thread sender([&] {
    client.send(much);
    client.half_close();
  });
  std::string came = rest(client);
  sender.join();
  ASSERT_EQ(came.size(), much.size() + 4);
  EXPECT_EQ(came.substr(0, much.size()), much);
  EXPECT_EQ(came.substr(much.size()), "bye\n") << "half-closed, as TCP may be";
  const auto tunnels = gateway.egress().tunnels();
  ASSERT_EQ(tunnels.size(), 1U);
  EXPECT_EQ(tunnels[0].grant, "10");
  EXPECT_EQ(tunnels[0].host, "db.example.com");
  EXPECT_EQ(tunnels[0].port, 5432);
  const auto event = gateway.event([](const nlohmann::json& e) { return e.value("type", "") == "net.tunnel"; });
  ASSERT_TRUE(event.is_object());
  EXPECT_EQ(event["bytes_up"], much.size() + 10);
  EXPECT_EQ(event["rule"], "");
}

TEST_F(ProxyTest, AnOpaqueGrantIsForItsHostAndPortOnly) {
  Client other(5432);  // at some address that no name has
  EXPECT_TRUE(other.ended());
  EXPECT_TRUE(gateway.event("a connection").is_object());
  Client named(proxy_port);
  socks(named, socks_name("other.example.com", 5432));
  EXPECT_TRUE(named.ended());
  Client port(proxy_port);
  socks(port, socks_name("db.example.com", 5433));
  port.send("x");
  EXPECT_TRUE(port.ended());
  EXPECT_TRUE(gateway.egress().tunnels().empty());
}

TEST_F(ProxyTest, AnOpaqueConnectionThatEgressRefuses) {
  Client client(8080, "198.51.100.9");
  EXPECT_TRUE(client.ended());
  const auto denial = gateway.denial();
  ASSERT_TRUE(denial.is_object());
  EXPECT_EQ(denial["why"], "the budget is used up");
}

}  // namespace
}  // namespace bulkhead::front

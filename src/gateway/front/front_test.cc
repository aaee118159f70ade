// The whole of front, as the workload and the processes around it see it.
#include <gtest/gtest.h>

#include <algorithm>

#include "gateway/front/harness_test.h"

namespace bulkhead::front {
namespace {

using std::chrono::milliseconds;

Limits quick() {
  Limits limits;
  limits.handshake = limits.head = limits.idle = limits.body = milliseconds(300);
  limits.linger = milliseconds(200);
  limits.tick = milliseconds(20);
  return limits;
}

struct FrontTest : testing::Test {
  FrontTest() : FrontTest(Limits{}) {}
  explicit FrontTest(const Limits& limits) : gateway(Run::library, limits) {}

  Client https(const std::string& host = "api.example.com", std::uint16_t port = 443) {
    Client client(port);
    EXPECT_TRUE(client.secure(gateway, host));
    return client;
  }
  // Over port 80; the status of the one answer, 0: none.
  int status_of(const std::string& request) {
    Client client(80);
    const auto reply = client.ask(request);
    return reply ? reply->status : 0;
  }

  Gateway gateway;
};

struct QuickFrontTest : FrontTest {
  QuickFrontTest() : FrontTest(quick()) {}
};

const std::string plain = "plain.example.com";
const std::string api = "api.example.com";

// ---- what is allowed

TEST_F(FrontTest, AllowedRequestsShareAConnectionAndALane) {
  Client client = https();
  for (int i = 0; i < 3; ++i) {
    const auto reply = client.ask(get(api, "/hello?x=1"));
    ASSERT_TRUE(reply);
    EXPECT_EQ(reply->status, 200);
    EXPECT_EQ(reply->body, "hello");
    EXPECT_TRUE(reply->keep_alive);
  }
  EXPECT_EQ(gateway.egress().lanes(), 1);
  const auto requests = gateway.egress().requests();
  ASSERT_EQ(requests.size(), 3U);
  EXPECT_EQ(requests[0].grant, "1");
  EXPECT_EQ(requests[0].scheme, "https");
  EXPECT_EQ(requests[0].host, api);
  EXPECT_EQ(requests[0].port, 443);
  EXPECT_EQ(requests[0].target, "/hello?x=1");
  const auto event = gateway.event([](const nlohmann::json& e) { return e.value("decision", "") == "allow"; });
  EXPECT_EQ(event.value("status", 0), 200) << event;
  EXPECT_EQ(event.value("bytes_down", 0), 5) << event;
  EXPECT_EQ(event.value("grant", ""), "1") << event;
}

TEST_F(FrontTest, BodiesOfEveryFraming) {
  Client client = https();
  auto reply = client.ask(post(api, "/echo", "twelve bytes"));
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->body, "twelve bytes");
  reply = client.ask("POST /echo HTTP/1.1\r\nHost: " + api +
                     "\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n");
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->body, "abcdefg");
  EXPECT_EQ(gateway.egress().requests().back().body, lane::BodyKind::streamed);
  reply = client.ask(get(api, "/stream"));
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->body, "one two three");
  EXPECT_EQ(reply->header("transfer-encoding"), "chunked");
}

TEST_F(FrontTest, AnswersWithoutABody) {
  Client client = https();
  auto reply = client.ask("HEAD /hello HTTP/1.1\r\nHost: " + api + "\r\n\r\n");
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->header("content-length"), "1234");
  reply = client.ask(get(api, "/nobody"));
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->status, 204);
  EXPECT_EQ(client.ask(get(api, "/hello"))->body, "hello");  // still in step
}

TEST_F(FrontTest, TenMegabytesUpAndDown) {
  const std::string bytes = pattern(big);
  Client client = https();
  auto reply = client.ask(post(api, "/echo", bytes));
  ASSERT_TRUE(reply);
  EXPECT_TRUE(reply->body == bytes);
  reply = client.ask(get(api, "/big"));
  ASSERT_TRUE(reply);
  EXPECT_TRUE(reply->body == bytes);
}

// More than every buffer on the way holds: neither direction may wait for the other to finish.
TEST_F(FrontTest, UpAndDownAtOnce) {
  const std::string bytes = pattern(big);
  Client client(80);
  std::thread sender([&] { EXPECT_TRUE(client.send(post(plain, "/both", bytes))); });
  const auto reply = client.reply("POST");
  sender.join();
  ASSERT_TRUE(reply);
  EXPECT_TRUE(reply->body == bytes);
}

TEST_F(FrontTest, PipelinedRequestsAreAnsweredInOrder) {
  Client client = https();
  ASSERT_TRUE(client.send(get(api, "/hello") + post(api, "/echo", "second") + get("denied.example.com", "/") +
                          get(api, "/stream")));
  EXPECT_EQ(client.reply()->body, "hello");
  EXPECT_EQ(client.reply("POST")->body, "second");
  EXPECT_EQ(client.reply()->status, 421);
  EXPECT_EQ(client.reply()->body, "one two three");
}

TEST_F(FrontTest, ContinueOnlyForWhatIsAllowed) {
  const std::string head = "POST /echo HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 4\r\nHost: ";
  Client client(80);
  ASSERT_TRUE(client.send(head + plain + "\r\n\r\n"));
  EXPECT_EQ(client.raw(), "HTTP/1.1 100 Continue\r\n\r\n");
  ASSERT_TRUE(client.send("body"));
  EXPECT_EQ(client.reply("POST")->body, "body");

  Client denied(80);
  const auto reply = denied.ask(head + "other.example.com\r\n\r\n");
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->status, 403);
  EXPECT_FALSE(reply->keep_alive);
}

TEST_F(FrontTest, TokensAreTakenOutAndTheSlotIsNamed) {
  Client client = https("cred.example.com");
  const auto reply = client.ask(get("cred.example.com", "/hello", "X-Api-Key: " + std::string(token) + "\r\n"));
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->status, 200) << reply->body;
  EXPECT_TRUE(gateway.egress().requests().empty());
  const auto requests = gateway.egress_api().requests();
  ASSERT_EQ(requests.size(), 1U);
  EXPECT_TRUE(requests[0].slot_filled);
  for (const auto& [name, value] : requests[0].headers) EXPECT_NE(name, "x-api-key") << value;
}

TEST_F(FrontTest, PortsServeWhatTheirGrantsSay) {
  EXPECT_EQ(https("tls.example.com", 8443).ask(get("tls.example.com:8443", "/hello"))->status, 200);
  EXPECT_EQ(https("b.example.com", 8080).ask(get("b.example.com:8080", "/hello"))->status, 200);
  Client mixed(8080);
  EXPECT_EQ(mixed.ask(get("a.example.com:8080", "/hello"))->status, 200);
  for (const std::uint16_t port : {443, 8443}) {
    Client client(port);
    const auto reply = client.ask(get("tls.example.com:" + std::to_string(port), "/hello"));
    ASSERT_TRUE(reply);
    EXPECT_EQ(reply->status, 400);
    EXPECT_NE(reply->body.find("write https://"), std::string::npos) << reply->body;
  }
}

TEST_F(FrontTest, CertificatesWithoutAServerName) {
  Client literal(443, "198.51.100.7");
  ASSERT_TRUE(literal.secure(gateway, "", "198.51.100.7"));
  EXPECT_EQ(literal.ask(get("198.51.100.7", "/hello"))->status, 200);

  const std::string answer = ask_dns(dns_query(1, api));
  ASSERT_GE(answer.size(), 16U);
  char address[32];
  const auto* last = reinterpret_cast<const unsigned char*>(answer.data() + answer.size() - 4);
  std::snprintf(address, sizeof address, "%u.%u.%u.%u", last[0], last[1], last[2], last[3]);
  Client named(443, address);
  ASSERT_TRUE(named.secure(gateway, "", api)) << address;
  EXPECT_EQ(named.ask(get(api, "/hello"))->status, 200);
}

// ---- what is denied

TEST_F(FrontTest, DenialsSayWhatWouldAllowThemAndKeepTheConnection) {
  Client client = https("other.example.com");
  auto reply = client.ask(get("other.example.com", "/x"));
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->status, 403);
  EXPECT_EQ(reply->header("x-bulkhead"), "denied");
  EXPECT_NE(reply->body.find("[[grant]]"), std::string::npos) << reply->body;
  EXPECT_TRUE(reply->keep_alive);
  // A small body is read past; what follows it is the next request.
  reply = client.ask(post("other.example.com", "/y", "GET /z HTTP/1.1\r\n\r\n"));
  EXPECT_EQ(reply->status, 403);
  EXPECT_EQ(client.ask(get("other.example.com", "/x"))->status, 403);
  EXPECT_TRUE(gateway.egress().requests().empty());
  EXPECT_EQ(gateway.event("no-grant").value("status", 0), 403);
  const auto told = gateway.denial();
  EXPECT_EQ(told.value("what", ""), "GET https://other.example.com/x") << told;
  EXPECT_NE(told.value("add", "").find("[[grant]]"), std::string::npos) << told;
}

TEST_F(FrontTest, ALargeDeniedBodyIsNotReadOn) {
  Client client(80);
  std::thread sender([&] { (void)client.send(post("other.example.com", "/", pattern(big))); });
  const auto reply = client.reply("POST");
  sender.join();
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->status, 403);
  EXPECT_FALSE(reply->keep_alive);
  EXPECT_TRUE(gateway.egress().requests().empty());
}

TEST_F(FrontTest, HostMustBeTheServerNameAndThePort) {
  EXPECT_EQ(https().ask(get("cred.example.com", "/hello"))->status, 421);
  EXPECT_EQ(https().ask(get(api + ":8443", "/hello"))->status, 421);
  EXPECT_EQ(https().ask(get("API.Example.com:443", "/hello"))->status, 200);
  EXPECT_EQ(status_of(get(plain + ":8080", "/hello")), 421);
  EXPECT_EQ(gateway.egress().requests().size(), 1U);
}

TEST_F(FrontTest, ForeignCredentialsStay) {
  Client client = https();
  const auto reply = client.ask(get(api, "/hello", "Authorization: Bearer sk-somebody-elses\r\n"));
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->status, 403);
  Client own = https("cred.example.com");
  EXPECT_EQ(own.ask(get("cred.example.com", "/hello", "X-Api-Key: another-key\r\n"))->status, 403);
  EXPECT_TRUE(gateway.egress().requests().empty());
  EXPECT_TRUE(gateway.egress_api().requests().empty());
}

TEST_F(FrontTest, TheRecordHoldsWhatJudgingAgainTakes) {
  const auto recorded = [&](const std::string& path) {
    return gateway.event([&](const nlohmann::json& event) { return event.value("path", "") == path; });
  };
  Client own = https("cred.example.com");
  own.ask(get("cred.example.com", "/hello?1", "X-Api-Key: " + std::string(token) + "\r\n"));
  own.ask(get("cred.example.com", "/hello?2", "X-Api-Key: sk-somebody-elses\r\nCookie: a=secret\r\n"));
  own.ask(get("cred.example.com", "/hello?5", "X-Odd: secret\r\nAccept: */*\r\nX-" + std::string(80, 'y') + ": 1\r\n"));
  const auto used = recorded("/hello?1"), foreign = recorded("/hello?2"), odd = recorded("/hello?5");
  EXPECT_EQ(odd["headers"], nlohmann::json::array({"x-odd"}));
  EXPECT_EQ(odd["headers_cut"], true);
  EXPECT_EQ(odd.dump().find("secret"), std::string::npos);
  EXPECT_FALSE(used.contains("headers") || used.contains("headers_cut"));
  EXPECT_EQ(used["body"], "none");
  EXPECT_EQ(used["slot"], true);
  EXPECT_EQ(used["credentials"], nlohmann::json::array({"x-api-key"}));
  EXPECT_FALSE(used.contains("length") || used.contains("content_type"));
  EXPECT_FALSE(foreign.contains("slot"));
  EXPECT_EQ(foreign["credentials"], nlohmann::json::array({"x-api-key", "cookie"}));
  // Names of headers, never what is in them.
  EXPECT_EQ(foreign.dump().find("secret"), std::string::npos);
  EXPECT_EQ(foreign.dump().find("somebody"), std::string::npos);
  EXPECT_EQ(used.dump().find(token), std::string::npos);

  Client client(80);
  client.ask("POST /hello?3 HTTP/1.1\r\nHost: " + plain +
             "\r\nContent-Type: text/plain; charset=x\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\nab");
  client.ask("POST /hello?4 HTTP/1.1\r\nHost: " + plain + "\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
  const auto length = recorded("/hello?3"), streamed = recorded("/hello?4");
  EXPECT_EQ(length["body"], "length");
  EXPECT_EQ(length["length"], 2);
  EXPECT_EQ(length["content_type"], "text/plain; charset=x");
  EXPECT_EQ(length["content_encoding"], "gzip");
  EXPECT_EQ(streamed["body"], "streamed");
  EXPECT_FALSE(streamed.contains("credentials"));
}

TEST_F(FrontTest, MalformedRequestsEndTheConnection) {
  const std::string host = "Host: " + plain + "\r\n";
  const std::pair<std::string, int> cases[] = {
      {"GET / HTTP/1.1\r\n" + host + host + "\r\n", 400},
      {"GET / HTTP/1.1\r\n\r\n", 400},
      {"POST / HTTP/1.1\r\n" + host + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
      {"GET http://other.example.com/ HTTP/1.1\r\n" + host + "\r\n", 421},
      {"CONNECT plain.example.com:443 HTTP/1.1\r\n" + host + "\r\n", 405},
      {"GET / HTTP/1.0\r\n" + host + "\r\n", 505},
      {"GET / HTTP/1.1\r\n" + host + "Upgrade: websocket\r\nConnection: upgrade\r\n\r\n", 400},
      {"GET / HTTP/1.1\r\n" + host + "Upgrade: something\r\nConnection: upgrade\r\n\r\n", 501},
  };
  for (const auto& [request, status] : cases) {
    Client client(80);
    const auto reply = client.ask(request);
    ASSERT_TRUE(reply) << request;
    EXPECT_EQ(reply->status, status) << request;
    EXPECT_FALSE(reply->keep_alive) << request;
    EXPECT_TRUE(client.ended()) << request;
  }
  EXPECT_TRUE(gateway.egress().requests().empty());
  EXPECT_EQ(gateway.event("te-and-cl").value("status", 0), 400);
}

TEST_F(FrontTest, BodiesBeyondTheRuleAreCutOff) {
  EXPECT_EQ(status_of(post("small.example.com", "/echo", std::string(1000, 'x'))), 200);
  EXPECT_EQ(status_of(post("small.example.com", "/echo", std::string(1001, 'x'))), 413);
  Client client(80);
  const auto reply =
      client.ask("POST /echo HTTP/1.1\r\nHost: small.example.com\r\nTransfer-Encoding: chunked\r\n\r\n7d0\r\n" +
                 std::string(2000, 'x') + "\r\n0\r\n\r\n");
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->status, 413);
}

TEST_F(FrontTest, AGrantWithoutAnEgressIsAnsweredAndRecorded) {
  Client client = https("orphan.example.com");
  const auto reply = client.ask(get("orphan.example.com", "/hello", "X-Api-Key: " + std::string(token) + "\r\n"));
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->status, 502) << reply->body;
  EXPECT_EQ(gateway.event("egress").value("decision", ""), "deny");
}

TEST_F(FrontTest, OtherProtocolsAreRefused) {
  Client ssh(22);
  EXPECT_TRUE(ssh.raw().starts_with("SSH-2.0-Bulkhead\r\n"));
  EXPECT_EQ(gateway.event("SSH").value("port", 0), 22);
  EXPECT_EQ(gateway.denial().value("what", ""), "SSH to 127.0.0.1:22");

  Client garbage(443);
  ASSERT_TRUE(garbage.send(std::string("\0\1\2\3", 4)));
  EXPECT_TRUE(garbage.ended());
  EXPECT_FALSE(gateway.event("a protocol that is not HTTP").is_null());

  Client broken(443);  // a record that only begins like TLS
  ASSERT_TRUE(broken.send("\x16\x03\x01" + std::string(200, 'x')));
  while (!broken.raw().empty()) continue;
  EXPECT_FALSE(gateway.event("TLS").is_null());
  EXPECT_EQ(https().ask(get(api, "/hello"))->status, 200);
}

// ---- whoever leaves

TEST_F(FrontTest, AnEarlyAnswerEndsTheRequest) {
  Client client(80);
  std::thread sender([&] { (void)client.send(post(plain, "/early", pattern(big))); });
  const auto reply = client.reply("POST");
  sender.join();
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->status, 413);
  EXPECT_EQ(reply->body, "no");
  EXPECT_FALSE(reply->keep_alive);
  EXPECT_EQ(status_of(get(plain, "/hello")), 200);
}

TEST_F(FrontTest, FailuresAreAnswersAndTheirLaneIsNotUsedAgain) {
  Client client = https();
  const auto reply = client.ask(post(api, "/fail", "body"));
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->status, 429);
  EXPECT_NE(reply->body.find("the budget is used up"), std::string::npos) << reply->body;
  EXPECT_EQ(client.ask(get(api, "/hello"))->status, 200);
  EXPECT_EQ(gateway.egress().lanes(), 2);
  EXPECT_EQ(gateway.event("budget").value("status", 0), 429);
}

TEST_F(FrontTest, HalfAnAnswerNeverLooksWhole) {
  for (const char* path : {"/cut", "/cut-stream", "/broken", "/dropped"}) {
    Client secure = https();
    EXPECT_FALSE(secure.ask(get(api, path))) << path;
    Client client(80);
    EXPECT_FALSE(client.ask(get(plain, path))) << path;
  }
  EXPECT_EQ(gateway.event("cut").value("decision", ""), "allow");
  EXPECT_EQ(https().ask(get(api, "/hello"))->status, 200);
}

// While nobody reads from the client: after a request without a body, and after one with.
TEST_F(FrontTest, AClientThatHangsUpTakesItsLaneAlong) {
  const auto hangups = [&](int wanted) {
    for (int i = 0; i < 600 && gateway.egress().hangups() < wanted; ++i) std::this_thread::sleep_for(milliseconds(5));
    return gateway.egress().hangups();
  };
  const auto asked = [&](std::size_t wanted) {
    for (int i = 0; i < 600 && gateway.egress().requests().size() < wanted; ++i)
      std::this_thread::sleep_for(milliseconds(5));
  };
  Client first = https();
  ASSERT_TRUE(first.send(get(api, "/wait")));
  asked(1);
  first.close();
  EXPECT_EQ(hangups(1), 1);
  Client second = https();
  ASSERT_TRUE(second.send(post(api, "/wait", "body")));
  asked(2);
  second.close();
  EXPECT_EQ(hangups(2), 2);
  Client third(80);
  ASSERT_TRUE(third.send(post(plain, "/wait", "body")));
  asked(3);
  third.close();
  EXPECT_EQ(hangups(3), 3);
}

TEST_F(FrontTest, AClientThatLeavesItsBodyUnfinished) {
  Client client(80);
  ASSERT_TRUE(client.send("POST /echo HTTP/1.1\r\nHost: " + plain + "\r\nContent-Length: 9\r\n\r\nab"));
  client.close();
  EXPECT_FALSE(gateway.event("client-gone").is_null());
  EXPECT_EQ(status_of(get(plain, "/hello")), 200);
}

TEST_F(FrontTest, AnEgressThatDiesEndsFrontAndCutsNothingShort) {
  Client client(80);
  ASSERT_TRUE(client.send(get(plain, "/wait")));
  for (int i = 0; i < 600 && gateway.egress().requests().empty(); ++i) std::this_thread::sleep_for(milliseconds(5));
  gateway.egress().die();
  const auto reply = client.reply();
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->status, 502);
  const auto status = gateway.ended();
  ASSERT_TRUE(status);
  EXPECT_EQ(status->shell(), 0);
  EXPECT_EQ(gateway.errors(), "egress is gone\n");
  EXPECT_FALSE(gateway.event("cut").is_null());
}

TEST_F(FrontTest, EndsWithoutASupervisor) {
  gateway.leave_supervisor();
  EXPECT_TRUE(gateway.ended());
  EXPECT_EQ(gateway.errors(), "the supervisor is gone\n");
}

TEST_F(FrontTest, EndsWithoutEvidence) {
  gateway.leave_evidence();
  EXPECT_TRUE(gateway.ended());
}

// ---- time and numbers

TEST_F(QuickFrontTest, ClientsThatAreSlow) {
  Client silent(80);
  EXPECT_TRUE(silent.ended());
  EXPECT_FALSE(gateway.event("a client that said nothing").is_null());

  Client no_handshake(443);
  ASSERT_TRUE(no_handshake.send("\x16\x03\x01"));
  EXPECT_TRUE(no_handshake.ended());

  Client head(80);
  ASSERT_TRUE(head.send("GET / HTTP/1.1\r\nHost: "));
  const auto late = head.reply();
  ASSERT_TRUE(late);
  EXPECT_EQ(late->status, 408);

  Client body(80);
  ASSERT_TRUE(body.send("POST /echo HTTP/1.1\r\nHost: " + plain + "\r\nContent-Length: 9\r\n\r\nab"));
  const auto stuck = body.reply("POST");
  ASSERT_TRUE(stuck);
  EXPECT_EQ(stuck->status, 408);

  Client idle(80);
  EXPECT_EQ(idle.ask(get(plain, "/hello"))->status, 200);
  EXPECT_TRUE(idle.ended());
}

// A head that comes byte by byte has one deadline, however often something comes.
TEST_F(QuickFrontTest, ATricklingHeadRunsOutOfTime) {
  Client client(80);
  const auto begin = std::chrono::steady_clock::now();
  for (const char c : get(plain, "/" + std::string(200, 'x'))) {
    if (!client.send(std::string(1, c))) break;
    std::this_thread::sleep_for(milliseconds(10));
    if (std::chrono::steady_clock::now() - begin > milliseconds(1500)) break;
  }
  EXPECT_TRUE(gateway.egress().requests().empty());
  EXPECT_EQ(gateway.event("slow").value("status", 0), 408);
}

struct FewFrontTest : FrontTest {
  static Limits few() {
    Limits limits = quick();
    limits.idle = limits.handshake = milliseconds(60'000);
    limits.connections = 8;
    limits.lanes = 4;
    return limits;
  }
  FewFrontTest() : FrontTest(few()) {}
};

TEST_F(FewFrontTest, MoreConnectionsThanAllowedWait) {
  std::vector<Client> clients;
  for (int i = 0; i < 200; ++i) clients.emplace_back(80);
  for (int i = 0; i < 8; ++i) EXPECT_EQ(clients[static_cast<std::size_t>(i)].ask(get(plain, "/hello"))->status, 200);
  ASSERT_TRUE(clients[50].send(get(plain, "/hello")));  // in the backlog
  std::this_thread::sleep_for(milliseconds(200));
  EXPECT_EQ(gateway.egress().requests().size(), 8U);
  for (std::size_t i = 0; i < 50; ++i) clients[i].close();
  const auto reply = clients[50].reply();
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->status, 200);
}

TEST_F(FewFrontTest, MoreLanesThanAllowedAreRefused) {
  std::vector<Client> waiting;
  for (int i = 0; i < 4; ++i) {
    waiting.emplace_back(80);
    ASSERT_TRUE(waiting.back().send(get(plain, "/wait")));
  }
  for (int i = 0; i < 600 && gateway.egress().requests().size() < 4; ++i) std::this_thread::sleep_for(milliseconds(5));
  Client client(80);
  EXPECT_EQ(client.ask(get(plain, "/hello"))->status, 503);
  waiting.clear();
  for (int i = 0; i < 600 && gateway.egress().hangups() < 4; ++i) std::this_thread::sleep_for(milliseconds(5));
  EXPECT_EQ(client.ask(get(plain, "/hello"))->status, 200);
}

TEST_F(FrontTest, MadeUpServerNamesRunOut) {
  int refused = 0;
  for (int i = 0; i < 120; ++i) {
    Client client(443);
    refused += client.secure(gateway, "n" + std::to_string(i) + ".example.org") ? 0 : 1;
  }
  EXPECT_GT(refused, 0);
  EXPECT_EQ(https().ask(get(api, "/hello"))->status, 200);  // granted names are not part of it
}

// ---- DNS

TEST_F(FrontTest, DnsOverUdpFromTheAddressAsked) {
  for (const char* address : {"127.0.0.1", "8.8.8.8", "198.18.0.1"}) {
    const std::string answer = ask_dns(dns_query(7, api), address);
    ASSERT_GE(answer.size(), 16U) << address;
    EXPECT_EQ(answer.substr(0, 2), std::string("\0\7", 2));
    EXPECT_EQ(static_cast<unsigned char>(answer[answer.size() - 4]), 198);
  }
  const auto event = gateway.event([](const nlohmann::json& e) { return e.value("type", "") == "dns.query"; });
  EXPECT_EQ(event.value("name", ""), api) << event;
}

TEST_F(FrontTest, DnsOverTcp) {
  Client client(53);
  const std::string query = dns_query(9, api);
  const std::string framed{'\0', static_cast<char>(query.size())};
  ASSERT_TRUE(client.send(framed + query + framed + query.substr(0, 5)));
  const std::string first = client.raw();
  ASSERT_GE(first.size(), 18U);
  EXPECT_EQ(first.substr(2, 2), std::string("\0\x9", 2));
  ASSERT_TRUE(client.send(query.substr(5)));  // the rest of the second, in a piece of its own
  EXPECT_EQ(client.raw().size(), first.size());
  ASSERT_TRUE(client.send("\xff\xff"));  // longer than any question
  EXPECT_TRUE(client.ended());
}

}  // namespace
}  // namespace bulkhead::front

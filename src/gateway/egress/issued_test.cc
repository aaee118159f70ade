// Values that servers hand out: kept, put in by number, forgotten; and redirects that egress follows itself.
#include "gateway/egress/issued.h"

#include <poll.h>

#include "base/ipc.h"
#include "gateway/egress/harness_test.h"
#include "gateway/egress/limits.h"
#include "gateway/egress/redirect.h"
#include "gateway/update.h"

namespace bulkhead::egress {
namespace {

const std::string token = "bulkhead-token-0123456789abcdef";  // configuration()'s
const std::string value = "eyJhbGciOiJSUzI1NiJ9.eyJhY2Nlc3MiOltdfQ.c2lnbmF0dXJl";

TokenSlot slot() {
  return {.credential = "c",
          .token = token,
          .carrier = Credential::Carrier::bearer,
          .header = "",
          .basic_user = "",
          .issued = true};
}

TEST(IssuedValues, EachHasANumberAndKeepsIt) {
  IssuedValues values(slot());
  EXPECT_EQ(*values.keep("first-value"), 1U);
  EXPECT_EQ(*values.keep("second-value"), 2U);
  EXPECT_EQ(*values.keep("first-value"), 1U);
  EXPECT_EQ(values.token(2), token + "-2");
  ASSERT_NE(values.find(1), nullptr);
  EXPECT_EQ(values.find(1)->name, "authorization");
  EXPECT_EQ(values.find(1)->value.reveal(), "Bearer first-value");
  EXPECT_EQ(values.find(0), nullptr);
  EXPECT_EQ(values.find(3), nullptr);
  values.forget();
  EXPECT_EQ(values.find(1), nullptr);
  EXPECT_TRUE(values.patterns().empty());
  EXPECT_EQ(*values.keep("first-value"), 3U) << "no number means two things in one session";
}

TEST(IssuedValues, TheOldestIsForgotten) {
  IssuedValues values(slot());
  for (std::size_t i = 1; i <= max_issued; ++i) EXPECT_EQ(*values.keep("value-number-" + std::to_string(i)), i);
  EXPECT_EQ(*values.keep("value-number-1"), 1U);  // handed out again: the newest now
  EXPECT_EQ(*values.keep("one-more-value"), max_issued + 1);
  EXPECT_NE(values.find(1), nullptr);
  EXPECT_EQ(values.find(2), nullptr);
  EXPECT_NE(values.find(3), nullptr);
}

TEST(IssuedValues, WhatCantBeOne) {
  IssuedValues values(slot());
  for (const std::string& bad :
       {std::string(), std::string("1234567"), std::string(max_issued_length + 1, 'x'), std::string("with a blank"),
        std::string("with\r\nbreaks"), std::string("with\0nul", 8), std::string("w\xc3\xa4hrend"), token, token + "-1",
        token.substr(3, 12)}) {
    EXPECT_TRUE(values.unfit(bad)) << bad;
    EXPECT_FALSE(values.keep(bad)) << bad;
  }
  EXPECT_FALSE(values.unfit(std::string(max_issued_length, 'x')));
}

std::string json(const std::string& body, const std::string& more = "") {
  return ok(body, "Content-Type: application/json\r\n" + more);
}

// A registry and its realm in one: hands out at /token, echoes anywhere else what it was sent.
Upstream::Script registry(std::string answer) {
  return [answer](Peer& peer, const std::string& head) -> bool {
    if (head.starts_with("GET /token")) return peer.write(answer);
    return peer.write(ok(head));
  };
}

struct Registry {
  explicit Registry(std::string answer) : upstream(registry(std::move(answer))) {
    Grant issuing = grant(upstream.port(), "c");
    issuing.id = "9";
    issuing.response.max_body = 100'000;
    issuing.response.streaming = false;
    issuing.response.issue = {"token", "access_token", "list.*"};
    egress.emplace(Running::Options{.grants = {issuing, grant(upstream.port(), "c")},
                                    .credential = "c",
                                    .carrier = Credential::Carrier::bearer,
                                    .issued = true});
  }
  Answer hand_out() {
    lane::Request asking = request(upstream.port(), "/token");
    asking.grant = "9";
    return Lane(egress->control()).ask(asking);
  }
  Answer use(std::uint32_t number) {
    lane::Request asking = request(upstream.port(), "/v2/");
    asking.slot_filled = number != 0;
    asking.issued = number;
    return Lane(egress->control()).ask(asking);
  }
  Upstream upstream;
  std::optional<Running> egress;
};

TEST(Issued, TheWorkloadGetsANumber) {
  Registry all(json(
      R"({"token":")" + value + R"(","access_token":")" + value + R"(","expires_in":300,"echo":"<)" + value + R"(>"})",
      "X-Echo: " + value + "\r\n"));
  for (int i = 0; i < 2; ++i) {  // the second time it is known already, and no less taken out
    const Answer answer = all.hand_out();
    ASSERT_TRUE(answer.response) << (answer.failure ? answer.failure->text : "");
    const std::string mine = token + "-1", hidden(value.size(), '*');
    EXPECT_EQ(answer.body, R"({"token":")" + mine + R"(","access_token":")" + mine + R"(","expires_in":300,"echo":"<)" +
                               hidden + R"(>"})");
    EXPECT_EQ(answer.header("x-echo"), hidden);
    EXPECT_TRUE(answer.whole);
    const auto event = all.egress->event("credential.issue");
    EXPECT_EQ(event["credential"], "c");
    EXPECT_EQ(event["grant"], "9");
    EXPECT_EQ(event["host"], "api.example.com");
    EXPECT_EQ(event["number"], 1);
    EXPECT_EQ(event.dump().find(value), std::string::npos);
  }
  EXPECT_NE(all.upstream.heads().front().find("identity"), std::string::npos);

  const Answer used = all.use(1);
  ASSERT_TRUE(used.response);
  EXPECT_NE(all.upstream.heads().back().find("authorization: Bearer " + value + "\r\n"), std::string::npos);
  EXPECT_EQ(used.body.find(value), std::string::npos) << "what was handed out is scrubbed from every answer";
  EXPECT_NE(used.body.find(std::string(value.size(), '*')), std::string::npos);
  const auto event = all.egress->event("credential.use");
  EXPECT_EQ(event["number"], 1);
}

TEST(Issued, ANumberThatNobodyHandedOutGoesNowhere) {
  Registry all(json("{}"));
  const Answer unknown = all.use(1);
  ASSERT_TRUE(unknown.failure);
  EXPECT_EQ(unknown.failure->status, 403);
  EXPECT_EQ(unknown.failure->reason, "carrier");
  EXPECT_TRUE(all.upstream.heads().empty());
  // A front that was taken over: the token without a number, in a slot that has them.
  lane::Request plain = request(all.upstream.port(), "/v2/");
  plain.slot_filled = true;
  const Answer refused = Lane(all.egress->control()).ask(plain);
  ASSERT_TRUE(refused.failure);
  EXPECT_EQ(refused.failure->reason, "carrier");
  EXPECT_TRUE(all.upstream.heads().empty());
  EXPECT_TRUE(all.use(0).response) << "without a credential";
}

TEST(Issued, ANumberIsNothingToAnOrdinaryCredential) {
  Upstream upstream(registry(""));
  Running egress({.grants = {grant(upstream.port(), "c")}, .credential = "c"});
  lane::Request asking = request(upstream.port(), "/v2/");
  asking.slot_filled = true;
  asking.issued = 1;
  const Answer answer = Lane(egress.control()).ask(asking);
  ASSERT_TRUE(answer.failure);
  EXPECT_EQ(answer.failure->reason, "carrier");
  EXPECT_TRUE(upstream.heads().empty());
}

TEST(Issued, WhatCantBeKeptDoesNotPass) {
  std::string many = R"({"list":[")" + value + "\"";
  for (std::size_t i = 0; i < max_issued_at_once; ++i) many += ",\"" + value + "\"";
  many += "]}";
  for (const std::string& answer :
       {json(R"({"token":1})"), json(R"({"token":["eyJhbGciOiJSUzI1NiJ9"]})"), json(R"({"token":"short"})"), json(many),
        json(R"({"token":")" + value + R"(","access_token":"short"})"), json(R"({"token":"with a blank"})"),
        json(R"({"token":")" + value + R"(","access_token":null})"), ok(R"({"token":")" + value + "\"}"),
        json(R"({"token":")" + value + "\"}", "Content-Encoding: gzip\r\n"), json(R"({"token":")" + value)}) {
    Registry all(answer);
    const Answer got = all.hand_out();
    EXPECT_FALSE(got.response) << answer;
    ASSERT_TRUE(got.failure) << answer;
    EXPECT_EQ(got.failure->text.find(value), std::string::npos);
    const Answer guess = all.use(1);
    EXPECT_TRUE(guess.failure) << "nothing of a refused answer is kept: " << answer;
  }
}

TEST(Issued, AGrantWithoutSuchACredentialIssuesNothing) {
  Upstream upstream(registry(json(R"({"token":")" + value + "\"}")));
  Grant issuing = grant(upstream.port(), "c");
  issuing.response.max_body = 1000;
  issuing.response.streaming = false;
  issuing.response.issue = {"token"};
  Running egress({.grants = {issuing}, .credential = "c"});
  const Answer answer = Lane(egress.control()).ask(request(upstream.port(), "/token"));
  ASSERT_TRUE(answer.failure);
  EXPECT_EQ(answer.failure->reason, "response");
}

TEST(Issued, RevokedIsForgotten) {
  Registry all(json(R"({"token":")" + value + "\"}"));
  ASSERT_TRUE(all.hand_out().response);
  GrantsUpdate update;
  update.number = 1;
  update.grants = {grant(all.upstream.port(), "c")};  // still there, so that only the value can be what is missing
  update.forget = true;
  ASSERT_TRUE(ipc::send(all.egress->sockets.supervisor.get(), to_json(update)));
  pollfd p{all.egress->sockets.supervisor.get(), POLLIN, 0};
  ASSERT_EQ(::poll(&p, 1, 5000), 1);
  const Answer answer = all.use(1);
  ASSERT_TRUE(answer.failure);
  EXPECT_EQ(answer.failure->reason, "carrier");
}

std::string moved(const std::string& location, const std::string& status = "307 Temporary Redirect") {
  return "HTTP/1.1 " + status + "\r\nLocation: " + location + "\r\nContent-Length: 4\r\n\r\nmove";
}

// Two hosts behind one address, as the names resolve here.
struct Redirecting {
  explicit Redirecting(std::function<std::string(std::uint16_t)> location, bool loop = false) {
    upstream.emplace(
        [this, location, loop](Peer& peer, const std::string& head) -> bool {
          if (!loop && head.find("ost: cdn.example.com") != std::string::npos) return peer.write(ok("layer"));
          return peer.write(moved(location(upstream->port())));
        },
        ca.server({.san = "DNS:api.example.com,DNS:cdn.example.com"}));
    Grant granted = grant(upstream->port());
    granted.protocol = Protocol::https;
    granted.credential = "c";
    granted.allow.at(0).headers = {"x-secret-option"};
    granted.response.follow = {"cdn.example.com"};
    egress.emplace(
        Running::Options{.grants = {granted},
                         .credential = "c",
                         .upstream_ca = ca.pem(),
                         .records = {{"api.example.com. A", {"127.0.0.1"}}, {"cdn.example.com. A", {"127.0.0.1"}}}});
  }
  Answer ask(const std::string& method = "GET") {
    lane::Request asking = request(upstream->port(), "/blob", method);
    asking.scheme = "https";
    asking.slot_filled = true;
    asking.headers = {{"accept", "*/*"}, {"x-secret-option", "1"}};
    return Lane(egress->control()).ask(asking);
  }
  TestCa ca;
  std::optional<Upstream> upstream;
  std::optional<Running> egress;
};

std::string at_cdn(std::uint16_t port) {
  return "https://cdn.example.com:" + std::to_string(port) + "/data?X-Amz-Signature=0123";
}

TEST(Redirects, AreFollowedWithoutTheCredential) {
  Redirecting all(at_cdn);
  const Answer answer = all.ask();
  ASSERT_TRUE(answer.response) << (answer.failure ? answer.failure->text : "");
  EXPECT_EQ(answer.response->status, 200);
  EXPECT_EQ(answer.body, "layer");
  EXPECT_EQ(answer.header("location"), "<none>");
  const auto heads = all.upstream->heads();
  ASSERT_EQ(heads.size(), 2U);
  EXPECT_NE(heads[0].find(secret), std::string::npos);
  EXPECT_TRUE(heads[1].starts_with("GET /data?X-Amz-Signature=0123 HTTP/1.1\r\n")) << heads[1];
  EXPECT_EQ(heads[1].find(secret), std::string::npos);
  EXPECT_EQ(heads[1].find("x-secret-option"), std::string::npos);
  EXPECT_EQ(all.egress->event("upstream.request")["host"], "api.example.com");
  const auto second = all.egress->event("upstream.request");
  EXPECT_EQ(second["host"], "cdn.example.com");
  EXPECT_EQ(second["status"], 200);
}

TEST(Redirects, OnlyOnceAndOnlyToWhatIsListed) {
  Redirecting loop(at_cdn, true);
  EXPECT_EQ(loop.ask().response->status, 307);
  EXPECT_EQ(loop.upstream->heads().size(), 2U);
  for (const char* location :
       {"https://evil.example.com:PORT/x", "http://cdn.example.com:PORT/x", "https://cdn.example.com/x",
        "https://cdn.example.com:PORT", "https://me@cdn.example.com:PORT/x", "https://cdn.example.com.:PORT/x",
        "https://CDN.example.com:PORT/x", "https://cdn.example.com:PORT/a/../b", "https://cdn.example.com:PORT/x#y",
        "https://cdn.example.com:PORT/a b", "//cdn.example.com:PORT/x", "/x", "HTTPS://cdn.example.com:PORT/x",
        "https://cdn.example.com:PORT\\/x"}) {
    Redirecting all([&](std::uint16_t port) {
      std::string out = location;
      if (const auto at = out.find("PORT"); at != std::string::npos) out.replace(at, 4, std::to_string(port));
      return out;
    });
    const Answer answer = all.ask();
    ASSERT_TRUE(answer.response) << location;
    EXPECT_EQ(answer.response->status, 307) << location;
    EXPECT_EQ(all.upstream->heads().size(), 1U) << location;
  }
  Redirecting posted(at_cdn);
  EXPECT_EQ(posted.ask("POST").response->status, 307);
  EXPECT_EQ(posted.upstream->heads().size(), 1U);
}

// As Docker's registry redirects to each of its content networks.
TEST(Redirects, LinksAsTheyAreSigned) {
  Grant granted;
  granted.response.follow = {"cdn.example.com"};
  lane::Request asking;
  asking.method = "GET";
  const std::string path = "/registry-v2/docker/registry/v2/blobs/sha256/4b/4bcf/data";
  for (const char* query :
       {"?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=f1baa2%2F20261121%2Fauto%2Fs3%2Faws4_request"
        "&X-Amz-Date=20261121T100000Z&X-Amz-Expires=1200&X-Amz-SignedHeaders=host&X-Amz-Signature=0a1b",
        "?Expires=1497957957&Signature=hMt4wby3L1~pq__&Key-Pair-Id=APKAJECH",
        "?expires=1731600000&signature=ab%2Bc%3D&version=2", "?verify=1731600000-ab%2Bc%2Fd%3D", ""}) {
    http::ResponseHead head;
    head.status = 307;
    head.headers = {{"location", "https://cdn.example.com" + path + query}};
    const auto to = redirect_to_follow(granted, asking, head);
    ASSERT_TRUE(to) << query;
    EXPECT_EQ(to->host, "cdn.example.com");
    EXPECT_EQ(to->target, path + query);
    head.headers.push_back(head.headers.front());
    EXPECT_FALSE(redirect_to_follow(granted, asking, head)) << "which of the two?";
    head.headers.pop_back();
    head.status = 200;
    EXPECT_FALSE(redirect_to_follow(granted, asking, head));
  }
}

}  // namespace
}  // namespace bulkhead::egress

// Requests that mean one thing to the judge and another to some server behind it, and what a denial
// offers for them.
#include <gtest/gtest.h>

#include "base/text.h"
#include "gateway/grant/address.h"
#include "gateway/grant/budget.h"
#include "gateway/grant/carrier.h"
#include "gateway/grant/grant.h"
#include "gateway/grant/host.h"
#include "gateway/grant/target.h"
#include "policy/load.h"

namespace bulkhead::grant {
namespace {

const std::vector<TokenSlot> tokens{{"key", "bh-key-token-0001", Credential::Carrier::header, "x-service-id", ""}};

const char* const policy = R"(version = 1
[credential.key]
source = "env:KEY"
carry = { header = "x-service-id" }
[[grant]]
host = "open.example.com"
[[grant.allow]]
method = ["GET", "POST"]
path = "/files/**"
query = ["*"]
headers = ["*"]
[[grant]]
host = "open.example.com"
[[grant.allow]]
method = "POST"
path = "/typed"
content_type = "application/json"
[[grant]]
host = "*.cdn.example.com"
[[grant.allow]]
method = "GET"
path = "/**"
[[grant]]
host = "xn--bcher-kva.cdn.example.com"
[[grant.allow]]
method = "GET"
path = "/named"
[[grant]]
host = "key.example.com"
credential = "key"
[[grant.allow]]
method = "GET"
path = "/a"
)";

std::vector<Grant> grants(const std::string& text = policy) {
  auto document = load_document(text, "p.toml", "user");
  EXPECT_TRUE(document) << (document ? "" : document.error().message);
  return document ? document->grants : std::vector<Grant>();
}

RequestHead head(std::string method, std::string host, std::string target, lane::Headers headers = {}) {
  RequestHead out;
  out.method = std::move(method);
  out.scheme = "https";
  out.host = std::move(host);
  out.port = 443;
  out.target = std::move(target);
  out.headers = std::move(headers);
  return out;
}

std::string reason(const RequestHead& request) {
  const Decision decision = judge(grants(), tokens, request);
  return decision.verdict == Verdict::allow ? "" : decision.reason;
}

// C02: CGI and its kin make one name of all of these.
TEST(Disguised, HeaderNamesInOtherSpellings) {
  for (const char* name : {"x_api_key", "x.api.key", "x-api_key", "proxy_authorization", "x_auth_user",
                           "x-auth-request-email", "private_token", "api~key", "x_amz_security_token", "remote_user"}) {
    EXPECT_TRUE(carries_credential(name)) << name;
    EXPECT_EQ(reason(head("GET", "open.example.com", "/files/x", {{name, "k"}})), "foreign-credential") << name;
  }
  for (const char* name : {"x_http_method_override", "x-http_method-override", "x_original_url", "x_rewrite_url",
                           "x-original-method", "x-http-host-override", "x-envoy-original-path"}) {
    EXPECT_EQ(reason(head("GET", "open.example.com", "/files/x", {{name, "k"}})), "override") << name;
  }
  // What agents send, and is no credential.
  for (const char* name : {"session_id", "conversation_id", "x-request-id", "idempotency_key", "anthropic-beta",
                           "user-agent", "x-stainless-lang", "keep-going"}) {
    EXPECT_EQ(reason(head("GET", "open.example.com", "/files/x", {{name, "k"}})), "") << name;
  }
}

TEST(Disguised, TheSlotInAnotherSpelling) {
  const std::string host = "key.example.com", token = "bh-key-token-0001";
  EXPECT_EQ(reason(head("GET", host, "/a", {{"x-service-id", token}})), "");
  EXPECT_EQ(reason(head("GET", host, "/a", {{"x_service_id", token}})), "foreign-credential");
  EXPECT_EQ(reason(head("GET", host, "/a", {{"x_service_id", "foreign"}})), "foreign-credential");
  const RequestHead both = head("GET", host, "/a", {{"x-service-id", token}, {"x_service_id", "foreign"}});
  EXPECT_EQ(judge(grants(), tokens, both).status, 400);
  EXPECT_EQ(reason(both), "carrier");
}

TEST(Disguised, NothingForwardedInAnySpelling) {
  const RequestHead request = head("GET", "open.example.com", "/files/x",
                                   {{"accept", "*/*"},
                                    {"x_forwarded_host", "evil.net"},
                                    {"x.real.ip", "127.0.0.1"},
                                    {"proxy", "http://evil.net"},
                                    {"content_length", "7"},
                                    {"transfer_encoding", "chunked"},
                                    {"session_id", "1"}});
  const lane::Headers expected{{"accept", "*/*"}, {"session_id", "1"}};
  EXPECT_EQ(upstream_headers(request, nullptr), expected);
}

// They name a second object that no path template has seen.
TEST(Disguised, HeadersThatNameAnotherObject) {
  for (const char* name : {"destination", "x-amz-copy-source", "x-ms-copy-source", "x-ms-rename-source"}) {
    EXPECT_EQ(reason(head("POST", "open.example.com", "/files/x", {{name, "/other"}})), "override") << name;
  }
}

TEST(Disguised, ContentTypes) {
  const auto typed = [](lane::Headers headers) {
    return reason(head("POST", "open.example.com", "/typed", std::move(headers)));
  };
  EXPECT_EQ(typed({{"content-type", "application/json; charset=utf-8"}}), "");
  EXPECT_EQ(typed({{"content-type", "application/json, text/plain"}}), "content-type");
  EXPECT_EQ(typed({{"content-type", "application/json; a, text/plain"}}), "content-type");
  EXPECT_EQ(typed({{"content_type", "text/plain"}}), "content-type");
  EXPECT_EQ(typed({{"content-type", "application/json"}, {"content_type", "text/plain"}}), "content-type");
}

// C03, also where a rule allows any key.
TEST(Disguised, QueryKeys) {
  const auto asked = [](const std::string& key) {
    return reason(head("GET", "open.example.com", "/files/x?a=1&" + key + "=1"));
  };
  for (const char* key :
       {"api-key",          "x-api-key",   "access-token",     "accessToken",      "$key",           "key[]",
        "token.",           "app_key",     "app_secret",       "api_token",        "client_secret",  "private_token",
        "auth_token",       "secret_key",  "session_id",       "AWSAccessKeyId",   "OSSAccessKeyId", "X-Amz-Credential",
        "x_goog_signature", "oauth_token", "client_assertion", "subscription-key", "access_key_id",  "passwd"}) {
    EXPECT_EQ(asked(key), "foreign-credential") << key;
  }
  for (const char* key : {"_method", "_HttpMethod", "$httpMethod", "X-HTTP-Method-Override", "x_http_method"}) {
    EXPECT_EQ(asked(key), "override") << key;
  }
  for (const char* key : {"method", "page_token", "nextToken", "continuation-token", "sort_key", "keyword", "author",
                          "signature_type", "beta"}) {
    EXPECT_EQ(asked(key), "") << key;
  }
}

// P01: overlong UTF-8, and bytes that are none.
TEST(Disguised, PathsThatAreNoUtf8) {
  for (const char* path : {"/files/%c0%ae%c0%ae/x", "/files/%C0%AF", "/files/a%e0%80%ae", "/files/%ff", "/files/x%c3",
                           "/files/%ed%a0%80"}) {
    EXPECT_EQ(reason(head("GET", "open.example.com", path)), "non-canonical") << path;
  }
  EXPECT_EQ(reason(head("GET", "open.example.com", "/files/%c3%a9%20a%E2%82%AC")), "");
}

// N10: a look-alike is served only where a grant spells it out.
TEST(Disguised, PunycodeUnderAWildcard) {
  EXPECT_EQ(reason(head("GET", "a.cdn.example.com", "/x")), "");
  EXPECT_EQ(reason(head("GET", "xn--a-0ia.cdn.example.com", "/x")), "no-grant");
  EXPECT_EQ(reason(head("GET", "xn--bcher-kva.cdn.example.com", "/named")), "");
  EXPECT_FALSE(host_matches("*.example.com", "xn--a.example.com"));
}

TEST(Offers, NeverMoreThanWasAsked) {
  for (const char* path : {"/**", "/*", "/{id}", "/a/**/b", "/a*b", "/{package}/x"}) {
    const RequestHead request = head("GET", "new.example.com", path);
    const Decision denied = judge(grants(), tokens, request);
    if (denied.add.empty()) continue;
    EXPECT_EQ(denied.add.find("**"), std::string::npos) << denied.add;
    const auto added = grants("version = 1\n" + denied.add);
    EXPECT_EQ(judge(added, tokens, request).verdict, Verdict::allow) << denied.add;
    EXPECT_EQ(judge(added, tokens, head("GET", "new.example.com", "/q/r/s/t")).verdict, Verdict::deny) << denied.add;
  }
  EXPECT_FALSE(judge(grants(), tokens, head("GET", "new.example.com", "/**")).add.empty());
}

TEST(Offers, NeverAnyQueryKey) {
  for (const char* query : {"?*=1", "?a=1&*=2", "?a+b=1", "?a%3Db=1"}) {
    EXPECT_EQ(judge(grants(), tokens, head("GET", "new.example.com", std::string("/") + query)).add, "") << query;
  }
}

// What would be refused all the same is not offered, and what a grant of it would open is not
// proposed by whoever asks for it.
TEST(Offers, NothingWhereNoGrantIsTheAnswer) {
  const std::string open = "open.example.com";
  const std::vector<RequestHead> requests{
      head("GET", open, "/no", {{"authorization", "Bearer foreign"}}),
      head("PUT", open, "/files/x", {{"x-api-key", "foreign"}}),
      head("POST", open, "/typed?api_key=1", {{"content-type", "application/json"}}),
      head("GET", open, "/bh-key-token-0001"),
      head("GET", "new.example.com", "/?token=1"),
      head("GET", "new.example.com", "/?_method=PUT"),
      head("GET", "key.example.com", "/b", {{"x-service-id", "foreign"}}),
      head("GET", "169.254.169.254", "/latest/meta-data/"),
      head("GET", "127.0.0.1", "/"),
      head("GET", "[::1]", "/"),
      head("GET", "[fd00:ec2::254]", "/"),
      head("GET", "[64:ff9b::a9fe:a9fe]", "/")};
  for (const RequestHead& request : requests) {
    const Decision denied = judge(grants(), tokens, request);
    EXPECT_EQ(denied.verdict, Verdict::deny) << denied.text;
    EXPECT_EQ(denied.add, "") << request.host << request.target;
  }
  const Decision denied = judge(grants(), tokens, requests.front());
  EXPECT_EQ(denied.reason, "path");
  EXPECT_NE(denied.text.find("authorization"), std::string::npos) << denied.text;
  // The session's own token in its slot is no obstacle, nor is a public address.
  EXPECT_NE(judge(grants(), tokens, head("GET", "key.example.com", "/b", {{"x-service-id", "bh-key-token-0001"}})).add,
            "");
  EXPECT_NE(judge(grants(), tokens, head("GET", "1.1.1.1", "/")).add, "");
}

// Several grants for a host: the first that allows, whatever stands before it.
TEST(Disguised, TheNearestGrantIsTheOneToldOf) {
  const auto all = grants();
  RequestHead request = head("POST", "open.example.com", "/typed", {{"content-type", "application/json"}});
  EXPECT_EQ(judge(all, tokens, request).grant, &all[1]);
  request.method = "GET";
  const Decision denied = judge(all, tokens, request);
  EXPECT_EQ(denied.reason, "method");
  EXPECT_EQ(denied.grant, &all[1]);
}

TEST(Ranges, EndsOfEach) {
  const auto refused = [](std::array<std::uint8_t, 4> a) { return why_not_dialled(a).has_value(); };
  using A = std::array<std::uint8_t, 4>;
  for (const A a :
       {A{10, 255, 255, 255}, A{100, 127, 255, 255}, A{169, 254, 0, 0}, A{192, 0, 2, 255}, A{192, 88, 99, 1},
        A{198, 19, 255, 255}, A{198, 51, 100, 7}, A{203, 0, 113, 7}, A{239, 1, 1, 1}, A{240, 0, 0, 0}})
    EXPECT_TRUE(refused(a)) << int(a[0]) << '.' << int(a[1]);
  for (const A a : {A{9, 255, 255, 255}, A{100, 63, 255, 255}, A{169, 253, 1, 1}, A{172, 32, 0, 1}, A{192, 0, 1, 1},
                    A{192, 88, 98, 1}, A{192, 167, 1, 1}, A{198, 20, 0, 1}, A{198, 51, 101, 7}, A{203, 0, 114, 7},
                    A{168, 63, 129, 17}, A{223, 1, 1, 1}})
    EXPECT_FALSE(refused(a)) << int(a[0]) << '.' << int(a[1]);
  const std::array<std::uint8_t, 5> odd{1, 1, 1, 1, 1};
  EXPECT_TRUE(why_not_dialled(odd));
  EXPECT_TRUE(why_not_dialled({}));
  // NAT64 for local use has no one place for the IPv4 address, so none of it is dialled.
  EXPECT_TRUE(why_not_dialled(std::array<std::uint8_t, 16>{0x00, 0x64, 0xff, 0x9b, 0x00, 0x01}));
}

TEST(Meter, NeverWraps) {
  Budget budget;
  budget.bytes_down = UINT64_MAX;
  budget.requests_per_minute = 1;
  Meter meter(budget);
  const auto start = Meter::Clock::time_point{} + std::chrono::hours(1);
  EXPECT_FALSE(meter.down(UINT64_MAX - 1, start));
  EXPECT_EQ(meter.down(5, start), "bytes_down") << "a counter at its end stays there";
  EXPECT_EQ(meter.down(UINT64_MAX, start), "bytes_down");
  EXPECT_FALSE(meter.request(start));
  EXPECT_TRUE(meter.request(start - std::chrono::minutes(5))) << "a clock that runs back";
}

}  // namespace
}  // namespace bulkhead::grant

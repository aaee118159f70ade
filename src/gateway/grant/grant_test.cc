#include "gateway/grant/grant.h"

#include <gtest/gtest.h>

#include <random>

#include "gateway/grant/address.h"
#include "gateway/grant/budget.h"
#include "gateway/grant/carrier.h"
#include "gateway/grant/host.h"
#include "gateway/grant/target.h"
#include "policy/load.h"

namespace bulkhead::grant {
namespace {

const char* const policy = R"(version = 1
[credential.api]
source = "env:API_KEY"
carry = { header = "x-api-key" }
[credential.git]
source = "env:GIT"
carry = { basic = "x-access-token" }
[credential.bearer]
source = "env:B"
carry = { bearer = true }
[credential.closed]
source = "env:C"
carry = { bearer = true }
optional = true

[[grant]]
host = "api.example.com"
credential = "api"
[[grant.allow]]
method = "POST"
path = "/v1/items/{id}"
content_type = "application/json"
max_body = 1000
[[grant.allow]]
method = ["GET", "HEAD"]
path = "/v1/items"
query = ["page", "filter[name]"]

[[grant]]
host = "git.example.com"
credential = "git"
[[grant.allow]]
method = "GET"
path = "/{owner}/{repository}/info/refs"
query = ["service"]

[[grant]]
host = "b.example.com"
credential = "bearer"
[[grant.allow]]
method = "GET"
path = "/**"
query = ["*"]

[[grant]]
host = "closed.example.com"
credential = "closed"
[[grant.allow]]
method = "GET"
path = "/"

[[grant]]
host = "*.cdn.example.com"
[[grant.allow]]
method = "GET"
path = "/files/**"

[[grant]]
host = "registry.example.com"
[[grant.allow]]
method = "GET"
path = "/{package}"

[[grant]]
host = "plain.example.com"
protocol = "http"
[[grant.allow]]
method = "GET"
path = "/*"

[[grant]]
host = "alt.example.com"
port = 8443
[[grant.allow]]
method = "GET"
path = "/a"

[[grant]]
hosts = ["one.set.example.com", "two.set.example.com", "*.three.set.example.com"]
[[grant.allow]]
method = "GET"
path = "/plain"
[[grant.allow]]
method = "GET"
path = "/headers"
headers = ["x-app", "x-tool-*"]
[[grant.allow]]
method = "GET"
path = "/headers/all"
headers = ["*"]

[[grant]]
host = "2001:db8::1"
[[grant.allow]]
method = "GET"
path = "/"
)";

std::vector<Grant> grants() {
  auto document = load_document(policy, "p.toml", "user");
  EXPECT_TRUE(document) << (document ? "" : document.error().message);
  return document ? document->grants : std::vector<Grant>();
}

const std::vector<TokenSlot> tokens{{"api", "bh-api-token-0001", Credential::Carrier::header, "x-api-key", ""},
                                    {"git", "bh-git-token-0002", Credential::Carrier::basic, "", "x-access-token"},
                                    {"bearer", "bh-bearer-token-0003", Credential::Carrier::bearer, "", ""}};

RequestHead head(std::string method, std::string host, std::string target, lane::Headers headers = {},
                 const std::string& scheme = "https", std::uint16_t port = 0) {
  RequestHead out;
  out.method = std::move(method);
  out.scheme = scheme;
  out.host = std::move(host);
  out.port = port != 0 ? port : scheme == "https" ? 443 : 80;
  out.target = std::move(target);
  out.headers = std::move(headers);
  return out;
}

struct Case {
  const char* name;
  RequestHead request;
  const char* reason;  // "" = allowed
};

const char* const basic_good = "Basic eC1hY2Nlc3MtdG9rZW46YmgtZ2l0LXRva2VuLTAwMDI=";

std::vector<Case> cases() {
  const std::string api = "api.example.com", b = "b.example.com";
  const lane::Headers token{{"x-api-key", "bh-api-token-0001"}};
  const lane::Headers json{{"content-type", "application/json; charset=utf-8"}, {"x-api-key", "bh-api-token-0001"}};
  return {
      {"token in its slot", head("GET", api, "/v1/items", token), ""},
      {"without a credential", head("GET", api, "/v1/items"), ""},
      {"head where listed", head("HEAD", api, "/v1/items", token), ""},
      {"listed query key", head("GET", api, "/v1/items?page=2", token), ""},
      {"listed key, encoded", head("GET", api, "/v1/items?filter%5Bname%5D=x", token), ""},
      {"post of json", head("POST", api, "/v1/items/7", json), ""},
      {"basic",
       head("GET", "git.example.com", "/o/r.git/info/refs?service=git-upload-pack", {{"authorization", basic_good}}),
       ""},
      {"bearer", head("GET", b, "/any/where?x=1", {{"authorization", "bearer bh-bearer-token-0003"}}), ""},
      {"one label", head("GET", "a1.cdn.example.com", "/files/x/y.z"), ""},
      {"encoded blank", head("GET", "a1.cdn.example.com", "/files/a%20b"), ""},
      {"npm scope", head("GET", "registry.example.com", "/@scope%2fname"), ""},
      {"plain http", head("GET", "plain.example.com", "/x", {}, "http"), ""},
      {"other port", head("GET", "alt.example.com", "/a", {}, "https", 8443), ""},
      {"ipv6", head("GET", "[2001:db8::1]", "/"), ""},
      {"h2c offer",
       head("GET", "plain.example.com", "/x", {{"connection", "Upgrade, HTTP2-Settings"}, {"upgrade", "h2c"}}, "http"),
       ""},
      {"idempotency key", head("GET", b, "/", {{"idempotency-key", "1"}}), ""},
      {"one of a set", head("GET", "two.set.example.com", "/plain"), ""},
      {"below one of a set", head("GET", "x.three.set.example.com", "/plain"), ""},
      {"everyday headers",
       head("GET", "one.set.example.com", "/plain",
            {{"user-agent", "x"}, {"accept", "*/*"}, {"if_none_match", "x"}, {"sec-fetch-mode", "cors"}}),
       ""},
      {"a dropped header is not judged",
       head("GET", "one.set.example.com", "/plain", {{"x-forwarded-for", "10.1.1.1"}}), ""},
      {"listed header", head("GET", "one.set.example.com", "/headers", {{"x-app", "1"}, {"x_tool_v", "1"}}), ""},
      {"any header", head("GET", "one.set.example.com", "/headers/all", {{"x-what-ever", "1"}}), ""},

      {"none of a set", head("GET", "three.set.example.com", "/plain"), "no-grant"},
      {"unlisted header", head("GET", "one.set.example.com", "/plain", {{"x-app", "1"}}), "header"},
      {"header that only begins as a listed one", head("GET", "one.set.example.com", "/headers", {{"x-app-2", "1"}}),
       "header"},
      {"header that ends as a listed one", head("GET", "one.set.example.com", "/headers", {{"xx-tool-1", "1"}}),
       "header"},
      {"any header, but no key", head("GET", "one.set.example.com", "/headers/all", {{"x-auth-token", "1"}}),
       "foreign-credential"},
      {"any header, but no override", head("GET", "one.set.example.com", "/headers/all", {{"x-original-url", "/"}}),
       "override"},
      {"an unlisted header and a key",
       head("GET", "one.set.example.com", "/plain", {{"x-app", "1"}, {"authorization", "Bearer k"}}),
       "foreign-credential"},

      {"no grant", head("GET", "evil.example.net", "/"), "no-grant"},
      {"suffix", head("GET", "api.example.com.evil.net", "/v1/items"), "no-grant"},
      {"prefix", head("GET", "xapi.example.com", "/v1/items"), "no-grant"},
      {"two labels", head("GET", "a.b.cdn.example.com", "/files/x"), "no-grant"},
      {"no label", head("GET", "cdn.example.com", "/files/x"), "no-grant"},
      {"http at an https grant", head("GET", api, "/v1/items", {}, "http"), "no-grant"},
      {"http on port 443", head("GET", api, "/v1/items", {}, "http", 443), "no-grant"},
      {"port", head("GET", "alt.example.com", "/a"), "no-grant"},
      {"path", head("GET", api, "/v1/files", token), "path"},
      {"below the path", head("POST", api, "/v1/items/7/all", json), "path"},
      {"trailing slash", head("GET", api, "/v1/items/", token), "path"},
      {"empty segment for a name", head("POST", api, "/v1/items/", json), "path"},
      {"case of the path", head("GET", api, "/V1/items", token), "path"},
      {"method", head("DELETE", api, "/v1/items", token), "method"},
      {"lower case method", head("get", api, "/v1/items", token), "method"},
      {"trace", head("TRACE", api, "/v1/items", token), "method"},
      {"connect", head("CONNECT", api, "/v1/items", token), "method"},
      {"query key", head("GET", api, "/v1/items?admin=1", token), "query"},
      {"second query key", head("GET", api, "/v1/items?page=1&admin=1", token), "query"},
      {"content type",
       head("POST", api, "/v1/items/7", {{"content-type", "text/plain"}, {"x-api-key", "bh-api-token-0001"}}),
       "content-type"},
      {"two content types",
       head("POST", api, "/v1/items/7", {{"content-type", "application/json"}, {"content-type", "text/plain"}}),
       "content-type"},
      {"dot dot", head("GET", "a1.cdn.example.com", "/files/../x"), "non-canonical"},
      {"dot", head("GET", "a1.cdn.example.com", "/files/./x"), "non-canonical"},
      {"encoded dots", head("GET", "a1.cdn.example.com", "/files/%2e%2e/x"), "non-canonical"},
      {"half encoded dots", head("GET", "a1.cdn.example.com", "/files/.%2E/x"), "non-canonical"},
      {"double slash", head("GET", "a1.cdn.example.com", "/files//x"), "non-canonical"},
      {"encoded slash", head("GET", "a1.cdn.example.com", "/files/a%2Fb"), "path"},
      {"encoded slash for a name", head("POST", api, "/v1/items/a%2Fb", json), "path"},
      {"two encoded slashes in a scope", head("GET", "registry.example.com", "/@a%2fb%2fc"), "path"},
      {"scope that leads up", head("GET", "registry.example.com", "/@a%2f.."), "path"},
      {"encoded slash without scope", head("GET", "registry.example.com", "/a%2fb"), "path"},
      {"encoded twice", head("GET", "a1.cdn.example.com", "/files/%252e%252e"), "non-canonical"},
      {"encoded nul", head("GET", "a1.cdn.example.com", "/files/%00"), "non-canonical"},
      {"encoded letter", head("GET", "a1.cdn.example.com", "/%66iles/x"), "non-canonical"},
      {"encoded backslash", head("GET", "a1.cdn.example.com", "/files/%5c"), "non-canonical"},
      {"backslash", head("GET", "a1.cdn.example.com", "/files/\\x"), "non-canonical"},
      {"half an encoding", head("GET", "a1.cdn.example.com", "/files/%2"), "non-canonical"},
      {"no hex", head("GET", "a1.cdn.example.com", "/files/%zz"), "non-canonical"},
      {"8 bit", head("GET", "a1.cdn.example.com", "/files/\xc3\xa9"), "non-canonical"},
      {"parameter", head("GET", "a1.cdn.example.com", "/files/x;y"), "non-canonical"},
      {"fragment", head("GET", "a1.cdn.example.com", "/files/x#y"), "non-canonical"},
      {"asterisk form", head("OPTIONS", api, "*"), "non-canonical"},
      {"query with semicolon", head("GET", b, "/?a=1;key=x"), "non-canonical"},
      {"empty query", head("GET", b, "/?"), "non-canonical"},
      {"empty key", head("GET", b, "/?=1"), "non-canonical"},
      {"empty pair", head("GET", b, "/?a=1&&b=2"), "non-canonical"},
      {"needlessly encoded key", head("GET", b, "/?%6bey=1"), "non-canonical"},
      {"upper case host", head("GET", "API.example.com", "/v1/items"), "non-canonical"},
      {"trailing dot", head("GET", "api.example.com.", "/v1/items"), "non-canonical"},
      {"octal address", head("GET", "0177.0.0.1", "/"), "non-canonical"},
      {"foreign key in the slot", head("GET", api, "/v1/items", {{"x-api-key", "sk-foreign"}}), "foreign-credential"},
      {"another slot's token", head("GET", api, "/v1/items", {{"x-api-key", "bh-git-token-0002"}}),
       "foreign-credential"},
      {"token and more", head("GET", api, "/v1/items", {{"x-api-key", "bh-api-token-0001 "}}), "foreign-credential"},
      {"slot twice", head("GET", api, "/v1/items", {{"x-api-key", "bh-api-token-0001"}, {"x-api-key", "sk-foreign"}}),
       "carrier"},
      {"authorization twice",
       head("GET", b, "/", {{"authorization", "Bearer x"}, {"authorization", "Bearer bh-bearer-token-0003"}}),
       "carrier"},
      {"authorization joined", head("GET", b, "/", {{"authorization", "Bearer bh-bearer-token-0003, Bearer x"}}),
       "foreign-credential"},
      {"wrong scheme", head("GET", b, "/", {{"authorization", "Basic bh-bearer-token-0003"}}), "foreign-credential"},
      {"token in another header", head("GET", b, "/", {{"x-note", "bh-bearer-token-0003"}}), "carrier"},
      {"token in the path", head("GET", b, "/bh-bearer-token-0003"), "carrier"},
      {"token in the query", head("GET", b, "/?q=bh-bearer-token-0003"), "carrier"},
      {"basic of another user",
       head("GET", "git.example.com", "/o/r/info/refs", {{"authorization", "Basic bWU6YmgtZ2l0LXRva2VuLTAwMDI="}}),
       "foreign-credential"},
      {"basic with rubbish behind",
       head("GET", "git.example.com", "/o/r/info/refs", {{"authorization", std::string(basic_good) + "="}}),
       "foreign-credential"},
      {"closed", head("GET", "closed.example.com", "/"), "credential"},
      {"method override", head("GET", b, "/", {{"x-http-method-override", "DELETE"}}), "override"},
      {"url override", head("GET", b, "/", {{"x-original-url", "/admin"}}), "override"},
      {"connection takes the key out", head("GET", b, "/", {{"connection", "authorization"}}), "connection"},
  };
}

TEST(Judge, Table) {
  const auto all = grants();
  for (const Case& c : cases()) {
    const Decision decision = judge(all, tokens, c.request);
    if (*c.reason == 0) {
      EXPECT_EQ(decision.verdict, Verdict::allow) << c.name << ": " << decision.text;
      EXPECT_NE(decision.grant, nullptr) << c.name;
      continue;
    }
    EXPECT_EQ(decision.verdict, Verdict::deny) << c.name;
    EXPECT_EQ(decision.reason, c.reason) << c.name << ": " << decision.text;
    EXPECT_FALSE(decision.text.empty()) << c.name;
    EXPECT_EQ(decision.text.find('\n'), std::string::npos) << c.name;
    EXPECT_GE(decision.status, 400) << c.name;
  }
}

// C02: whatever a service may read a key from, a grant without that slot refuses it.
TEST(Judge, ForeignKeysInEveryCarrier) {
  const auto all = grants();
  for (const char* name :
       {"authorization", "proxy-authorization", "x-api-key", "api-key", "x-goog-api-key", "private-token",
        "x-auth-token", "cookie", "x-amz-security-token", "x-vault-token", "dd-api-key", "x-auth-key",
        "ocp-apim-subscription-key", "x-client-secret", "x-gitlab-token", "npm-otp", "job-token"}) {
    EXPECT_EQ(judge(all, tokens, head("GET", "a1.cdn.example.com", "/files/x", {{name, "k"}})).reason,
              "foreign-credential")
        << name;
  }
  for (const char* key : {"key", "api_key", "API_KEY", "access_token", "token", "sig", "X-Amz-Signature",
                          "X-Goog-Credential", "password"}) {
    EXPECT_EQ(judge(all, tokens, head("GET", "b.example.com", std::string("/?") + key + "=1")).reason,
              "foreign-credential")
        << key;
  }
}

TEST(Judge, AnEmptyListAllowsNothing) {
  EXPECT_EQ(judge({}, tokens, head("GET", "api.example.com", "/")).reason, "no-grant");
  Grant empty;
  empty.hosts = {"api.example.com"};
  EXPECT_EQ(judge({empty}, tokens, head("GET", "api.example.com", "/")).verdict, Verdict::deny);
}

// What was allowed once at the terminal: that path and query, to the byte.
TEST(Judge, ARuleForOneTarget) {
  Grant grant;
  grant.id = "1";
  grant.hosts = {"once.example.com"};
  grant.allow = {{{"GET"}, "/*", {"*"}, "", std::nullopt}};
  grant.allow[0].target = "/a?b=%2f&c";
  const auto verdict = [&](const std::string& target) {
    return judge({grant}, {},
                 {.method = "GET",
                  .scheme = "https",
                  .host = "once.example.com",
                  .port = 443,
                  .target = target,
                  .headers = {}})
        .verdict;
  };
  EXPECT_EQ(verdict("/a?b=%2f&c"), Verdict::allow);
  for (const char* other : {"/a", "/a?b=%2F&c", "/a?c&b=%2f", "/a?b=%2f&c=", "/b?b=%2f&c"}) {
    EXPECT_EQ(verdict(other), Verdict::deny) << other;
  }
}

TEST(Judge, BodyLimit) {
  const auto all = grants();
  RequestHead request = head("POST", "api.example.com", "/v1/items/7", {{"content-type", "application/json"}});
  request.body = lane::BodyKind::length;
  request.body_length = 1000;
  EXPECT_EQ(judge(all, tokens, request).verdict, Verdict::allow);
  request.body_length = 1001;
  EXPECT_EQ(judge(all, tokens, request).status, 413);
}

TEST(Judge, APackageThatIsNotListedIsNamed) {  // A09
  Grant registry;
  registry.hosts = {"registry.example.com"};
  Rule rule{{"GET"}, "/{package}", {}, "", std::nullopt};
  rule.packages = {"left-pad", "@types/node"};
  registry.allow = {rule};
  const std::vector<Grant> all{registry};
  for (const char* path : {"/left-pad", "/@types%2fnode"}) {
    EXPECT_EQ(judge(all, {}, head("GET", "registry.example.com", path)).verdict, Verdict::allow) << path;
  }
  for (const char* path : {"/secret-in-hex", "/left-pad2", "/@types%2fsecret", "/left%2dpad", "/node"}) {
    EXPECT_EQ(judge(all, {}, head("GET", "registry.example.com", path)).verdict, Verdict::deny) << path;
  }
  const Decision denied = judge(all, {}, head("GET", "registry.example.com", "/@evil%2fsecret"));
  EXPECT_EQ(denied.reason, "path");
  EXPECT_NE(denied.text.find("package @evil/secret is none of the 2 that are granted"), std::string::npos)
      << denied.text;
}

// Whose token it brings says which of two grants at one place was meant.
TEST(Judge, OfTwoAsNearTheOneWhoseTokenItBrings) {
  Grant open, keyed;
  open.hosts = keyed.hosts = {"api.example.com"};
  open.id = "open";
  keyed.id = "keyed";
  keyed.credential = "api";
  open.allow = {{{"GET"}, "/public", {}, "", std::nullopt}};
  keyed.allow = {{{"GET"}, "/v1/items", {}, "", std::nullopt}};
  for (const auto& all : {std::vector<Grant>{open, keyed}, {keyed, open}}) {
    const Decision with =
        judge(all, tokens, head("GET", "api.example.com", "/x", {{"x-api-key", "bh-api-token-0001"}}));
    ASSERT_NE(with.grant, nullptr);
    EXPECT_EQ(with.grant->id, "keyed");
    EXPECT_TRUE(with.slot_filled);
    EXPECT_NE(with.add.find("credential = \"api\""), std::string::npos);
    const Decision foreign = judge(all, tokens, head("GET", "api.example.com", "/x", {{"x-api-key", "sk-other"}}));
    EXPECT_FALSE(foreign.slot_filled);
    EXPECT_EQ(foreign.add, "");
  }
  EXPECT_EQ(judge({open, keyed}, tokens, head("GET", "api.example.com", "/x")).grant->id, "open");
}

TEST(Judge, SlotFilledOnlyByTheToken) {
  const auto all = grants();
  EXPECT_TRUE(judge(all, tokens, head("GET", "api.example.com", "/v1/items", {{"x-api-key", "bh-api-token-0001"}}))
                  .slot_filled);
  EXPECT_FALSE(judge(all, tokens, head("GET", "api.example.com", "/v1/items")).slot_filled);
}

// What a denial says would allow it, does.
TEST(Judge, AdditionsAllowWhatWasDenied) {
  const std::string credentials = std::string(policy).substr(0, std::string(policy).find("[[grant]]"));
  const auto all = grants();
  int added = 0;
  for (const Case& c : cases()) {
    const Decision denied = judge(all, tokens, c.request);
    if (denied.add.empty()) continue;
    ++added;
    auto document = load_document(credentials + denied.add, "add.toml", "user");
    ASSERT_TRUE(document) << c.name << ": " << document.error().message << "\n" << denied.add;
    EXPECT_EQ(judge(document->grants, tokens, c.request).verdict, Verdict::allow) << c.name << "\n" << denied.add;
  }
  EXPECT_GE(added, 10);
  // Where nothing should be added, nothing is offered.
  EXPECT_TRUE(judge(all, tokens, head("GET", "evil.net", "/", {{"authorization", "Bearer k"}})).add.empty());
  EXPECT_TRUE(judge(all, tokens, head("GET", "api.example.com", "/v1/items", {{"x-api-key", "k"}})).add.empty());
}

TEST(Judge, HostileTextIsEscaped) {
  const Decision denied = judge(grants(), tokens, head("GET", "evil.net", "/", {{"connection", "\x1b]52;c;x\x07"}}));
  EXPECT_EQ(denied.text.find('\x1b'), std::string::npos);
}

TEST(Headers, HopByHopAndForwardingStay) {
  const RequestHead request = head("GET", "b.example.com", "/",
                                   {{"accept", "*/*"},
                                    {"connection", "close"},
                                    {"te", "trailers"},
                                    {"x-forwarded-for", "1.2.3.4"},
                                    {"via", "x"},
                                    {"authorization", "Bearer bh-bearer-token-0003"},
                                    {"host", "b.example.com"},
                                    {"content-length", "0"},
                                    {"proxy-foo", "x"},
                                    {"user-agent", "t"}});
  const lane::Headers expected{{"accept", "*/*"}, {"user-agent", "t"}};
  EXPECT_EQ(upstream_headers(request, &tokens[2]), expected);
}

TEST(Host, OneSpelling) {
  for (const char* good : {"example.com", "a-1.b2", "127.0.0.1", "[::1]", "[2001:db8::1]", "xn--bcher-kva.example"}) {
    EXPECT_EQ(canonical_host(good), good);
  }
  EXPECT_EQ(canonical_host("EXAMPLE.com"), "example.com");
  for (const char* bad :
       {"",          ".",        "a..b",       "a.",         ".a",  "-a.b",         "a-.b",
        "0x7f.1",    "127.1",    "2130706433", "0177.0.0.1", "::1", "[::01]",       "[::ffff:1.2.3.4]",
        "*.a.b",     "a b",      "a%2e",       "user@a",     "a:1", "\xc3\xa9.com", "a/b",
        "1.2.3.4.5", "[1.2.3.4]"}) {
    EXPECT_FALSE(canonical_host(bad)) << bad;
  }
  EXPECT_EQ(parse_authority("a.b:8443")->port, 8443);
  EXPECT_EQ(parse_authority("[::1]:1")->host, "[::1]");
  EXPECT_FALSE(parse_authority("[::1]")->port);
  for (const char* bad : {"a:", "a:0", "a:080", "a:65536", "a:-1", "a:1x", "a: 1", "[::1]x:1", "a:1:2"}) {
    EXPECT_FALSE(parse_authority(bad)) << bad;
  }
}

// Whatever passes splits into parts that are the whole again, and no part means another path to
// anybody.
TEST(Target, RandomTargets) {
  std::mt19937 random(7);
  const std::string alphabet = "/ab.%2e5cf?&=;\\#@*~+";
  int accepted = 0;
  for (int i = 0; i < 200'000; ++i) {
    std::string text = "/";
    for (unsigned n = random() % 12; n > 0; --n) text += alphabet[random() % alphabet.size()];
    const auto target = split_target(text);
    if (!target) continue;
    ++accepted;
    std::string again;
    for (const auto segment : target->segments) {
      again += "/" + std::string(segment);
      EXPECT_NE(segment, "..");
    }
    EXPECT_EQ(again, target->path);
    EXPECT_EQ(target->path.find("//"), std::string::npos);
    EXPECT_EQ(text.find('\\'), std::string::npos);
    EXPECT_TRUE(path_matches(template_for(*target), *target) || text.find("%2f") != std::string::npos) << text;
  }
  EXPECT_GT(accepted, 1000);
}

std::optional<std::string_view> v4(std::uint8_t a, std::uint8_t b, std::uint8_t c, std::uint8_t d) {
  const std::uint8_t bytes[] = {a, b, c, d};
  return why_not_dialled(bytes);
}

TEST(Address, OnlyPublicOnes) {
  EXPECT_FALSE(v4(1, 1, 1, 1));
  EXPECT_FALSE(v4(172, 15, 0, 1));
  EXPECT_FALSE(v4(100, 128, 0, 1));
  EXPECT_FALSE(v4(11, 22, 33, 44));
  for (const auto& a : std::vector<std::array<std::uint8_t, 4>>{{0, 0, 0, 0},
                                                                {10, 1, 2, 3},
                                                                {100, 64, 0, 1},
                                                                {100, 100, 100, 200},
                                                                {127, 0, 0, 1},
                                                                {168, 63, 129, 16},
                                                                {169, 254, 169, 254},
                                                                {172, 16, 0, 1},
                                                                {172, 31, 255, 255},
                                                                {192, 0, 0, 192},
                                                                {192, 168, 1, 1},
                                                                {198, 18, 0, 1},
                                                                {224, 0, 0, 1},
                                                                {255, 255, 255, 255}}) {
    EXPECT_TRUE(v4(a[0], a[1], a[2], a[3])) << int(a[0]) << "." << int(a[1]);
    std::array<std::uint8_t, 16> mapped{};
    mapped[10] = mapped[11] = 0xff;
    std::copy(a.begin(), a.end(), mapped.begin() + 12);
    EXPECT_TRUE(why_not_dialled(mapped));
    std::array<std::uint8_t, 16> nat64{0x00, 0x64, 0xff, 0x9b};
    std::copy(a.begin(), a.end(), nat64.begin() + 12);
    EXPECT_TRUE(why_not_dialled(nat64));
    std::array<std::uint8_t, 16> sixtofour{0x20, 0x02};
    std::copy(a.begin(), a.end(), sixtofour.begin() + 2);
    EXPECT_TRUE(why_not_dialled(sixtofour));
  }
  for (const auto& start : std::vector<std::vector<std::uint8_t>>{{0xfe, 0x80},
                                                                  {0xfd, 0x00, 0x0e, 0xc2},
                                                                  {0xfc},
                                                                  {0xff, 0x02},
                                                                  {0xfe, 0xc0},
                                                                  {0x20, 0x01, 0x0d, 0xb8},
                                                                  {0x20, 0x01, 0, 0},
                                                                  {0}}) {
    std::array<std::uint8_t, 16> address{};
    std::copy(start.begin(), start.end(), address.begin());
    address[15] = 1;
    EXPECT_TRUE(why_not_dialled(address)) << int(start[0]);
  }
  const std::array<std::uint8_t, 16> tunnelled{0x20, 0x02, 8, 8, 8, 8};
  EXPECT_TRUE(why_not_dialled(tunnelled)) << "6to4, whatever stands in it";
  const std::array<std::uint8_t, 16> google{0x2a, 0x00, 0x14, 0x50, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
  EXPECT_FALSE(why_not_dialled(google));
}

TEST(Judge, AnUnlistedHeaderIsNamedAndOffered) {
  const auto all = grants();
  const Decision decision =
      judge(all, tokens, head("GET", "one.set.example.com", "/headers", {{"x-new", "1"}, {"x-app", "1"}}));
  EXPECT_NE(decision.text.find("x-new"), std::string::npos) << decision.text;
  EXPECT_NE(decision.add.find("headers = [\"x-app\", \"x-tool-*\", \"x-new\"]"), std::string::npos) << decision.add;
  EXPECT_EQ(judge(all, tokens, head("GET", "one.set.example.com", "/plain", {{"x-*", "1"}})).add, "")
      << "who asks may not choose a wildcard";
}

TEST(Meter, BytesOfAnySixtySeconds) {
  Budget budget;
  budget.bytes_up_per_minute = 100;
  budget.bytes_down_per_minute = 10;
  Meter meter(budget);
  auto now = Meter::Clock::time_point{} + std::chrono::hours(1);
  EXPECT_FALSE(meter.fits_up(100, now));
  EXPECT_EQ(meter.fits_up(101, now), "bytes_up_per_minute");
  EXPECT_FALSE(meter.up(60, now));
  EXPECT_FALSE(meter.up(40, now));
  EXPECT_EQ(meter.up(1, now), "bytes_up_per_minute");
  EXPECT_EQ(meter.down(11, now), "bytes_down_per_minute");
  now += std::chrono::seconds(61);
  EXPECT_EQ(meter.fits_up(50, now), "bytes_up_per_minute") << "the last minute still covers most of it";
  now += std::chrono::seconds(60);
  EXPECT_FALSE(meter.fits_up(100, now));
  EXPECT_FALSE(meter.down(10, now));
}

TEST(Meter, CountsRequestsAndBytes) {
  Budget budget;
  budget.requests = 5;
  budget.requests_per_minute = 3;
  budget.bytes_up = 10;
  Meter meter(budget);
  const auto start = Meter::Clock::time_point{} + std::chrono::hours(1);
  for (int i = 0; i < 3; ++i) EXPECT_FALSE(meter.request(start));
  EXPECT_EQ(meter.request(start), "requests_per_minute");
  EXPECT_EQ(meter.request(start + std::chrono::seconds(62)), "requests_per_minute")
      << "most of the last minute still counts";
  EXPECT_FALSE(meter.request(start + std::chrono::seconds(110)));
  EXPECT_FALSE(meter.request(start + std::chrono::seconds(300)));
  EXPECT_EQ(meter.request(start + std::chrono::seconds(900)), "requests");
  EXPECT_FALSE(meter.fits_up(10, start));
  EXPECT_EQ(meter.fits_up(11, start), "bytes_up");
  EXPECT_FALSE(meter.up(10, start));
  EXPECT_EQ(meter.up(1, start), "bytes_up");
  EXPECT_EQ(meter.up(UINT64_MAX, start), "bytes_up");
  EXPECT_EQ(meter.fits_up(0, start), "bytes_up");
  EXPECT_FALSE(meter.down(UINT64_MAX, start));
}

// What servers hand out is known here by number alone.
TEST(Judge, AnIssuedTokenHasANumber) {
  const TokenSlot bearer{.credential = "c",
                         .token = "bulkhead-0123",
                         .carrier = Credential::Carrier::bearer,
                         .header = "",
                         .basic_user = "",
                         .issued = true};
  const TokenSlot header{.credential = "c",
                         .token = "bulkhead-0123",
                         .carrier = Credential::Carrier::header,
                         .header = "x-api-key",
                         .basic_user = "",
                         .issued = true};
  const auto judged = [](const TokenSlot& slot, const std::string& name, const std::string& value) {
    const auto target = split_target("/v2/");
    return judge_carriers({{name, value}}, "/v2/", *target, &slot, {slot});
  };
  EXPECT_EQ(judged(bearer, "authorization", "Bearer bulkhead-0123-1").issued, 1U);
  EXPECT_EQ(judged(bearer, "authorization", "bearer bulkhead-0123-999999999").issued, 999'999'999U);
  EXPECT_EQ(judged(header, "x-api-key", "bulkhead-0123-40").issued, 40U);
  EXPECT_TRUE(judged(header, "x-api-key", "bulkhead-0123-40").slot_filled);
  for (const char* value :
       {"Bearer bulkhead-0123", "Bearer bulkhead-0123-", "Bearer bulkhead-0123-0", "Bearer bulkhead-0123-01",
        "Bearer bulkhead-0123-+1", "Bearer bulkhead-0123--1", "Bearer bulkhead-0123-1 ", "Bearer bulkhead-0123-1x",
        "Bearer bulkhead-0123-1000000000", "Bearer bulkhead-0123-99999999999999999999", "Bearer bulkhead-0124-1",
        "Bearer bulkhead-0123x1", "Bearer  bulkhead-0123-1", "Basic bulkhead-0123-1", "bulkhead-0123-1",
        "Bearer eyJhbGciOiJSUzI1NiJ9", ""}) {
    const CarrierVerdict verdict = judged(bearer, "authorization", value);
    EXPECT_FALSE(verdict.ok) << value;
    EXPECT_EQ(verdict.reason, "foreign-credential") << value;
    EXPECT_EQ(verdict.issued, 0U);
  }
  // Nowhere else.
  EXPECT_EQ(judged(bearer, "accept", "bulkhead-0123-1").reason, "carrier");
  EXPECT_EQ(judged(bearer, "x-api-key", "bulkhead-0123-1").reason, "foreign-credential");
}

}  // namespace
}  // namespace bulkhead::grant

#include "advice/offer.h"

#include "advice/test_help.h"
#include "gateway/grant/grant.h"

namespace bulkhead::advice {
namespace {

using testing_help::source_dir;

Question question(const std::string& method, const std::string& target, const std::string& host = "new.example.com") {
  Question out;
  out.number = 1;
  out.method = method;
  out.scheme = "https";
  out.host = host;
  out.port = 443;
  out.target = target;
  return out;
}

bool allows(const std::vector<Grant>& grants, const Question& question) {
  return grant::judge(grants, {}, head_of(question)).verdict == grant::Verdict::allow;
}

Known shipped() {
  Known known;
  for (const std::string& name : preset_names(source_dir)) {
    Document document;
    document.grants.emplace_back();
    document.grants.back().preset = name;
    if (expand_presets(source_dir, document)) known.presets.emplace_back(name, std::move(document.grants));
  }
  return known;
}

TEST(Offer, TheTightestGrant) {
  Question asked = question("POST", "/v1/items/17?q=a&r=%2f");
  asked.headers = {"x-app"};
  asked.content_type = "application/json; charset=utf-8";
  asked.body = lane::BodyKind::length;
  asked.body_length = 100;
  const auto offer = offer_for(asked, {}, {});
  ASSERT_TRUE(offer) << offer.error().message;
  EXPECT_EQ(
      offer->toml,
      "[[grant]]\nhost = \"new.example.com\"\n[[grant.allow]]\nmethod = \"POST\"\npath = \"/v1/items/17\"\n"
      "query = [\"q\", \"r\"]\nheaders = [\"x-app\"]\ncontent_type = \"application/json\"\nmax_body = \"100KB\"\n");
  EXPECT_TRUE(offer->preset.empty());
  EXPECT_TRUE(allows(offer->grants, asked));
  Question other = asked;
  other.target = "/v1/items/17?q=b";
  EXPECT_TRUE(allows(offer->grants, other));
  for (const auto& change : std::vector<std::function<void(Question&)>>{
           [](Question& q) { q.target = "/v1/items/18"; }, [](Question& q) { q.method = "PUT"; },
           [](Question& q) { q.host = "other.example.com"; }, [](Question& q) { q.port = 8443; },
           [](Question& q) { q.scheme = "http"; }, [](Question& q) { q.headers = {"x-other"}; },
           [](Question& q) { q.target += "&s=1"; }, [](Question& q) { q.content_type = "text/plain"; },
           [](Question& q) { q.body_length = 1'000'000; }}) {
    Question changed = asked;
    change(changed);
    EXPECT_FALSE(allows(offer->grants, changed));
  }
}

TEST(Offer, OnceIsThisAndNothingElse) {
  for (const char* target : {"/v1/a?q=1", "/%2a/id?a=b%2f&a=2&b", "/v1", "/", "/a/"}) {
    Question asked = question("GET", target);
    const auto offer = offer_for(asked, {}, {});
    ASSERT_TRUE(offer) << target << " " << offer.error().message;
    ASSERT_EQ(offer->once.size(), 1U);
    EXPECT_EQ(offer->once[0].budget.requests, 1U);
    EXPECT_TRUE(allows(offer->once, asked)) << target;
    for (const char* other :
         {"/v1/a", "/v1/a?q=2", "/v1/a?q=1&q=1", "/v1/b?q=1", "/v1?", "/%2A/id?a=b%2f&a=2&b", "/x", "/v1/", "/a"}) {
      Question changed = asked;
      changed.target = other;
      EXPECT_FALSE(allows(offer->once, changed)) << target << " " << other;
    }
    Question changed = asked;
    changed.body = lane::BodyKind::length;
    changed.body_length = 1;
    EXPECT_FALSE(allows(offer->once, changed)) << "it had no body";
  }
}

TEST(Offer, APresetWhereOneFits) {
  const Known known = shipped();
  ASSERT_FALSE(known.presets.empty());
  const Question asked = question("GET", "/left-pad", "registry.npmjs.org");
  const auto offer = offer_for(asked, known, {});
  ASSERT_TRUE(offer) << offer.error().message;
  EXPECT_EQ(offer->preset, "npm-install");
  EXPECT_EQ(offer->toml, "[[grant]]\npreset = \"npm-install\"\n");
  EXPECT_TRUE(allows(offer->grants, asked));
  EXPECT_TRUE(allows(offer->grants, question("GET", "/right-pad", "registry.npmjs.org")));
  EXPECT_FALSE(allows(offer->once, question("GET", "/right-pad", "registry.npmjs.org"))) << "once is once";
  for (const Grant& grant : offer->grants) EXPECT_TRUE(grant.credential.empty());
  // A preset that does not allow it is no answer to it.
  EXPECT_TRUE(offer_for(question("PUT", "/left-pad", "registry.npmjs.org"), known, {})->preset.empty());
  EXPECT_TRUE(offer_for(question("GET", "/left-pad"), known, {})->preset.empty());
}

Grant held_grant(const std::string& host, const std::string& credential = "api") {
  Grant out;
  out.hosts = {host};
  out.credential = credential;
  out.allow = {{{"GET"}, "/granted", {}, "", std::nullopt}};
  return out;
}

Known with_credentials() {
  Known known = shipped();
  Credential api;
  api.header = "x-acme";
  known.credentials["api"] = api;
  api.carrier = Credential::Carrier::bearer;
  known.credentials["npm"] = api;
  api.carrier = Credential::Carrier::sigv4;
  known.credentials["signs"] = api;
  api.carrier = Credential::Carrier::bearer;
  api.source = Credential::Source::answer;
  known.credentials["answer"] = api;
  api.source = Credential::Source::login;
  known.credentials["login"] = api;
  return known;
}

TEST(Offer, WithTheCredentialThatGoesToThisHostAlready) {
  const Known known = with_credentials();
  Question asked = question("GET", "/v1/other", "api.example.com");
  asked.credential = "api";
  const std::vector<Grant> held{held_grant("api.example.com")};
  const auto offer = offer_for(asked, known, held);
  ASSERT_TRUE(offer) << offer.error().message;
  EXPECT_EQ(offer->credential, "api");
  EXPECT_EQ(offer->toml,
            "[[grant]]\nhost = \"api.example.com\"\ncredential = \"api\"\n[[grant.allow]]\nmethod = \"GET\"\n"
            "path = \"/v1/other\"\n");
  for (const auto* grants : {&offer->once, &offer->grants}) {
    ASSERT_EQ(grants->size(), 1U);
    EXPECT_EQ(grants->front().credential, "api");
    EXPECT_TRUE(allowed_by(*grants, asked, known));
  }
  EXPECT_EQ(offer->once[0].budget.requests, 1U);
  Question without = asked;
  without.credential = "";
  EXPECT_FALSE(allowed_by(offer->grants, without, known)) << "that one is asked about by itself";
  EXPECT_TRUE(offer_for(without, known, held)->grants[0].credential.empty()) << "nothing goes along unasked";
  // A wildcard of the policy's is the policy's word.
  EXPECT_TRUE(offer_for(asked, known, {held_grant("*.example.com")}));
}

// A front that was taken over may say of any request that it carries any credential.
TEST(Offer, NoCredentialGoesToAnotherPlace) {
  const Known known = with_credentials();
  Question asked = question("GET", "/v1/other", "api.example.com");
  asked.credential = "api";
  Grant held = held_grant("api.example.com");
  ASSERT_TRUE(offer_for(asked, known, {held}));
  for (const auto& change : std::vector<std::function<void(Question&, Grant&)>>{
           [](Question& q, Grant&) { q.host = "evil.example.com"; }, [](Question& q, Grant&) { q.port = 8443; },
           [](Question& q, Grant&) { q.scheme = "http"; }, [](Question& q, Grant&) { q.credential = "npm"; },
           [](Question& q, Grant&) { q.credential = "nobody's"; },
           [](Question&, Grant& g) { g.hosts = {"other.example.com"}; },
           [](Question&, Grant& g) { g.hosts = {"*.api.example.com"}; }, [](Question&, Grant& g) { g.port = 8443; },
           [](Question&, Grant& g) { g.credential = ""; }, [](Question&, Grant& g) { g.address = "127.0.0.1"; },
           [](Question&, Grant& g) { g.protocol = Protocol::tcp; }}) {
    Question other = asked;
    Grant grant = held;
    change(other, grant);
    const auto offer = offer_for(other, known, {grant});
    EXPECT_FALSE(offer) << (offer ? offer->toml : "");
  }
  EXPECT_FALSE(offer_for(asked, known, {}));
  for (const char* name : {"signs", "answer", "login"}) {
    asked.credential = name;
    EXPECT_FALSE(offer_for(asked, known, {held_grant("api.example.com", name)})) << name;
  }
}

TEST(Offer, APresetWithACredentialWhereAllOfItMayHaveIt) {
  const Known known = with_credentials();
  Question asked = question("GET", "/left-pad", "registry.npmjs.org");
  asked.credential = "npm";
  auto offer = offer_for(asked, known, {held_grant("registry.npmjs.org", "npm")});
  ASSERT_TRUE(offer) << offer.error().message;
  EXPECT_EQ(offer->preset, "npm-install");
  EXPECT_EQ(offer->toml, "[[grant]]\npreset = \"npm-install\"\ncredential = \"npm\"\n");
  for (const Grant& grant : offer->grants) EXPECT_EQ(grant.credential, "npm");
  // A preset of two hosts, one of which the key goes to.
  asked = question("GET", "/config.json", "index.crates.io");
  EXPECT_EQ(offer_for(asked, known, {})->preset, "crates");
  asked.credential = "npm";
  offer = offer_for(asked, known, {held_grant("index.crates.io", "npm")});
  ASSERT_TRUE(offer) << offer.error().message;
  EXPECT_EQ(offer->preset, "");
  offer = offer_for(asked, known, {held_grant("index.crates.io", "npm"), held_grant("static.crates.io", "npm")});
  EXPECT_EQ(offer->preset, "crates");
}

TEST(Offer, AgrpcCall) {
  Question asked = question("POST", "/helloworld.Greeter/SayHello");
  asked.http2 = true;
  asked.content_type = "application/grpc";
  asked.body = lane::BodyKind::streamed;
  const auto offer = offer_for(asked, {}, {});
  ASSERT_TRUE(offer) << offer.error().message;
  EXPECT_EQ(offer->grants[0].protocol, Protocol::grpc);
  EXPECT_TRUE(allows(offer->once, asked));
}

// Whatever a front that was taken over writes into a question.
TEST(Offer, NothingForWhatNoGrantMayAllow) {
  std::vector<Question> asked{question("GET", "/", "10.0.0.1"),
                              question("GET", "/", "[::1]"),
                              question("GET", "/", "169.254.169.254"),
                              question("GET", "/", "*.example.com"),
                              question("GET", "/", "*"),
                              question("GET", "/", "Example.com"),
                              question("GET", "/", "example.com\"\n[[grant]]"),
                              question("GET", "/", ""),
                              question("GET", "/a/../b"),
                              question("GET", "/a\" \nmethod"),
                              question("GET", "**"),
                              question("GET", ""),
                              question("GET", "/?access_token=x"),
                              question("GET", "/?*=1"),
                              question("GET", "/?_method=PUT"),
                              question("TRACE", "/"),
                              question("CONNECT", "/"),
                              question("*", "/"),
                              question("get it", "/"),
                              question("", "/")};
  for (const char* name : {"authorization", "x-api-key", "cookie", "*", "x-*", "X-App", "x-http-method-override", ""}) {
    asked.push_back(question("GET", "/"));
    asked.back().headers = {name};
  }
  asked.push_back(question("GET", "/"));
  asked.back().port = 53;
  for (const Question& one : asked) {
    const auto offer = offer_for(one, shipped(), {});
    EXPECT_FALSE(offer) << one.method << " " << one.host << one.target << " " << (offer ? offer->toml : "");
  }
  // A path that looks like a template is one path.
  const auto stars = offer_for(question("GET", "/a/**"), {}, {});
  if (stars) EXPECT_FALSE(allows(stars->grants, question("GET", "/a/b/c")));
}

}  // namespace
}  // namespace bulkhead::advice

#include "policy/within.h"

#include <gtest/gtest.h>

namespace bulkhead {
namespace {

Rule rule() {
  return {{"GET", "POST"}, "/v1/{id}", {"page", "limit"}, "application/json", 1000};
}

// A closed list that is left out, or longer, opens more.
TEST(Within, Packages) {
  const auto with = [](std::vector<std::string> packages) {
    Rule out{{"GET"}, "/{package}", {}, "", std::nullopt};
    out.packages = std::move(packages);
    return out;
  };
  EXPECT_TRUE(within(with({"a"}), with({"a", "b"})));
  EXPECT_TRUE(within(with({"b", "a"}), with({"a", "b"})));
  EXPECT_FALSE(within(with({"a", "c"}), with({"a", "b"})));
  EXPECT_FALSE(within(with({}), with({"a"})));
  const auto common = [&](std::vector<std::string> now, std::vector<std::string> before) {
    Grant a, b;
    a.hosts = b.hosts = {"registry.example.com"};
    a.allow = {with(std::move(now))};
    b.allow = {with(std::move(before))};
    return common_part(a, b);
  };
  EXPECT_TRUE(common({"a"}, {}).whole);
  EXPECT_FALSE(common({}, {"a"}).whole);
  EXPECT_EQ(common({}, {"a"}).grant.allow.at(0).packages, std::vector<std::string>{"a"});
  EXPECT_EQ(common({"b", "c"}, {"a", "b"}).grant.allow.at(0).packages, std::vector<std::string>{"b"});
  EXPECT_FALSE(common({"c"}, {"a"}).anything()) << "none is not any";
}

TEST(Within, Rules) {
  const auto is = [](const std::function<void(Rule&)>& change) {
    Rule changed = rule();
    change(changed);
    return within(changed, rule());
  };
  EXPECT_TRUE(is([](Rule&) {}));
  EXPECT_TRUE(is([](Rule& r) { r.methods = {"POST"}; }));
  EXPECT_TRUE(is([](Rule& r) { r.query.clear(); }));
  EXPECT_TRUE(is([](Rule& r) { r.max_body = 10; }));
  EXPECT_TRUE(is([](Rule& r) { r.json = JsonRules{{"x"}, {}, {}, {}}; }));
  EXPECT_TRUE(is([](Rule& r) { r.packages = {"a"}; }));
  EXPECT_FALSE(is([](Rule& r) { r.methods.push_back("PUT"); }));
  EXPECT_FALSE(is([](Rule& r) { r.path = "/v1/x"; }));  // it may be, but that is not told here
  EXPECT_FALSE(is([](Rule& r) { r.query = {"*"}; }));
  EXPECT_FALSE(is([](Rule& r) { r.query.push_back("q"); }));
  EXPECT_FALSE(is([](Rule& r) { r.headers = {"x-one"}; }));
  EXPECT_FALSE(is([](Rule& r) { r.content_type.clear(); }));
  EXPECT_FALSE(is([](Rule& r) { r.max_body = 1001; }));
  EXPECT_FALSE(is([](Rule& r) { r.max_body.reset(); }));
  Rule strict = rule();
  strict.json = JsonRules{{"x", "y"}, {}, {}, {}};
  EXPECT_FALSE(within(rule(), strict));
  EXPECT_TRUE(within(strict, strict));
  // A value that has to be there is asked for: a list without it, or with another, is wider.
  Rule closed = rule();
  closed.query = {"service=read", "page"};
  EXPECT_TRUE(within(closed, closed));
  Rule other = closed;
  for (const std::vector<std::string>& query : {std::vector<std::string>{"page"},
                                                {},
                                                {"service", "page"},
                                                {"service=write"},
                                                {"service=read", "service=write"}}) {
    other.query = query;
    EXPECT_FALSE(within(other, closed)) << ::testing::PrintToString(query);
  }
  other.query = {"service=read"};
  EXPECT_TRUE(within(other, closed));
  closed.query = {"service", "page"};
  EXPECT_TRUE(within(other, closed));
  other = rule();
  other.headers = {"x-app-one"};
  closed = rule();
  closed.headers = {"x-app-*"};
  EXPECT_TRUE(within(other, closed));
  EXPECT_FALSE(within(closed, other));
  Rule open = rule();
  open.query = {"*"};
  open.headers = {"*"};
  EXPECT_TRUE(within(rule(), open));
}

TEST(Within, Answers) {
  const ResponseRules any, some{1000, std::vector<std::string>{"text/plain"}, false, {"a.b"}};
  EXPECT_TRUE(within(some, any));
  EXPECT_FALSE(within(any, some));
  ResponseRules other = some;
  other.redact = {"a.b", "c"};
  EXPECT_TRUE(within(other, some));
  EXPECT_FALSE(within(some, other));

  // What is handed out: one place more is more, and one less shows the value itself.
  ResponseRules issuing = some;
  issuing.issue = {"token"};
  EXPECT_TRUE(within(issuing, issuing));
  EXPECT_FALSE(within(issuing, some));
  EXPECT_FALSE(within(some, issuing));
  ResponseRules following = some;
  following.follow = {"cdn.example.com"};
  EXPECT_FALSE(within(following, some));
  EXPECT_TRUE(within(some, following));

  Grant before, now;
  before.response = issuing;
  before.response.follow = {"a.example.com"};
  now.response = some;
  now.response.issue = {"other"};
  now.response.follow = {"a.example.com", "b.example.com"};
  const Common common = common_part(now, before);
  EXPECT_FALSE(common.whole);
  EXPECT_TRUE(common.grant.response.issue.empty());
  EXPECT_EQ(common.grant.response.redact, (std::vector<std::string>{"a.b", "other", "token"}));
  EXPECT_EQ(common.grant.response.follow, std::vector<std::string>{"a.example.com"});
}

TEST(Within, Hosts) {
  EXPECT_TRUE(within("a.example.com", {"b.example.com", "a.example.com"}));
  EXPECT_TRUE(within("a.example.com", {"*.example.com"}));
  EXPECT_TRUE(within("*.example.com", {"*.example.com"}));
  EXPECT_FALSE(within("*.example.com", {"a.example.com"}));
  EXPECT_FALSE(within("a.b.example.com", {"*.example.com"}));
  EXPECT_FALSE(within("xn--a.example.com", {"*.example.com"}));
  EXPECT_FALSE(within("example.com", {"*.example.com"}));
}

TEST(Within, CommonPart) {
  Grant before;
  before.hosts = {"a.example.com", "b.example.com"};
  before.allow = {rule()};
  before.budget.requests = 10;
  before.labels = 4;
  EXPECT_TRUE(common_part(before, before).whole);

  Grant now = before;
  now.hosts = {"b.example.com", "c.example.com"};
  now.allow.push_back({{"DELETE"}, "/**", {}, "", std::nullopt});
  now.allow[0].methods = {"GET"};
  now.budget.requests = 20;
  now.budget.bytes_up = 5;
  now.expires = std::chrono::seconds(60);
  const Common common = common_part(now, before);
  EXPECT_FALSE(common.whole);
  EXPECT_TRUE(common.anything());
  EXPECT_EQ(common.grant.hosts, std::vector<std::string>{"b.example.com"});
  ASSERT_EQ(common.grant.allow.size(), 1U);
  EXPECT_EQ(common.grant.allow[0].methods, std::vector<std::string>{"GET"});
  EXPECT_EQ(common.grant.budget.requests, 10U);
  EXPECT_EQ(common.grant.budget.bytes_up, 5U);
  EXPECT_EQ(common.grant.expires, std::chrono::seconds(60));

  // A rule that says more leaves what it said before.
  now = before;
  now.allow[0].methods = {"GET", "POST", "PUT"};
  now.allow[0].max_body = 10;
  const Common less = common_part(now, before);
  EXPECT_FALSE(less.whole);
  ASSERT_EQ(less.grant.allow.size(), 1U);
  EXPECT_EQ(less.grant.allow[0].methods, (std::vector<std::string>{"GET", "POST"}));
  EXPECT_EQ(less.grant.allow[0].max_body, 10U);
  now = before;
  now.hosts = {"*.example.com"};
  EXPECT_EQ(common_part(now, before).grant.hosts, before.hosts);

  now.hosts = {"c.example.com"};
  EXPECT_FALSE(common_part(now, before).anything());
}

}  // namespace
}  // namespace bulkhead

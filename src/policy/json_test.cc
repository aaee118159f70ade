#include "policy/json.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace bulkhead {
namespace {

using nlohmann::json;

Grant full_grant() {
  Grant grant;
  grant.id = "7";
  grant.hosts = {"*.example.com"};
  grant.port = 8080;
  grant.protocol = Protocol::http;
  grant.credential = "";
  grant.allow = {{{"GET", "HEAD"}, "/a/{b}", {"x", "y"}, "text/plain", 12345}, {{"POST"}, "/", {}, "", std::nullopt}};
  grant.allow[1].json = JsonRules{{"a"}, {{"b", {"c"}}}, {{"d.*", {"e*"}}}, {{"f", {"g", "h"}}}, {"i.j"}};
  grant.allow[0].target = "/v1/a?b=c";
  grant.allow[0].packages = {"@types/node"};
  grant.allow[0].git = GitRules{{"refs/heads/x", "refs/tags/*"}, true, {"ci.skip"}};
  grant.budget.requests = 0;
  grant.budget.bytes_down = 18446744073709551615ULL;
  grant.preset = "p";
  grant.origin = {"user", "/f \"x\"", 3};
  return grant;
}

TEST(GrantJson, RoundTrip) {
  const json object = to_json(full_grant());
  auto back = grant_from(json::parse(object.dump()));
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(to_json(*back), object);
  EXPECT_EQ(back->port, 8080);
  EXPECT_EQ(back->protocol, Protocol::http);
  EXPECT_EQ(back->allow.size(), 2U);
  EXPECT_EQ(back->allow[0].max_body, 12345U);
  EXPECT_FALSE(back->allow[1].max_body);
  EXPECT_EQ(back->budget.requests, 0U);
  EXPECT_FALSE(back->budget.bytes_up);
  EXPECT_EQ(back->budget.bytes_down, 18446744073709551615ULL);
  EXPECT_EQ(back->origin.line, 3);
}

TEST(GrantJson, NoRulesStayNoRules) {
  Grant grant = full_grant();
  grant.allow.clear();
  auto back = grant_from(to_json(grant));
  ASSERT_TRUE(back);
  EXPECT_TRUE(back->allow.empty());
}

// Every key, missing or of another type, is refused; so is one that nobody knows.
TEST(GrantJson, NothingIsHalfUnderstood) {
  const json good = to_json(full_grant());
  const auto each = [&](const json::json_pointer& where) {
    for (const auto& [key, value] : good.at(where).items()) {
      json changed = good;
      changed[where].erase(key);
      EXPECT_FALSE(grant_from(changed)) << "without " << key;
      for (const json& other : {json(true), json(-1), json(1.5), json("?"), json::array({1}), json::object()}) {
        if (other.type() == value.type() && other.is_string() && key != "protocol" && key != "path") continue;
        if (other.type() == value.type() && other.is_boolean()) continue;
        if (other.type() == value.type() && other.is_object() && where.to_string() == "/allow/1/json") continue;
        changed = good;
        changed[where][key] = other;
        EXPECT_FALSE(grant_from(changed)) << key << " = " << other;
      }
    }
    json changed = good;
    changed[where]["extra"] = 1;
    EXPECT_FALSE(grant_from(changed)) << "extra in " << where.to_string();
  };
  each(json::json_pointer(""));
  each(json::json_pointer("/allow/0"));
  each(json::json_pointer("/allow/1/json"));
  each(json::json_pointer("/allow/0/git"));
  each(json::json_pointer("/budget"));
  each(json::json_pointer("/origin"));
  for (const json& bad : {json(), json(1), json::array(), json("x"), json::object()}) EXPECT_FALSE(grant_from(bad));
}

TEST(GrantJson, EmptyWordsAreRefused) {
  const json good = to_json(full_grant());
  const auto with = [&](const char* pointer, const json& value) {
    json changed = good;
    changed[json::json_pointer(pointer)] = value;
    return static_cast<bool>(grant_from(changed));
  };
  EXPECT_TRUE(with("/id", "8"));
  EXPECT_FALSE(with("/id", ""));
  EXPECT_FALSE(with("/host", ""));
  EXPECT_FALSE(with("/port", 0));
  EXPECT_FALSE(with("/port", 65536));
  EXPECT_FALSE(with("/allow/0/methods", json::array()));
  EXPECT_FALSE(with("/allow/0/methods", json::array({""})));
  EXPECT_FALSE(with("/allow/0/query", json::array({""})));
  EXPECT_FALSE(with("/allow/0/path", ""));
}

TEST(GrantJson, FingerprintsTellRulesApart) {
  const Grant grant = full_grant();
  Grant same = grant;
  same.id = "8";
  same.preset = "x";
  same.origin.line = 99;
  EXPECT_EQ(fingerprint(grant), fingerprint(same));
  EXPECT_EQ(fingerprint(grant).size(), 16U);
  Grant other = grant;
  other.budget.requests = 1;
  EXPECT_NE(fingerprint(grant), fingerprint(other));
  EXPECT_EQ(fingerprint(grant.allow[1]), fingerprint(other.allow[1]));
  other.allow[1].json->deny_keys = {"b"};
  EXPECT_NE(fingerprint(grant.allow[1]), fingerprint(other.allow[1]));
}

}  // namespace
}  // namespace bulkhead

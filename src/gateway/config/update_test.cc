#include "gateway/update.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/ipc.h"
#include "gateway/live.h"

namespace bulkhead {
namespace {

Grant grant(const std::string& id, const std::string& host = "api.example.com") {
  Grant out;
  out.id = id;
  out.hosts = {host};
  out.allow = {{{"GET"}, "/a", {}, "", std::nullopt}, {{"POST"}, "/b/{x}", {"q"}, "application/json", 1000}};
  return out;
}

TEST(Update, RoundTrip) {
  GrantsUpdate update;
  update.number = 7;
  update.grants = {grant("1"), grant("4")};
  update.withdrawn = {{grant("2"), Gone::revoked}, {grant("3"), Gone::closed}, {grant("5"), Gone::changed}};
  update.forget = true;
  const auto object = to_json(update);
  const auto back = grants_update_from(nlohmann::json::parse(object.dump()));
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(to_json(*back), object);
  EXPECT_EQ(why_gone(*back, "3"), Gone::closed);
  EXPECT_EQ(why_gone(*back, "9"), Gone::changed);
}

TEST(Update, RefusesWhatItDoesNotKnow) {
  const auto object = to_json(GrantsUpdate{1, {grant("1")}, {{grant("2"), Gone::revoked}}, false});
  for (const auto& [key, unused] : object.items()) {
    auto other = object;
    other.erase(key);
    EXPECT_FALSE(grants_update_from(other)) << key;
  }
  auto other = object;
  other["more"] = 1;
  EXPECT_FALSE(grants_update_from(other));
  other = object;
  other["withdrawn"][0]["gone"] = "lost";
  EXPECT_FALSE(grants_update_from(other));
  other = object;
  other["type"] = "lane";
  EXPECT_FALSE(grants_update_from(other));
}

// The reasons are for people; what holds is not cut short for them.
TEST(Update, TooLongLosesOnlyItsReasons) {
  GrantsUpdate update;
  update.grants = {grant("1")};
  for (int i = 0; i < 1000; ++i) update.withdrawn.push_back({grant(std::to_string(i + 2)), Gone::revoked});
  const auto object = to_json(update);
  EXPECT_LE(object.dump().size(), ipc::max_message);
  EXPECT_EQ(object["grants"].size(), 1U);
  EXPECT_TRUE(object["withdrawn"].empty());
}

TEST(Update, WhatGoesOn) {
  const Grant then = grant("1");
  const auto holds = [&](const std::function<void(Grant&)>& change) {
    Grant now = then;
    change(now);
    return still_holds({grant("2"), now}, then, &then.allow[1]);
  };
  EXPECT_TRUE(holds([](Grant&) {}));
  EXPECT_TRUE(holds([](Grant& now) { now.budget.bytes_up = 1; }));  // the next byte meets it
  EXPECT_TRUE(holds([](Grant& now) { now.origin.line = 99; }));
  EXPECT_TRUE(holds([](Grant& now) { now.expires = std::chrono::seconds(1); }));
  EXPECT_FALSE(holds([](Grant& now) { now.response.max_body = 1; }));
  EXPECT_TRUE(holds([](Grant& now) { now.hosts.push_back("c.example.com"); }));
  EXPECT_TRUE(holds([](Grant& now) { now.allow[1].max_body = 2000; }));
  EXPECT_TRUE(holds([](Grant& now) { now.allow[1].methods.push_back("PUT"); }));
  EXPECT_TRUE(holds([](Grant& now) { now.allow.erase(now.allow.begin()); }));
  EXPECT_TRUE(holds([](Grant& now) { now.allow.push_back({{"PUT"}, "/c", {}, "", std::nullopt}); }));
  EXPECT_FALSE(holds([](Grant& now) { now.allow.pop_back(); }));
  EXPECT_FALSE(holds([](Grant& now) { now.allow[1].max_body = 999; }));
  EXPECT_FALSE(holds([](Grant& now) { now.allow[1].query.clear(); }));
  EXPECT_FALSE(holds([](Grant& now) { now.allow[1].json = JsonRules{{"x"}, {}, {}, {}}; }));
  EXPECT_FALSE(holds([](Grant& now) { now.hosts = {"b.example.com"}; }));
  EXPECT_FALSE(holds([](Grant& now) { now.credential = "other"; }));
  EXPECT_FALSE(holds([](Grant& now) { now.address = "127.0.0.1"; }));
  EXPECT_FALSE(holds([](Grant& now) { now.id = "3"; }));
  EXPECT_FALSE(still_holds({}, then, &then.allow[0]));
  EXPECT_TRUE(still_holds({then}, then, nullptr));
  EXPECT_FALSE(still_holds({}, then, nullptr));
}

TEST(Live, CutsWhatIsGoneAndNothingElse) {
  Live live;
  const Grant one = grant("1"), two = grant("2");
  std::vector<std::string> cut;
  const auto note = [&](const char* name) {
    return [&cut, name](Gone why) { cut.push_back(std::string(name) + " " + name_of(why)); };
  };
  const Live::Entry a(live, one, &one.allow[0], note("a"));
  const Live::Entry b(live, two, &two.allow[0], note("b"));
  {
    const Live::Entry c(live, one, &one.allow[0], note("c"));
  }
  EXPECT_EQ(live.apply({1, {two}, {{one, Gone::revoked}}, false}), 1U);
  EXPECT_EQ(cut, (std::vector<std::string>{"a revoked"}));
}

}  // namespace
}  // namespace bulkhead

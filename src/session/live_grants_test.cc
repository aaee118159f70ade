#include "session/live_grants.h"

#include <gtest/gtest.h>

namespace bulkhead::session {
namespace {

Grant grant(const std::string& id, const std::string& host, const std::string& credential = "") {
  Grant out;
  out.id = id;
  out.hosts = {host};
  out.credential = credential;
  out.allow = {{{"GET"}, "/**", {}, "", std::nullopt}};
  return out;
}

std::vector<std::string> ids(const std::vector<Grant>& grants) {
  std::vector<std::string> out;
  for (const Grant& one : grants) out.push_back(one.id);
  return out;
}
using Ids = std::vector<std::string>;

LiveGrants some() {
  return {{grant("1", "a.example.com"), grant("2", "b.example.com", "key"), grant("3", "c.example.com", "key"),
           grant("4", "d.example.com", "other")},
          {"", "key", "other"}};
}

TEST(LiveGrants, RevokesByIdByCredentialAndAll) {
  LiveGrants live = some();
  auto revoked = live.revoke({"2"}, {});
  ASSERT_TRUE(revoked);
  EXPECT_EQ(ids(revoked->now), Ids{"2"});
  EXPECT_TRUE(revoked->credentials.empty());  // others still use it
  EXPECT_EQ(ids(live.held()), (Ids{"1", "3", "4"}));
  EXPECT_FALSE(live.update(1, "key").forget);

  revoked = live.revoke({"1"}, {"key"});
  ASSERT_TRUE(revoked);
  EXPECT_EQ(ids(revoked->now), (Ids{"1", "3"}));
  EXPECT_EQ(ids(revoked->before), Ids{"2"});
  EXPECT_EQ(revoked->credentials, Ids{"key"});
  EXPECT_TRUE(live.update(1, "key").forget);
  EXPECT_FALSE(live.update(1, "other").forget);
  EXPECT_FALSE(live.update(1, "").forget);

  revoked = live.revoke({}, {});
  ASSERT_TRUE(revoked);
  EXPECT_EQ(ids(revoked->now), Ids{"4"});
  EXPECT_EQ(revoked->credentials, (Ids{"key", "other"}));
  // The one without a credential may hold the proxy's.
  for (const char* name : {"", "key", "other"}) EXPECT_TRUE(live.update(1, name).forget) << name;
  EXPECT_TRUE(live.held().empty());
  EXPECT_TRUE(live.revoke({}, {})->now.empty());
}

TEST(LiveGrants, AllOrNothing) {
  LiveGrants live = some();
  const auto refused = live.revoke({"1", "9"}, {});
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("no grant \"9\"; it has 1 (a.example.com), 2"), std::string::npos);
  const auto unknown = live.revoke({"1"}, {"kye"});
  ASSERT_FALSE(unknown);
  EXPECT_NE(unknown.error().message.find("no credential \"kye\"; it holds key, other"), std::string::npos);
  EXPECT_FALSE(live.revoke({}, {""}));
  EXPECT_EQ(live.held().size(), 4U);
}

TEST(LiveGrants, EachEgressHearsOfItsOwn) {
  LiveGrants live = some();
  ASSERT_TRUE(live.revoke({"1", "2"}, {}));
  EXPECT_EQ(ids(live.update(5).grants), (Ids{"3", "4"}));
  EXPECT_EQ(live.update(5).withdrawn.size(), 2U);
  EXPECT_EQ(live.update(5).number, 5U);
  EXPECT_EQ(ids(live.update(5, "key").grants), Ids{"3"});
  ASSERT_EQ(live.update(5, "key").withdrawn.size(), 1U);
  EXPECT_EQ(live.update(5, "key").withdrawn[0].gone, Gone::revoked);
  EXPECT_TRUE(live.update(5, "").grants.empty());
}

const std::set<std::uint16_t> ports{80, 443};

TEST(LiveGrants, ReloadKeepsIdsAndNarrowsAtOnce) {
  LiveGrants live = some();
  Grant second = grant("9", "b.example.com", "key");
  second.budget.requests = 5;
  const auto reloaded = live.reload({second, grant("1", "d.example.com", "other")}, ports, false);
  ASSERT_TRUE(reloaded) << reloaded.error().message;
  EXPECT_FALSE(reloaded->waiting);
  EXPECT_EQ(ids(reloaded->narrowed), Ids{"2"});
  EXPECT_EQ(ids(reloaded->removed), (Ids{"1", "3"}));
  EXPECT_EQ(ids(live.held()), (Ids{"2", "4"}));
  EXPECT_EQ(live.held()[0].budget.requests, 5U);
  EXPECT_EQ(live.update(1).withdrawn[0].gone, Gone::changed);
  // Back again is a widening, and under the old number: what was counted counts.
  const auto back = live.reload({grant("1", "a.example.com"), second}, ports, false);
  ASSERT_TRUE(back);
  EXPECT_TRUE(back->waiting);
  EXPECT_EQ(ids(back->widened), Ids{"1"});
  EXPECT_EQ(ids(live.held()), Ids{"2"});
  ASSERT_TRUE(live.reload({grant("1", "a.example.com"), second}, ports, true));
  EXPECT_EQ(ids(live.held()), (Ids{"1", "2"}));
}

TEST(LiveGrants, ReloadWidensOnlyWhenWanted) {
  LiveGrants live = some();
  std::vector<Grant> wider = live.held();
  wider[0].allow[0].methods = {"GET", "PUT"};
  wider[1].hosts.push_back("z.example.com");
  wider.push_back(grant("", "new.example.com"));
  auto reloaded = live.reload(wider, ports, false);
  ASSERT_TRUE(reloaded);
  EXPECT_TRUE(reloaded->waiting);
  EXPECT_EQ(ids(reloaded->widened), (Ids{"1", "2", "5"}));
  EXPECT_EQ(live.held()[0].allow[0].methods, std::vector<std::string>{"GET"});
  EXPECT_EQ(live.held()[1].hosts, std::vector<std::string>{"b.example.com"});
  EXPECT_EQ(live.held().size(), 4U);
  reloaded = live.reload(wider, ports, true);
  ASSERT_TRUE(reloaded);
  EXPECT_FALSE(reloaded->waiting);
  EXPECT_EQ(live.held().size(), 5U);
  EXPECT_EQ(live.held()[0].allow[0].methods, (std::vector<std::string>{"GET", "PUT"}));
}

// Another machine behind the same name is another grant.
TEST(LiveGrants, ReloadTakesNoAddressForAnother) {
  LiveGrants live = some();
  std::vector<Grant> moved = live.held();
  moved[0].address = "127.0.0.1";
  const auto reloaded = live.reload(moved, ports, false);
  ASSERT_TRUE(reloaded);
  EXPECT_TRUE(reloaded->waiting);
  EXPECT_EQ(ids(reloaded->removed), Ids{"1"});
  EXPECT_EQ(ids(live.held()), (Ids{"2", "3", "4"}));
}

TEST(LiveGrants, ReloadBringsNothingBackThatWasRevoked) {
  LiveGrants live = some();
  ASSERT_TRUE(live.revoke({"1"}, {"key"}));
  Grant other = grant("1", "a.example.com");
  other.hosts.push_back("a2.example.com");  // the same in other words
  const auto reloaded =
      live.reload({other, grant("2", "b.example.com", "key"), grant("3", "y.example.com", "key")}, ports, true);
  ASSERT_TRUE(reloaded);
  EXPECT_EQ(reloaded->revoked.size(), 3U);
  EXPECT_TRUE(live.held().empty());
  ASSERT_TRUE(live.revoke({}, {}));
  EXPECT_FALSE(live.reload({}, ports, true));
}

TEST(LiveGrants, WhatASessionCannotHave) {
  LiveGrants live = some();
  Grant port = grant("1", "a.example.com");
  port.port = 8443;
  EXPECT_NE(live.reload({port}, ports, true).error().message.find("does not listen on port 8443"), std::string::npos);
  EXPECT_NE(live.reload({grant("1", "a.example.com", "new")}, ports, true).error().message.find("\"new\""),
            std::string::npos);
  EXPECT_EQ(live.held().size(), 4U);
  LiveGrants closed({grant("1", "b.example.com", "key")}, {"key"});
  EXPECT_FALSE(closed.reload({grant("1", "a.example.com")}, ports, true));
}

TEST(LiveGrants, ClosedUntilAGoodLoad) {
  LiveGrants live = some();
  ASSERT_TRUE(live.revoke({"4"}, {}));
  live.close();
  EXPECT_TRUE(live.held().empty());
  EXPECT_EQ(live.update(1).withdrawn.size(), 4U);
  EXPECT_EQ(live.update(1).withdrawn[0].gone, Gone::closed);
  EXPECT_EQ(live.update(1).withdrawn[3].gone, Gone::revoked);
  std::vector<Grant> same{grant("1", "a.example.com"), grant("2", "b.example.com", "key")};
  const auto reloaded = live.reload(same, ports, false);
  ASSERT_TRUE(reloaded);
  EXPECT_FALSE(reloaded->waiting);
  EXPECT_EQ(ids(live.held()), (Ids{"1", "2"}));
}

TEST(LiveGrants, AnAnswerAddsAndReloadingLeavesItAlone) {
  LiveGrants live = some();
  const auto added = live.add({grant("", "n.example.com"), grant("", "m.example.com")}, ports, false);
  ASSERT_TRUE(added) << added.error().message;
  EXPECT_EQ(ids(*added), (Ids{"5", "6"}));
  EXPECT_EQ(ids(live.held()), (Ids{"1", "2", "3", "4", "5", "6"}));
  // One that was for one request is gone without a word, and its number is nobody's.
  live.drop({"5", "1"});
  EXPECT_EQ(ids(live.held()), (Ids{"1", "2", "3", "4", "6"}));
  EXPECT_TRUE(live.update(1).withdrawn.empty());
  EXPECT_EQ(ids(*live.add({grant("", "n.example.com")}, ports, false)), Ids{"7"});
  const auto reloaded = live.reload({grant("1", "a.example.com")}, ports, false);
  ASSERT_TRUE(reloaded);
  EXPECT_EQ(ids(reloaded->removed), (Ids{"2", "3", "4"}));
  EXPECT_EQ(ids(live.held()), (Ids{"1", "6", "7"}));
  EXPECT_EQ(ids(live.revoke({}, {})->now), (Ids{"1", "2", "3", "4", "6", "7"}));
  EXPECT_FALSE(live.add({grant("", "o.example.com")}, ports, false)) << "everything was revoked";
}

TEST(LiveGrants, WhatIsKeptIsThePolicysFromThenOn) {
  LiveGrants live = some();
  std::vector<Grant> policy = live.held();
  policy.push_back(grant("", "n.example.com"));
  ASSERT_TRUE(live.add({policy.back()}, ports, true));
  auto reloaded = live.reload(policy, ports, false);
  ASSERT_TRUE(reloaded);
  EXPECT_FALSE(reloaded->waiting);
  EXPECT_TRUE(reloaded->widened.empty());
  policy.pop_back();
  reloaded = live.reload(policy, ports, false);
  EXPECT_EQ(ids(reloaded->removed), Ids{"5"});
}

TEST(LiveGrants, WhatNoAnswerCanAdd) {
  LiveGrants live = some();
  Grant port = grant("", "n.example.com");
  port.port = 8443;
  EXPECT_FALSE(live.add({port}, ports, false));
  EXPECT_FALSE(live.add({grant("", "n.example.com", "unknown")}, ports, false));
  ASSERT_TRUE(live.revoke({"1"}, {}));
  EXPECT_FALSE(live.add({grant("", "n.example.com"), grant("", "a.example.com")}, ports, false)) << "taken back";
  EXPECT_EQ(ids(live.held()), (Ids{"2", "3", "4"}));
  Grant huge = grant("", "n.example.com");
  huge.allow[0].query.assign(40'000, "key");
  EXPECT_FALSE(live.add({huge}, ports, false)) << "no message holds it";
  live.close();
  EXPECT_FALSE(live.add({grant("", "n.example.com")}, ports, false)) << "everything is closed";
  LiveGrants narrow({grant("1", "b.example.com", "key")}, {"key"});
  EXPECT_FALSE(narrow.add({grant("", "n.example.com")}, ports, false)) << "no way out without a credential";
}

}  // namespace
}  // namespace bulkhead::session

#include "gateway/tls/leaves.h"

#include <gtest/gtest.h>

namespace bulkhead::tls {
namespace {

using Clock = TokenBucket::Clock;
using namespace std::chrono_literals;

struct LeavesTest : testing::Test {
  LeavesTest() : ca(std::move(*(SessionCa::initialise(), SessionCa::make("s", time(nullptr))))) {}
  SessionCa ca;
  std::time_t now = time(nullptr);
  Clock::time_point tick = Clock::now();
};

TEST_F(LeavesTest, SameNameSameLeaf) {
  Leaves leaves(ca, {}, {});
  X509* first = leaves.find({"a.example"}, now, tick);
  ASSERT_NE(nullptr, first);
  EXPECT_EQ(first, leaves.find({"a.example"}, now, tick));
  EXPECT_EQ(1u, leaves.minted());
}

TEST_F(LeavesTest, RandomNamesAreBoundedInMemoryAndRate) {  // T14
  Leaves leaves(ca, {"granted.example"}, {.cached = 8, .minted_per_second = 10, .minted_burst = 20});
  for (int i = 0; i < 1000; ++i) leaves.find({"n" + std::to_string(i) + ".example"}, now, tick);
  EXPECT_EQ(20u, leaves.minted());
  EXPECT_EQ(8u, leaves.cached());
  EXPECT_EQ(nullptr, leaves.find({"one-more.example"}, now, tick));
  EXPECT_NE(nullptr, leaves.find({"granted.example"}, now, tick)) << "a granted name is never starved";
  EXPECT_NE(nullptr, leaves.find({"one-more.example"}, now, tick + 200ms));
}

TEST_F(LeavesTest, AWildcardGrantIsOneLeaf) {
  Leaves leaves(ca, {"*.zone.example"}, {.cached = 8, .minted_per_second = 0, .minted_burst = 0});
  for (int i = 0; i < 100; ++i) EXPECT_NE(nullptr, leaves.find({"n" + std::to_string(i) + ".zone.example"}, now, tick));
  EXPECT_EQ(1u, leaves.minted());
  EXPECT_EQ(nullptr, leaves.find({"a.b.zone.example"}, now, tick));
  EXPECT_EQ(nullptr, leaves.find({"zone.example"}, now, tick));
}

TEST_F(LeavesTest, LeastRecentlyUsedGoesFirst) {
  Leaves leaves(ca, {}, {.cached = 2, .minted_per_second = 0, .minted_burst = 100});
  leaves.find({"a.example"}, now, tick);
  leaves.find({"b.example"}, now, tick);
  leaves.find({"a.example"}, now, tick);
  leaves.find({"c.example"}, now, tick);
  EXPECT_EQ(3u, leaves.minted());
  leaves.find({"a.example"}, now, tick);
  EXPECT_EQ(3u, leaves.minted());
  leaves.find({"b.example"}, now, tick);
  EXPECT_EQ(4u, leaves.minted());
}

TEST_F(LeavesTest, AnAgeingLeafIsMintedAgain) {
  Leaves leaves(ca, {"granted.example"}, {});
  for (const std::string name : {"granted.example", "other.example"}) {
    const std::uint64_t before = leaves.minted();
    leaves.find({name}, now, tick);
    leaves.find({name}, now + leaf_lifetime - 60, tick);
    EXPECT_EQ(before + 2, leaves.minted()) << name;
  }
}

}  // namespace
}  // namespace bulkhead::tls

#include "gateway/front/names.h"

#include <gtest/gtest.h>

#include <set>

namespace bulkhead::front {
namespace {

using namespace std::chrono_literals;
const auto now = TokenBucket::Clock::now();

TEST(NameTable, EachNameHasItsOwnAddressAndKeepsIt) {
  NameTable names({});
  std::set<Address4> seen4;
  std::set<Address6> seen6;
  for (int i = 0; i < 100; ++i) {
    const auto entry = names.address_of("n" + std::to_string(i) + ".example", now);
    ASSERT_TRUE(entry);
    EXPECT_TRUE(entry->is_new);
    EXPECT_EQ(198, entry->v4[0]);
    EXPECT_EQ(0xfd, entry->v6[0]);
    seen4.insert(entry->v4);
    seen6.insert(entry->v6);
  }
  EXPECT_EQ(100u, seen4.size());
  EXPECT_EQ(100u, seen6.size());
  const auto again = names.address_of("n7.example", now);
  EXPECT_FALSE(again->is_new);
  EXPECT_TRUE(seen4.contains(again->v4));
  EXPECT_EQ("n7.example", *names.name_of(again->v4));
  EXPECT_EQ("n7.example", *names.name_of(again->v6));
}

TEST(NameTable, BoundedAndTheOldestGoes) {
  NameTable names({.names = 3, .new_per_second = 0, .new_burst = 100});
  const auto first = names.address_of("a.example", now);
  const auto second = names.address_of("b.example", now);
  names.address_of("c.example", now);
  names.address_of("a.example", now);
  names.address_of("d.example", now);
  EXPECT_EQ(3u, names.size());
  EXPECT_EQ(nullptr, names.name_of(second->v4));
  EXPECT_EQ("a.example", *names.name_of(first->v4));
}

TEST(NameTable, SlotsGoRoundWithoutTakingOneInUse) {
  NameTable names({.names = 2, .new_per_second = 0, .new_burst = 1e9});
  const auto kept = names.address_of("kept.example", now);
  for (int i = 0; i < (1 << 17) + 10; ++i) {
    const auto entry = names.address_of("n" + std::to_string(i) + ".example", now);
    ASSERT_NE(entry->v4, kept->v4);
    ASSERT_TRUE(entry->v4[1] == 18 || entry->v4[1] == 19);
    names.address_of("kept.example", now);
  }
  EXPECT_EQ("kept.example", *names.name_of(kept->v4));
}

TEST(NameTable, NewNamesAreRateLimitedKnownOnesAreNot) {
  NameTable names({.names = 100, .new_per_second = 10, .new_burst = 2});
  EXPECT_TRUE(names.address_of("a.example", now));
  EXPECT_TRUE(names.address_of("b.example", now));
  EXPECT_FALSE(names.address_of("c.example", now));
  EXPECT_TRUE(names.address_of("a.example", now));
  EXPECT_TRUE(names.address_of("c.example", now + 150ms));
}

TEST(NameTable, ForeignAddressesHaveNoName) {
  NameTable names({});
  names.address_of("a.example", now);
  EXPECT_EQ(nullptr, names.name_of(Address4{8, 8, 8, 8}));
  EXPECT_EQ(nullptr, names.name_of(Address6{0x20, 0x01, 0x0d, 0xb8}));
}

}  // namespace
}  // namespace bulkhead::front

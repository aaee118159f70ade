#include "mcp/clients.h"

#include <gtest/gtest.h>

#include "mcp/call.h"

namespace bulkhead::mcp {
namespace {

TEST(McpClients, TheOneNotHeardOfForLongestMakesRoomUnlessItIsBusy) {
  Clients clients;
  const std::string first = clients.begin(), second = clients.begin(), third = clients.begin();
  Wanted wanted;
  const auto call = clients.call(first, 1, wanted);
  for (std::size_t i = 3; i < Clients::most; ++i) (void)clients.begin();
  EXPECT_TRUE(clients.heard(second));
  (void)clients.begin();
  EXPECT_TRUE(clients.heard(first));
  EXPECT_TRUE(clients.heard(second));
  EXPECT_FALSE(clients.heard(third));
}

TEST(McpClients, EachCancelsItsOwnAlone) {
  Clients clients;
  const std::string a = clients.begin(), b = clients.begin();
  Wanted of_a, of_b, of_nobody;
  const auto one = clients.call(a, 1, of_a), two = clients.call(b, 1, of_b), three = clients.call("", 1, of_nobody);
  clients.cancel(b, "1");
  clients.cancel(b, 2);
  EXPECT_FALSE(of_a.cancelled || of_b.cancelled || of_nobody.cancelled);
  clients.cancel(a, 1);
  EXPECT_TRUE(of_a.cancelled);
  EXPECT_FALSE(of_b.cancelled || of_nobody.cancelled);
  EXPECT_TRUE(clients.end(b));
  EXPECT_TRUE(of_b.cancelled);
  EXPECT_FALSE(clients.end(b));
  EXPECT_FALSE(of_nobody.cancelled);
  clients.cancel_all();
  EXPECT_TRUE(of_nobody.cancelled);
  Wanted late;
  const auto four = clients.call("", 1, late);
  EXPECT_TRUE(late.cancelled);
}

// How many calls there is room for beside each other.
std::size_t places(Clients& clients) {
  Wanted wanted;
  const auto call = clients.call("", 1, wanted);
  return call ? 1 + places(clients) : 0;
}

TEST(McpClients, PlacesAreGivenBack) {
  Clients clients;
  EXPECT_EQ(places(clients), max_calls);
  EXPECT_EQ(places(clients), max_calls);
}

}  // namespace
}  // namespace bulkhead::mcp

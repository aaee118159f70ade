#include "gateway/front/denied.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <vector>

namespace bulkhead::front {
namespace {

using namespace std::chrono_literals;
const auto now = DeniedReports::Clock::now();

struct DeniedTest : testing::Test {
  DeniedReports make(std::size_t kinds) {
    return DeniedReports(
        [this](const nlohmann::json& message) {
          if (busy) return false;
          sent.push_back(message);
          return true;
        },
        kinds, 100ms);
  }
  std::uint64_t total() const {
    std::uint64_t sum = 0;
    for (const auto& message : sent) sum += message.at("count").get<std::uint64_t>();
    return sum;
  }
  bool busy = false;
  std::vector<nlohmann::json> sent;
};

TEST_F(DeniedTest, FirstAtOnceRepeatsTogether) {
  DeniedReports reports = make(8);
  for (int i = 0; i < 50; ++i) reports.add({"k", "GET https://a.example/", "no grant", "[[grant]]"}, now);
  ASSERT_EQ(1u, sent.size());
  EXPECT_EQ(1u, sent[0].at("count"));
  EXPECT_EQ("denied", sent[0].at("type"));
  EXPECT_EQ("GET https://a.example/", sent[0].at("what"));
  EXPECT_EQ("[[grant]]", sent[0].at("add"));
  reports.flush(now + 50ms);
  EXPECT_EQ(1u, sent.size());
  reports.flush(now + 100ms);
  EXPECT_EQ(2u, sent.size());
  EXPECT_EQ(50u, total());
  EXPECT_FALSE(reports.pending());
}

TEST_F(DeniedTest, KindsAreBoundedAndNothingIsUncounted) {
  DeniedReports reports = make(4);
  for (int i = 0; i < 1000; ++i) reports.add({std::to_string(i), "w" + std::to_string(i), "y", ""}, now);
  reports.flush(now + 1s);
  EXPECT_EQ(6u, sent.size());  // four kinds, and "other" twice
  EXPECT_EQ("other requests", sent.back().at("what"));
  EXPECT_EQ(1000u, total());
}

TEST_F(DeniedTest, ABusySupervisorLosesNothing) {
  DeniedReports reports = make(4);
  busy = true;
  for (int i = 0; i < 10; ++i) reports.add({"k", "w", "y", ""}, now);
  EXPECT_TRUE(reports.pending());
  busy = false;
  reports.flush(now);
  EXPECT_EQ(10u, total());
}

TEST_F(DeniedTest, LongTextIsCutTomlIsNot) {
  DeniedReports reports = make(4);
  reports.add({"k", std::string(100'000, 'x'), std::string(100'000, 'y'), std::string(100'000, 'z')}, now);
  EXPECT_LT(sent.at(0).dump().size(), 4096u);
  EXPECT_EQ("", sent.at(0).at("add"));
}

}  // namespace
}  // namespace bulkhead::front

#include "guest/record.h"

#include <gtest/gtest.h>

namespace bulkhead::shim::record {
namespace {

std::string body(const Said& said) {
  return encode(said).substr(4);
}

TEST(Record, ArrivesAsItWasSaid) {
  const Happened all[] = {Hello{version},
                          Forked{{1, 2}, 3},
                          Executed{{3, 3}, "/bin/x\xff", {"", "a\nb"}, true},
                          Runs{{4, 5}},
                          Ended{6, 256},
                          Opening{{7, 7}, "/tmp/x", 0101, false},
                          Connecting{{8, 8}, std::string("\1\0/x", 4)},
                          Done{}};
  std::string stream;
  for (const Happened& what : all) stream += encode({7, what});
  std::string_view rest = stream;
  for (const Happened& what : all) {
    const auto frame = next_frame(rest);
    ASSERT_TRUE(frame && *frame);
    const auto said = decode(**frame);
    ASSERT_TRUE(said);
    EXPECT_EQ(*said, (Said{7, what}));
  }
  EXPECT_TRUE(rest.empty());
}

TEST(Record, TheMostThatCanBeSaidFits) {
  Executed much{{1, 1}, std::string(max_path + 9, 'p'), {}, true};
  for (std::size_t i = 0; i < 2 * max_arguments; ++i) much.arguments.emplace_back(max_argument + 9, 'a');
  const auto said = decode(body({1, much}));
  ASSERT_TRUE(said);
  const auto& back = std::get<Executed>(said->what);
  EXPECT_EQ(back.path.size(), max_path);
  EXPECT_EQ(back.arguments.size(), max_arguments);
  EXPECT_EQ(back.arguments[3].size(), max_argument);
  EXPECT_EQ(back.arguments[4].size(), 0U);
}

// Hostile: whoever took the machine's kernel over says it.
TEST(Record, NothingElseIsTaken) {
  const std::string good = body({1, Executed{{1, 1}, "/x", {"a"}, false}});
  for (std::size_t i = 0; i < good.size(); ++i) EXPECT_FALSE(decode(good.substr(0, i))) << i;
  EXPECT_FALSE(decode(good + "x"));
  EXPECT_FALSE(decode(body({1, Done{}}) + "x"));
  EXPECT_FALSE(decode("Zxxxxxxxxxxxx"));
  std::string nul = good;
  nul[nul.find("/x")] = '\0';
  EXPECT_FALSE(decode(nul));
  std::string longer = body({1, Opening{{1, 1}, std::string(max_path, 'p'), 1, false}});
  longer[13] = 1;  // its length, one more
  longer.insert(17, "p");
  EXPECT_FALSE(decode(longer));
}

TEST(Record, AFrameThatNeverEndsIsNone) {
  std::string_view none("\0\0\0\0H", 5), huge("\xff\xff\xff\xff", 4), part("\x05\0\0\0H", 5), begun("\x05", 1);
  EXPECT_FALSE(next_frame(none));
  EXPECT_FALSE(next_frame(huge));
  EXPECT_EQ(next_frame(part).value(), std::nullopt);
  EXPECT_EQ(next_frame(begun).value(), std::nullopt);
}

}  // namespace
}  // namespace bulkhead::shim::record

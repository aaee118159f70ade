#include "session/terminal/answer_keys.h"

#include <gtest/gtest.h>

namespace bulkhead::session {
namespace {

using std::chrono::milliseconds;

struct AnswerKeysTest : testing::Test {
  std::optional<char> after(int ms, std::string_view input) { return keys.take(input, now += milliseconds(ms)); }
  AnswerKeys keys{"yosan", 'n'};
  AnswerKeys::Clock::time_point now{std::chrono::hours(1)};
};

TEST_F(AnswerKeysTest, NothingBeforeItIsShown) {
  EXPECT_FALSE(after(10'000, "y"));
  EXPECT_FALSE(after(10'000, "y"));
}

TEST_F(AnswerKeysTest, OnlyAfterAWhileOfQuiet) {
  keys.shown(now);
  EXPECT_FALSE(after(499, "y"));
  EXPECT_FALSE(after(499, "y")) << "whoever types, types on";
  EXPECT_EQ(after(500, "y"), 'y');
}

TEST_F(AnswerKeysTest, OnlyAlone) {
  keys.shown(now);
  for (const char* many : {"yy", "y\r", "\x1b[0n", "\x1b[200~y\x1b[201~",
                           "\x1b"
                           "Oy"})
    EXPECT_FALSE(after(1000, many)) << many;
  // A terminal's own words, a byte at a time.
  EXPECT_FALSE(after(1000, "\x1b"));
  for (const char* byte : {"[", "?", "1", ";", "2", "y"}) EXPECT_FALSE(after(100, byte)) << byte;
  EXPECT_FALSE(after(100, ""));
  EXPECT_EQ(after(399, "s"), std::nullopt);
  EXPECT_EQ(after(500, "s"), 's');
}

TEST_F(AnswerKeysTest, WhichKeys) {
  keys.shown(now);
  for (const char key : std::string("yosan")) EXPECT_EQ(after(600, std::string(1, key)), key);
  EXPECT_EQ(after(600, "A"), 'a');
  for (const char* no : {"\r", "\n", "\x03"}) EXPECT_EQ(after(600, no), 'n');
  for (const char* none : {"x", " ", "\x1b", "\x1a", "\x04", "\x7f", "\xff"}) EXPECT_FALSE(after(600, none)) << none;
  AnswerKeys fewer("yosn", 'n');
  fewer.shown(now);
  EXPECT_FALSE(fewer.take("a", now + milliseconds(600)));
}

}  // namespace
}  // namespace bulkhead::session

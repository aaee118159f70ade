#include "cli/common.h"

#include <gtest/gtest.h>

namespace bulkhead::cli {
namespace {

TEST(Table, PadsByCharactersAndLeavesTheLastColumn) {
  EXPECT_EQ(table({{"A", "B"}, {"long", "x"}, {"é", "y"}}), "A     B\nlong  x\né     y\n");
  EXPECT_EQ(table({}), "");
}

TEST(CommandLine, QuotesAndEscapes) {
  EXPECT_EQ(command_line({"sh", "-c", "echo 'a b'", ""}, 100), "sh -c 'echo '\\''a b'\\''' ''");
  EXPECT_EQ(command_line({"a\x1b[2J"}, 100).find('\x1b'), std::string::npos);
  EXPECT_LT(command_line({std::string(500, 'x')}, 60).size(), 70u);
}

TEST(Colours, AreOffWhereNobodySeesThem) {
  const Colours none = colours_for(-1);
  EXPECT_EQ(none.good, "");
  EXPECT_EQ(none.off, "");
}

}  // namespace
}  // namespace bulkhead::cli

#include "session/terminal/modes.h"

#include <gtest/gtest.h>

#include "session/terminal/filter.h"

namespace bulkhead::session {
namespace {

#define E "\x1b"

// What is left on after this was printed, as the sequences that switch it off.
std::string left_by(std::string_view in) {
  OutputFilter filter;
  std::string out;
  filter.feed(in, out);
  EXPECT_EQ(out, in) << "not all of it passed: nothing would be tested";
  return filter.modes().reset();
}

struct Program {
  const char* name;
  std::string start, reset, end;
};

const Program programs[] = {
    {"less", E "[?1049h" E "[22;0;0t" E "[?1h" E "=\r", E "[?1l" E ">" E "[?1049l", E "[?1l" E ">" E "[?1049l"},
    {"htop", E "[?1049h" E "[22;0;0t" E "[1;24r" E "(B" E "[m" E "[4l" E "[?7h" E "[?1h" E "=" E "[?25l" E "[?1000h",
     E "[?1l" E "[?25h" E "[?1000l" E ">" E "7" E "[r" E "8" E "[?1049l",
     E "[?1000l" E "[39;49m" E "[m" E "[r" E "[?1049l" E "[?1l" E ">" E "[?25h"},
    {"vim",
     E "[?1049h" E "[>4;2m" E "[?1h" E "=" E "[?2004h" E "[?1004h" E "[1;24r" E "[?12h" E "[?12l" E "[27m" E "[2 q" E
       "[?25l" E "[m",
     E "[?1l" E "[?25h" E "[?1004l" E "[?2004l" E "[>4m" E ">" E "7" E "[r" E "8" E "[0 q" E "[?1049l",
     E "[?2004l" E "[>4;m" E "[?1004l" E "[?1l" E ">" E "[r" E "[0 q" E "[?25h" E "[?1049l"},
    {"an agent's prompt", E "[?25l" E "[?2004h" E "[?1004h" E "[?2031h" E "[>1u" E "[38;2;0;0;0mtext",
     E "[?25h" E "[?1004l" E "[?2004l" E "[?2031l" E "[<1u" E "[0m",
     E "[39m" E "[0m" E "[<u" E "[?2031l" E "[?1004l" E "[?2004l" E "[?25h"},
    {"an old menu", E ")0\x0e" E "(0" E "[4h" E "[?6h" E "[?7l", E "[?6l" E "[?7h" E "[4l" E "(B\x0f",
     E "(B\x0f" E "[4l" E "[?6l" E "[?7h"},
};

TEST(Modes, AProgramThatDied) {
  for (const Program& program : programs) EXPECT_EQ(left_by(program.start), program.reset) << program.name;
}

TEST(Modes, AProgramThatPutEverythingBack) {
  for (const Program& program : programs) EXPECT_EQ(left_by(program.start + program.end), "") << program.name;
}

TEST(Modes, WhatIsSentIsEnough) {
  for (const Program& program : programs) EXPECT_EQ(left_by(program.start + program.reset), "") << program.name;
}

TEST(Modes, AFullResetLeavesNothing) {
  for (const Program& program : programs) EXPECT_EQ(left_by(program.start + E "c"), "") << program.name;
}

// DECSTR doesn't know what came after the VT220.
TEST(Modes, ASoftResetLeavesTheScreenTheMouseAndTheKeyboard) {
  EXPECT_EQ(left_by(E "[?1h" E "[?6h" E "[?25l" E "[4h" E "=" E "[2;9r" E "(0\x0e" E "[31m" E "[!p"), "");
  EXPECT_EQ(left_by(E "[?1049h" E "[?1000h" E "[?2004h" E "[>1u" E "[!p"),
            E "[?1000l" E "[?2004l" E "[<1u" E "[?1049l");
  EXPECT_EQ(left_by(E "[?7l" E "[!p"), E "[?7h");
}

TEST(Modes, Colours) {
  for (const char* off : {"text", E "[31m" E "[m", E "[31;0m", E "[1;31m" E "[0m", E "[38;5;0;0m", E "[38:5:0;0m"})
    EXPECT_EQ(left_by(off), "") << off + 1;
  for (const char* on : {E "[31m", E "[0;1m", E "[38;5;0m", E "[48;2;0;0;0m", E "[0;48;5;0m", E "[58;5;0m", E "[;1m",
                         E "[99999999999999999999m"})
    EXPECT_EQ(left_by(on), E "[0m") << on + 1;
}

TEST(Modes, ARestoredCursorBringsItsColourBack) {
  EXPECT_EQ(left_by(E "[31m" E "7" E "[0m" E "8"), E "[0m");
  EXPECT_EQ(left_by(E "[31m" E "[s" E "[0m" E "[u"), E "[0m");
  EXPECT_EQ(left_by(E "[31m" E "[?1049h" E "[0m"), E "[?1049l" E "[0m");
  EXPECT_EQ(left_by(E "(0" E "7" E "(B" E "8"), E "(B");
  EXPECT_EQ(left_by(E "7" E "[31m" E "[0m" E "8"), "");
}

TEST(Modes, EachScreenHasItsOwnKeyboard) {
  EXPECT_EQ(left_by(E "[>1u" E "[?1049h" E "[>3u" E "[>5u"), E "[<2u" E "[?1049l" E "[<1u");
  EXPECT_EQ(left_by(E "[>1u" E "[?1049h"), E "[?1049l" E "[<1u");
  EXPECT_EQ(left_by(E "[?1049h" E "[=5u"), E "[=0u" E "[?1049l");
  EXPECT_EQ(left_by(E "[>1u" E "[>1u" E "[<2u"), "");
  EXPECT_EQ(left_by(E "[>1u" E "[<9u" E "[>1u"), E "[<1u");
}

TEST(Modes, WhatTheTerminalAloneKnowsCountsAsOn) {
  EXPECT_EQ(left_by(E "[?1000h" E "[?1000s" E "[?1000l" E "[?1000r"), E "[?1000l");
  EXPECT_EQ(left_by(E "[?25r"), E "[?25h");
  EXPECT_EQ(left_by(E "[?25s"), "");
}

TEST(Modes, LockingShiftsToOtherSets) {
  EXPECT_EQ(left_by(E "*0" E "n"), "\x0f");
  EXPECT_EQ(left_by(E "+0" E "o"), "\x0f");
  EXPECT_EQ(left_by(E "*0" E "n\x0f"), "");
}

TEST(Modes, OtherKeyOptions) {
  EXPECT_EQ(left_by(E "[>1;2m" E "[>4;1m"), E "[>1m" E "[>4m");
  EXPECT_EQ(left_by(E "[>4;1m" E "[>4;0m"), "");
}

TEST(Modes, Screens) {
  for (const char* mode : {"47", "1047", "1049"}) {
    EXPECT_EQ(left_by(std::string(E "[?") + mode + "h"), std::string(E "[?") + mode + "l");
  }
  EXPECT_EQ(left_by(E "[?1048h"), "");
}

TEST(Modes, WhatTypesByItselfIsSilentWhileSomebodyElseHasTheTerminal) {
  OutputFilter filter;
  std::string out;
  filter.feed(E "[?1049h" E "[?1003;1006h" E "[?1004h" E "[?2048h" E "[?2031h" E "[?2031l" E "[?25l", out);
  EXPECT_EQ(filter.modes().typing(false), E "[?1003l" E "[?1004l" E "[?2048l");
  EXPECT_EQ(filter.modes().typing(true), E "[?1003h" E "[?1004h" E "[?2048h");
  EXPECT_EQ(Modes().typing(false), "");
}

// For a question of Bulkhead's: an ordinary screen whatever was on, and afterwards what was on.
TEST(Modes, SetAsideAndTakenUp) {
  const auto of = [](std::string_view in) {
    OutputFilter filter;
    std::string out;
    filter.feed(in, out);
    EXPECT_EQ(out, in) << "not all of it passed: nothing would be tested";
    return filter.modes();
  };
  const std::string clean = E "(B\x0f" E "[0m" E "]8;;" E "\\" E "[2J" E "[H";
  const Modes plain = of("text" E "[31m");
  EXPECT_EQ(plain.set_aside(), E "[?1049h" + clean);
  EXPECT_EQ(plain.take_up(), E "[0m" E "[2J" E "[?1049l");
  EXPECT_FALSE(plain.redraws());
  // Nothing that the workload has on may hide, move or delay the question, or change what keys say.
  const Modes full =
      of(E "[?1049h" E "[?25l" E "[?7l" E "[?6h" E "[?1003h" E "[?2004h" E "[?2026h" E "[4h" E "[>4;2m" E "[>5u");
  EXPECT_EQ(full.set_aside(),
            E "[?6l" E "[?7h" E "[?25h" E "[?1003l" E "[?2004l" E "[?2026l" E "[>4m" E "[4l" E "7" E "[>0u" + clean);
  EXPECT_EQ(full.take_up(), E "[0m" E "[2J" E "[<u" E "8" E "[4h" E "[>4;2m" E "[?6h" E "[?7l" E "[?25l" E "[?1003h" E
                              "[?2004h" E "[?2026h");
  EXPECT_TRUE(full.redraws());
}

}  // namespace
}  // namespace bulkhead::session

#include "session/terminal/filter.h"

#include <gtest/gtest.h>

#include <random>

#include "base/text.h"

namespace bulkhead::session {
namespace {

std::string filtered(std::string_view in) {
  OutputFilter filter;
  std::string out;
  filter.feed(in, out);
  return out;
}

#define E "\x1b"

TEST(Filter, PassesWhatProgramsDrawWith) {
  for (const char* text : {"plain\r\n\ttext\b\a",
                           "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80",
                           E "[0m",
                           E "[1;38;5;208m",
                           E "[38:2::1:2:3m",
                           E "[2J",
                           E "[H",
                           E "[10;20H",
                           E "[?1049h",
                           E "[?25l",
                           E "[?2004h",
                           E "[?1000;1006h",
                           E "[?2026h",
                           E "[>1u",
                           E "[<u",
                           E "[=1u",
                           E "[?u",
                           E "[>4;2m",
                           E "[c",
                           E "[>c",
                           E "[6n",
                           E "[?6n",
                           E "[2 q",
                           E "[!p",
                           E "[4h",
                           E "[1;24r",
                           E "[s",
                           E "[u",
                           E "7",
                           E "8",
                           E "=",
                           E ">",
                           E "c",
                           E "M",
                           E "(0",
                           E "(B",
                           E "#8",
                           E "[14t",
                           E "[18t",
                           E "[22;0t",
                           E "[?2026$p",
                           E "[>q",
                           E "[5n",
                           E "[b",
                           E "]0;title\a",
                           E "]2;title \xe2\x82\xac" E "\\",
                           E "]8;;https://example.com/\a",
                           E "]8;id=1;http://a.b/" E "\\",
                           E "]8;;\a",
                           E "]9;4;1;50\a",
                           E "]10;?\a",
                           E "]11;?" E "\\",
                           E "]4;1;?\a",
                           E "]104\a",
                           E "]133;A\a",
                           "\x0e\x0f"}) {
    EXPECT_EQ(filtered(text), text);
  }
}

TEST(Filter, DropsWhatActsOnTheUsersMachine) {
  for (const char* text : {E "]52;c;aGk=\a",
                           E "]52;c;?" E "\\",
                           E "]50;font\a",
                           E "]7;file://host/etc\a",
                           E "]777;notify;a;b\a",
                           E "]1337;File=:x\a",
                           E "]9;7;cmd\a",
                           E "]9;text\a",
                           E "]99;;x\a",
                           E "]10;red\a",
                           E "]4;1;red\a",
                           E "]22;x\a",
                           E "]8;;file:///etc/passwd\a",
                           E "]8;;javascript:x\a",
                           E "]0;a\x01"
                             "b\a",
                           E "]0;a\xc2\x9b"
                             "b\a",
                           E "]x;y\a",
                           E "]\a",
                           E "P+q544e" E "\\",
                           E "Pq#0" E "\\",
                           E "_Gf=100,t=f;L2V0Yw==" E "\\",
                           E "^pm" E "\\",
                           E "Xsos" E "\\",
                           E "Ptmux;" E "\\",
                           E "[5i",
                           E "[4i",
                           E "[?5i",
                           E "[8;1;1t",
                           E "[3;0;0t",
                           E "[20t",
                           E "[21t",
                           E "[1t",
                           E "[?1;1;0S",
                           E "[0*y",
                           E "[1;1;1;1;1;1*y",
                           E "[61\"p",
                           E "[62;1\"p",
                           E "%@",
                           E "%G",
                           E " F",
                           E " G",
                           E "Z",
                           E "[2h",
                           E "[12h",
                           E "[20h",
                           E "[?3h",
                           E "[?40h",
                           E "[?9999h",
                           E "[0x",
                           E "[1$w",
                           E "[1;2'z",
                           E "[1#y",
                           "\x05",
                           "\x11\x13",
                           "\x7f",
                           "\xc2\x9b"
                           "5n",
                           "\xc2\x9d"
                           "52;c;x\xc2\x9c"}) {
    std::string out = filtered(text);
    // What is left of a C1 sequence is text without its introducer.
    if (text[0] == '\xc2') {
      EXPECT_EQ(out.find('\xc2'), std::string::npos);
    } else {
      EXPECT_EQ(out, "") << text + 1;
    }
  }
}

TEST(Filter, NothingUnexpectedEndsASequence) {
  EXPECT_EQ(filtered(E "]52;c;a" E "[31mred"), E "[31mred");  // cut short by another
  EXPECT_EQ(filtered(E "]0;a\x18text"), "text");              // CAN
  EXPECT_EQ(filtered(E "[31\x1atext"), "text");               // SUB
  EXPECT_EQ(filtered(E "[3\n1mtext"), "\n1mtext");            // a control inside
  EXPECT_EQ(filtered(E E E "[0m"), E "[0m");
  EXPECT_EQ(filtered(E "P never ends"), "");
  EXPECT_EQ(filtered(E "]0;" + std::string(5000, 'x') + "\atext"), "text");
  EXPECT_EQ(filtered(E "[" + std::string(300, '1') + "mtext"), "text");
}

TEST(Filter, Characters) {
  // Continuation bytes that would be controls on their own belong to their character.
  EXPECT_EQ(filtered("\xe2\x80\x9b \xd0\x9b \xf0\x9f\x9b\x9b"), "\xe2\x80\x9b \xd0\x9b \xf0\x9f\x9b\x9b");
  EXPECT_EQ(filtered("a\x9b"
                     "5nb"),
            "a\xef\xbf\xbd"
            "5nb");
  EXPECT_EQ(filtered("a\xff\xfe"
                     "b"),
            "a\xef\xbf\xbd\xef\xbf\xbd"
            "b");
  EXPECT_EQ(filtered("a\xc3z"), "a\xef\xbf\xbdz");
  EXPECT_EQ(filtered("\xe2\x82" E "[31m"), "\xef\xbf\xbd" E "[31m");
  EXPECT_EQ(filtered("\xed\xa0\x80"), "\xef\xbf\xbd");  // a surrogate
}

TEST(Filter, BidiCharactersStay) {
  // Programs that show text need them; where Bulkhead itself shows names they are escaped (base/text.h).
  for (const char* text : {"\xe2\x80\xae", "\xe2\x80\x8f", "\xe2\x81\xa6", "\xe2\x81\xa9", "\xd8\x9c"})
    EXPECT_EQ(filtered(text), text);
}

TEST(Filter, EveryContinuationByteSurvivesInItsCharacter) {
  for (int last = 0x80; last <= 0xbf; ++last) {
    for (const char* start : {"\xc3", "\xd0", "\xe2\x82", "\xf0\x9f\x98"}) {
      const std::string character = start + std::string(1, static_cast<char>(last));
      EXPECT_EQ(filtered(character), character);
    }
  }
}

TEST(Filter, NoControlAboveAsciiIsLeftAndNoneBelowButThoseOfText) {
  for (int c = 0x80; c <= 0xff; ++c) EXPECT_EQ(filtered(std::string{static_cast<char>(c), 'x'}), "\xef\xbf\xbdx") << c;
  for (int c = 0x80; c < 0xa0; ++c) EXPECT_EQ(filtered(std::string{'\xc2', static_cast<char>(c), 'x'}), "x") << c;
  for (int c = 0; c < 0x20; ++c) {
    if (c == 0x1b) continue;
    const bool stays = (c >= '\a' && c <= '\r') || c == 0x0e || c == 0x0f;
    EXPECT_EQ(filtered(std::string{static_cast<char>(c), '!'}), stays ? std::string({static_cast<char>(c), '!'}) : "!")
        << c;
  }
}

// Everything that makes a terminal type, and nothing else: the end of a session waits only where it has to.
TEST(Filter, KnowsWhatWasAsked) {
  const char* questions[] = {E "[c",         E "[0c",          E "[>c",     E "[=c",     E "[5n",     E "[6n",
                             E "[?6n",       E "[?996n",       E "[?u",     E "[14t",    E "[16t",    E "[18t",
                             E "[19t",       E "[?2026$p",     E "[4$p",    E "[>q",     E "[>0q",    E "]4;1;?\a",
                             E "]10;?\a",    E "]11;?" E "\\", E "]12;?\a", E "[?1000h", E "[?1003h", E "[?9h",
                             E "[?25;1004h", E "[?2031h",      E "[?2048h", E "[?1000r"};
  for (const char* text : questions) {
    OutputFilter filter;
    std::string out;
    filter.feed(text, out);
    EXPECT_EQ(out, text);
    EXPECT_TRUE(filter.asked()) << text + 1;
    filter.answered();
    EXPECT_FALSE(filter.asked());

    OutputFilter silent;
    silent.let_ask(false);
    out.clear();
    silent.feed(std::string("a") + text + "b", out);
    EXPECT_EQ(out, "ab") << "nobody is there to read the answer";
    EXPECT_FALSE(silent.asked());
  }
  for (const char* text : {"text",          E "[31m",    E "[?1049h", E "[?25l",
                           E "[?2004h",     E "[?1000l", E "[?1006h", E "[>1u",
                           E "[<u",         E "[=1u",    E "[22;0t",  E "[2 q",
                           E "[!p",         E "[>4;2m",  E "]0;t\a",  E "]8;;https://a/\a",
                           E "]9;4;1;50\a", E "]104\a",  E "c",       E "7",
                           E "(0"}) {
    OutputFilter filter;
    filter.let_ask(false);
    std::string out;
    filter.feed(text, out);
    EXPECT_EQ(out, text);
    EXPECT_FALSE(filter.asked()) << text + 1;
  }
  // What was dropped asked nothing.
  for (const char* text : {E "]52;c;?\a", E "[21t", E "P+q544e" E "\\", "\x05", E "Z", E "[0x", E "[?40h", E "[6",
                           E "[99999999999n", E "]4;1;?;2;red\a"}) {
    OutputFilter filter;
    std::string out;
    filter.feed(text, out);
    EXPECT_EQ(out, "");
    EXPECT_FALSE(filter.asked()) << text + 1;
  }
}

TEST(Filter, CountsQuestionsForTheStatus) {
  OutputFilter filter;
  std::string out;
  filter.feed(E "[5n" E "[6n" E "[c" E "[?5n" E "[5n", out);
  EXPECT_EQ(filter.status_questions(), 2U);
  filter.answered();
  EXPECT_EQ(filter.status_questions(), 0U);
}

TEST(Filter, ANumberTooLargeIsNoOther) {
  for (const char* text : {E "[4294967301n", E "[99999999999999999999t", E "[?99999999999h", E "[4294967300h"})
    EXPECT_EQ(filtered(text), "") << text + 1;
}

TEST(Filter, HowTheInputIsCutDoesNotMatter) {
  std::mt19937 random(1);
  // NOLINTBEGIN(bugprone-suspicious-missing-comma): E is a macro
  const std::string_view pieces[] = {E,
                                     E "[",
                                     E "]",
                                     E "P",
                                     E "_",
                                     E "^",
                                     E "X",
                                     E "\\",
                                     "[",
                                     "]",
                                     "P",
                                     "\\",
                                     "\a",
                                     "?",
                                     ">",
                                     "<",
                                     "=",
                                     "$",
                                     "25",
                                     "1049",
                                     "h",
                                     "l",
                                     "m",
                                     "52;c;x",
                                     "0;t",
                                     ";",
                                     ":",
                                     "\x18",
                                     " ",
                                     "!",
                                     "%",
                                     "\x1a",
                                     "\xc2",
                                     "\x9b",
                                     "\x9d",
                                     "\x9c",
                                     "\xe2\x82\xac",
                                     "\xf0\x9f",
                                     "\x98\x80",
                                     "text",
                                     "\n",
                                     "\x05",
                                     "\x7f",
                                     std::string_view("\0", 1),
                                     "6n",
                                     "5n",
                                     "(",
                                     "B",
                                     "c",
                                     "8;;https://a",
                                     "9;4;1",
                                     "i",
                                     "t",
                                     "18",
                                     "21",
                                     "u",
                                     "p",
                                     "q",
                                     "r",
                                     "s",
                                     "\xff"};
  // NOLINTEND(bugprone-suspicious-missing-comma)
  for (int round = 0; round < 20000; ++round) {
    std::string in;
    for (unsigned n = random() % 14; n > 0; --n) in += pieces[random() % std::size(pieces)];
    const std::string whole = filtered(in);
    ASSERT_EQ(filtered(whole), whole);
    // Every cut in two, and byte by byte.
    OutputFilter byte_by_byte;
    std::string out;
    for (const char c : in) byte_by_byte.feed({&c, 1}, out);
    ASSERT_EQ(out, whole);
    for (std::size_t cut = 0; cut <= in.size(); ++cut) {
      OutputFilter twice;
      out.clear();
      twice.feed(std::string_view(in).substr(0, cut), out);
      twice.feed(std::string_view(in).substr(cut), out);
      ASSERT_EQ(out, whole) << cut;
    }
    ASSERT_EQ(whole.find(E "]52"), std::string::npos);
    ASSERT_TRUE(valid_utf8(whole));  // so no raw C1
    for (std::size_t i = 0; i + 1 < whole.size(); ++i) {
      ASSERT_FALSE(whole[i] == '\xc2' && static_cast<unsigned char>(whole[i + 1]) < 0xa0);
    }
  }
}

}  // namespace
}  // namespace bulkhead::session

#include "policy/toml.h"

#include <gtest/gtest.h>

#include "base/text.h"

namespace bulkhead {
namespace {

std::string parse_error(std::string_view text) {
  auto value = parse_toml(text, "f");
  return value ? "" : value.error().message;
}

TEST(Toml, KeepsTypesAndLines) {
  auto root = parse_toml("a = 1\nb = \"x\"\n\n[c]\nd = [true,\n  2.5]\n", "f");
  ASSERT_TRUE(root);
  ASSERT_EQ(root->entries.size(), 3U);
  EXPECT_EQ(root->entries[0].value.integer, 1);
  EXPECT_EQ(root->entries[1].line, 2);
  const TomlValue& c = root->entries[2].value;
  EXPECT_EQ(root->entries[2].line, 4);
  ASSERT_EQ(c.entries.size(), 1U);
  EXPECT_EQ(c.entries[0].line, 5);
  ASSERT_EQ(c.entries[0].value.items.size(), 2U);
  EXPECT_EQ(c.entries[0].value.items[0].type, TomlValue::Type::boolean);
  EXPECT_EQ(c.entries[0].value.items[1].type, TomlValue::Type::real);
}

TEST(Toml, ReadsWindowsLineEndsAndAByteOrderMark) {
  auto root = parse_toml(
      "\xef\xbb\xbf"
      "a = 1\r\nb = 2\r\n",
      "f");
  ASSERT_TRUE(root);
  ASSERT_EQ(root->entries.size(), 2U);
  EXPECT_EQ(root->entries[1].line, 2);
}

// Each of these once aborted the parser, overflowed its stack or was undefined in it.
TEST(Toml, SurvivesWhatBroke) {
  EXPECT_NE(parse_error("[= 1]"), "");
  EXPECT_NE(parse_error("[[= 1]]"), "");
  std::string dotted = "a";
  for (int i = 0; i < 40000; ++i) dotted += ".a";
  EXPECT_NE(parse_error(dotted + " = 1").find("f:1: more than 200 dots"), std::string::npos);
  EXPECT_NE(parse_error("[" + dotted + "]"), "");
  EXPECT_NE(parse_error("x = {" + dotted + " = 1}"), "");
  // Hidden behind a comment sign inside a string.
  EXPECT_NE(parse_error("x = {k = \"\"\"\n# \"\"\", " + dotted + " = 1}"), "");
  EXPECT_NE(parse_error("a = " + std::string(100000, '[')), "");
  std::string tables = "a = ";
  for (int i = 0; i < 20000; ++i) tables += "{a=";
  EXPECT_NE(parse_error(tables), "");
  // Deep in both ways at once, as deep as the limits let through.
  std::string both = "a = ";
  for (int i = 0; i < 10; ++i) {
    both += "{";
    for (int k = 0; k < 199; ++k) both += "b.";
    both += "b = [\n";
  }
  EXPECT_NE(parse_error(both), "");
  for (int i = 0; i < 10; ++i) both += "1]}\n";
  auto deep = parse_toml(both, "f");  // accepted or refused, but it comes back
  (void)deep;
  EXPECT_NE(parse_error("a = 99999999999999999999999999"), "");
  EXPECT_NE(parse_error("a = 0x"), "");
  EXPECT_NE(parse_error("a = 1\na = 2"), "");
  EXPECT_NE(parse_error("[a]\n[a]"), "");
  EXPECT_NE(parse_error("a = \"unterminated"), "");
}

TEST(Toml, RefusesWhatIsNoText) {
  using std::string_literals::operator""s;
  EXPECT_EQ(parse_error("a = 1\nb = \"\0\"\n"s), "f:2: holds a NUL byte: not a text file");
  EXPECT_EQ(parse_error("a = 1\nb = \"\xff\"\n"), "f:2: not valid UTF-8");
  EXPECT_EQ(parse_error("a = \"\xc0\xaf\""), "f:1: not valid UTF-8");
  EXPECT_NE(parse_error(std::string(max_toml_bytes + 1, '#')).find("larger than 256 KiB"), std::string::npos);
  EXPECT_EQ(parse_error(std::string(max_toml_bytes, '#')), "");
}

TEST(Toml, ErrorsShowNoControlCharacters) {
  const std::string error = parse_error("a\x1b[31m = 1");
  ASSERT_NE(error, "");
  EXPECT_EQ(error.find('\x1b'), std::string::npos);
}

TEST(Toml, StringsReadBackTheSame) {
  for (const std::string text : {"", "plain", "a\"b\\c", "tab\tnew\nline", "\x1b[31m", "\x7f", "\u202e\u2066bidi",
                                 "é€😀", "\U000e0041tag", "\u0085"}) {
    const std::string written = toml_string(text);
    EXPECT_EQ(escape_for_terminal(written), written);
    auto root = parse_toml("a = " + written, "f");
    ASSERT_TRUE(root) << written << ": " << root.error().message;
    EXPECT_EQ(root->entries[0].value.string, text);
  }
}

}  // namespace
}  // namespace bulkhead

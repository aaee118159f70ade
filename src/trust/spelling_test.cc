#include "trust/spelling.h"

#include <gtest/gtest.h>

namespace bulkhead::trust {
namespace {

TEST(Spelling, CaseAndWindowsTails) {
  EXPECT_EQ(folded(".CuRsOr"), ".cursor");
  EXPECT_EQ(folded(".git."), ".git");
  EXPECT_EQ(folded(".git . "), ".git");
  EXPECT_EQ(folded(".git::$INDEX_ALLOCATION"), ".git");
  EXPECT_EQ(folded(".envrc:stream"), ".envrc");
  EXPECT_EQ(folded("..."), "...");
  EXPECT_EQ(folded(":"), ":");
  EXPECT_EQ(folded("\ufeff:Z"), "\ufeff:z");  // nothing would be left, so all of it counts
  EXPECT_EQ(folded(""), "");
}

// X09: what HFS+, APFS and a casefolding ext4 take for the same name (CVE-2014-9390, CVE-2025-59944).
TEST(Spelling, UnicodeSpellingsOfTheSameName_X09) {
  EXPECT_EQ(folded(".g\u200cit"), ".git");        // HFS+ ignores the zero-width non-joiner
  EXPECT_EQ(folded(".g\ufeffi\u2060t"), ".git");  // and these
  EXPECT_EQ(folded("CLAUDE\u200d.MD"), "claude.md");
  EXPECT_EQ(folded(".cur\u017for"), ".cursor");          // long s folds to s
  EXPECT_EQ(folded("\u212a"), "k");                      // Kelvin sign
  EXPECT_EQ(folded("caf\u00e9"), folded("cafe\u0301"));  // NFC, NFD
  EXPECT_EQ(folded("STRASSE"), folded("stra\u00dfe"));
  EXPECT_NE(folded(".git\u0131"), ".giti");  // a dotless i is another letter
}

TEST(Spelling, InvalidUtf8FoldsItsAscii) {
  EXPECT_EQ(folded("A\xff\xfe"), "a\xff\xfe");
  EXPECT_NE(folded(".gi\xfft"), ".git");
  EXPECT_EQ(folded(".cur\u017for:\xff"), ".cursor");
}

TEST(Spelling, ShortNames_X09) {
  EXPECT_TRUE(is_short_name_of("git~1", ".git"));
  EXPECT_TRUE(is_short_name_of("gitmod~1", ".gitmodules"));
  EXPECT_TRUE(is_short_name_of("gitmod~4", ".gitmodules"));
  EXPECT_TRUE(is_short_name_of("gi7eba~1", ".gitmodules"));
  EXPECT_TRUE(is_short_name_of("claude~1", ".claude"));
  EXPECT_TRUE(is_short_name_of("settin~1.jso", "settings.json"));
  EXPECT_FALSE(is_short_name_of("git~1", ".gitmodules"));
  EXPECT_FALSE(is_short_name_of("git~", ".git"));
  EXPECT_FALSE(is_short_name_of("git~1x", ".git"));
  EXPECT_FALSE(is_short_name_of(".git", ".git"));
  EXPECT_FALSE(is_short_name_of("~1", ".git"));
  EXPECT_FALSE(is_short_name_of("settin~1.txt", "settings.json"));
}

}  // namespace
}  // namespace bulkhead::trust

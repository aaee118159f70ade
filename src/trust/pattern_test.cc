#include "trust/pattern.h"

#include <gtest/gtest.h>

#include "base/text.h"

namespace bulkhead::trust {
namespace {

bool matches(const std::string& pattern, const std::string& path) {
  Matcher matcher;
  matcher.add(*Pattern::parse(pattern), 7);
  const auto found = matcher.match_path(path);
  EXPECT_TRUE(found.empty() || found == std::vector<std::size_t>{7});
  return !found.empty();
}

TEST(Pattern, HoldsAtAnyDepth) {
  EXPECT_TRUE(matches(".envrc", ".envrc"));
  EXPECT_TRUE(matches(".envrc", "a/b/c/.envrc"));
  EXPECT_FALSE(matches(".envrc", ".envrc/x"));
  EXPECT_FALSE(matches(".envrc", "x.envrc"));
  EXPECT_TRUE(matches(".git/hooks/*", "sub/.git/hooks/pre-commit"));
  EXPECT_FALSE(matches(".git/hooks/*", ".git/hooks/a/b"));
  EXPECT_FALSE(matches(".git/hooks/*", ".git/x/hooks/a"));
  EXPECT_TRUE(matches(".git/hooks/*", ".git/.git/hooks/a"));
}

TEST(Pattern, StarsAndDepth) {
  EXPECT_TRUE(matches("*.code-workspace", "x.code-workspace"));
  EXPECT_TRUE(matches(".claude/settings.*.json", ".claude/settings.local.json"));
  EXPECT_FALSE(matches(".claude/settings.*.json", ".claude/settings.json"));
  EXPECT_TRUE(matches(".husky/**", ".husky/pre-commit"));
  EXPECT_TRUE(matches(".husky/**", "a/.husky/_/h/x"));
  EXPECT_FALSE(matches(".husky/**", ".husky"));
  EXPECT_TRUE(matches(".git/modules/**/config", ".git/modules/config"));
  EXPECT_TRUE(matches(".git/modules/**/config", ".git/modules/a/b/config"));
  EXPECT_FALSE(matches(".git/modules/**/config", ".git/modules/a/b/config/c"));
}

// Where a pattern's first name has its stars decides how it is found, and nothing else.
TEST(Pattern, StarsInTheFirstName) {
  for (const char* pattern : {"a*", "*a", "*a*", "a*a", "*", "a*/x", "*a/x", "*/x"}) {
    const Pattern parsed = *Pattern::parse(pattern);
    for (const std::string name : {"a", "aa", "aba", "ab", "ba", "bab", "b", "A", "~"}) {
      const bool holds = parsed.names().front().matches(lower_ascii(name));
      EXPECT_EQ(matches(pattern, parsed.names().size() == 1 ? name : name + "/x"), holds) << pattern << " " << name;
    }
  }
}

TEST(Pattern, SpellingsCount_X09) {
  EXPECT_TRUE(matches(".cursor/mcp.json", ".CuRsOr/MCP.json"));
  EXPECT_TRUE(matches(".git/config", "GIT~1/config"));
  EXPECT_TRUE(matches(".claude/settings.json", "claude~1/SETTIN~1.JSO"));
  EXPECT_TRUE(matches(".cursor/mcp.json", ".cur\u017for/mcp.json"));
  EXPECT_TRUE(matches(".git/hooks/*", ".g\u200cit/hooks./x"));
}

TEST(Pattern, RefusesWhatCannotBeMeant) {
  for (const char* bad : {"", "/a", "a/", "a//b", ".", "..", "a/../b", "**", "**/a", "a**", "a/b**"}) {
    EXPECT_FALSE(Pattern::parse(bad)) << bad;
  }
}

TEST(Pattern, ManyStarsAreNotSlow) {
  std::string pattern, text(60'000, 'a');
  for (int i = 0; i < 40; ++i) pattern += "a*";
  EXPECT_FALSE(wildcard_matches(pattern + "b", text));
  EXPECT_TRUE(wildcard_matches(pattern, text));
  EXPECT_TRUE(wildcard_matches("*", ""));
  EXPECT_FALSE(wildcard_matches("", "a"));
}

TEST(Matcher, BelowSaysWhatAFolderBegins) {
  Matcher matcher;
  matcher.add(*Pattern::parse(".claude/settings.json"), 1);
  matcher.add(*Pattern::parse("*.sln"), 2);
  EXPECT_EQ(matcher.step({}, ".claude").below.size(), 1U);
  EXPECT_TRUE(matcher.step({}, ".claude", false).below.empty());
  EXPECT_EQ(matcher.step({}, "a.sln").full, std::vector<std::size_t>{2});
  EXPECT_TRUE(matcher.step({}, "src").below.empty());
}

}  // namespace
}  // namespace bulkhead::trust

#include "trust/look.h"

#include <nlohmann/json.hpp>

#include "trust/reader.h"
#include "trust/test_help.h"

namespace bulkhead::trust {
namespace {

Content text(const std::string& bytes) {
  Content out;
  out.bytes = bytes;
  return out;
}

// Of every rule that is shipped: what is asked carries all that its judgement takes.
TEST(Look, TheReaderSaysWhatIsSaidHere) {
  const std::string contents[] = {"",
                                  "{}",
                                  "{ not json",
                                  R"({"hooks":{"x":[{"command":"id"}]},"env":{"A":"b"}})",
                                  "notify = [\"id\"]\n[mcp_servers.a]\ncommand = \"x\"\n",
                                  "API_KEY=1\nBASE_URL=https://x\nexec y\n",
                                  std::string("a\0b", 3),
                                  "\xff\xfe"};
  Reader reader;
  std::size_t asked = 0;
  for (const Rule& rule : shipped().rules()) {
    if (rule.format == Format::git_config) continue;
    for (const std::string& bytes : contents) {
      const Judgement here = judge(rule, text(bytes)), there = reader.judge(rule, text(bytes));
      EXPECT_EQ(here.counts, there.counts) << rule.id << ": " << bytes;
      // A NUL alone does not come across as itself.
      if (here.counts) EXPECT_EQ(judgement_from(look_answer(here))->does, there.does) << rule.id << ": " << bytes;
      ++asked;
    }
  }
  EXPECT_GT(asked, 200U);
}

TEST(Look, AnAnswerThatMakesNoSenseIsNone) {
  using namespace std::string_literals;
  EXPECT_EQ(judgement_from("0")->does.size(), 0U);
  EXPECT_EQ(judgement_from("1a\0b\0"s)->does, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(judgement_from(look_answer({true, {"a\0b"s}}))->does, std::vector<std::string>{"a\u2400b"});
  std::string many = "1";
  for (int i = 0; i < 65; ++i) many += "x\0"s;
  for (const std::string& bad :
       {""s, "2a\0"s, "1"s, "1a"s, "1a\0b"s, "{}"s, "1"s + std::string(1025, 'x') + "\0"s, many}) {
    EXPECT_FALSE(judgement_from(bad)) << bad.substr(0, 20);
  }
}

TEST(Look, WhatIsNoRuleIsNotRead) {
  const auto good = look_request(shipped().rule(0));
  ASSERT_TRUE(rule_from(good));
  for (const auto& [key, value] : good.items()) {
    auto bad = good;
    bad.erase(key);
    EXPECT_FALSE(rule_from(bad)) << key;
  }
  auto git = good;
  git["format"] = static_cast<int>(Format::git_config);
  EXPECT_FALSE(rule_from(git)) << "it starts no program";
}

}  // namespace
}  // namespace bulkhead::trust

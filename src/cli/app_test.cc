#include "cli/app.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace bulkhead::cli {
namespace {

using Words = std::vector<std::string>;

// The workload's command as `bulkhead run …` understands it, or {"usage"}.
Words command_of(Words arguments) {
  CLI::App root("", "bulkhead");
  Invocation invocation;
  root.require_subcommand(1);
  for (const auto add : commands) add(root, invocation);
  arguments.insert(arguments.begin(), "run");
  Words ours = split_at_dashes(arguments, invocation);
  std::ranges::reverse(ours);
  try {
    root.parse(std::move(ours));
  } catch (const CLI::ParseError&) {
    return {"usage"};
  }
  return invocation.command;
}

TEST(Run, TakesTheCommandAfterDashes) {
  EXPECT_EQ(command_of({"--", "bash"}), (Words{"bash"}));
  EXPECT_EQ(command_of({"-q", "--mount", "a:ro", "--", "make", "-j2"}), (Words{"make", "-j2"}));
  EXPECT_EQ(command_of({"--", "sh", "--", "x"}), (Words{"sh", "--", "x"}));
  EXPECT_EQ(command_of({"--", "--odd"}), (Words{"--odd"}));
}

TEST(Run, TakesTheCommandFromItsFirstWord) {
  EXPECT_EQ(command_of({"claude", "--resume"}), (Words{"claude", "--resume"}));
  EXPECT_EQ(command_of({"--profile", "shell", "zsh", "-c", "x"}), (Words{"zsh", "-c", "x"}));
  EXPECT_EQ(command_of({"-m", "a", "-m", "b", "make"}), (Words{"make"}));
}

TEST(Run, NeverTakesTheWorkloadsWordsForOurs) {
  EXPECT_EQ(command_of({"claude", "--help"}), (Words{"claude", "--help"}));
  EXPECT_EQ(command_of({"sh", "-q", "--profile", "x"}), (Words{"sh", "-q", "--profile", "x"}));
  EXPECT_EQ(command_of({"ps", "--json"}), (Words{"ps", "--json"}));
  EXPECT_EQ(command_of({"stop"}), (Words{"stop"}));
  EXPECT_EQ(command_of({"git", "diff", "--", "file"}), (Words{"git", "diff", "--", "file"}));
  EXPECT_EQ(command_of({"run", "--", "x"}), (Words{"run", "--", "x"}));
}

TEST(Run, RefusesWhatItDoesNotKnow) {
  EXPECT_EQ(command_of({"--polcy", "f", "bash"}), (Words{"usage"}));
  EXPECT_EQ(command_of({"-z", "bash"}), (Words{"usage"}));
  EXPECT_EQ(command_of({}), (Words{"usage"}));
  EXPECT_EQ(command_of({"--"}), (Words{"usage"}));
  EXPECT_EQ(command_of({"--mount"}), (Words{"usage"}));
}

}  // namespace
}  // namespace bulkhead::cli

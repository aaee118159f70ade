#include "trust/find.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <set>
#include <thread>

#include "base/text.h"
#include "trust/test_help.h"

namespace bulkhead::trust {
namespace {

std::vector<std::string> paths(const Found& found) {
  std::vector<std::string> out;
  for (const Control& control : found.controls) out.push_back(control.path);
  return out;
}
std::vector<std::string> found_in(const Folder& folder) {
  const auto found = find_controls(folder.fd(), shipped());
  EXPECT_TRUE(found);
  return paths(*found);
}
using Paths = std::vector<std::string>;

TEST(Find, AtAnyDepth_X05) {
  const Folder folder;
  folder.write("a/b/.envrc", "id");
  folder.write("x/.vscode/tasks.json", "{}");
  folder.write("x/y/.claude/settings.json", "{}");
  folder.write("src/main.cc", "");
  folder.write("package.json", "{}");
  EXPECT_EQ(found_in(folder), (Paths{"a/b/.envrc", "x/.vscode/tasks.json", "x/y/.claude/settings.json"}));
}

TEST(Find, SpellingsOfNames_X09) {
  const Folder folder;
  folder.write(".CuRsOr/mcp.json", "{}");
  folder.write("nfd/.CLAUDE/Settings.JSON", "{}");
  folder.write("z/.clau\u200cde/settings.json", "{}");
  EXPECT_EQ(found_in(folder),
            (Paths{".CuRsOr/mcp.json", "nfd/.CLAUDE/Settings.JSON", "z/.clau\u200cde/settings.json"}));
}

TEST(Find, RepositoriesByWhatTheyHold_X06) {
  const Folder folder;
  // A renamed .git (X04), a bare repository, and an ordinary one whose config is harmless.
  for (const std::string where : {"g2", "data/bare.git", ".git"}) {
    folder.write(where + "/HEAD", "ref: refs/heads/main\n");
    folder.write(where + "/objects/info/x", "");
    folder.write(where + "/refs/x", "");
  }
  folder.write("g2/config", "[core]\n\tfsmonitor = ./evil\n");
  folder.write("data/bare.git/hooks/post-update", "id");
  folder.write("data/bare.git/hooks/update.sample", "id");
  folder.write(".git/config", "[core]\n\tbare = false\n[remote \"o\"]\n\turl = https://h/x\n");
  folder.write("sub/.git", "gitdir: /somewhere\n");
  EXPECT_EQ(found_in(folder), (Paths{"data/bare.git/hooks/post-update", "g2/config", "sub/.git"}));
}

TEST(Find, LinksAreNotFollowedOutOfTheProject_X01) {
  const Folder outside, folder;
  outside.write("secret", "the secret");
  folder.link(outside.at("secret"), ".envrc");
  folder.link("..", ".claude");
  folder.link("nowhere", ".mcp.json");
  folder.link(".vscode", ".vscode");
  const auto found = find_controls(folder.fd(), shipped());
  ASSERT_TRUE(found);
  EXPECT_EQ(paths(*found), (Paths{".claude", ".envrc", ".mcp.json", ".vscode"}));
  for (const Control& control : found->controls) {
    EXPECT_FALSE(control.content.problem.empty()) << control.path;
    EXPECT_EQ(control.content.bytes, "") << control.path;
    for (const std::string& line : control.does) EXPECT_EQ(line.find("the secret"), std::string::npos);
  }
}

TEST(Find, LinksInsideAreFollowedAndTheirContentCounts) {
  const Folder folder;
  folder.write("CLAUDE.md", "be kind");
  folder.link("CLAUDE.md", "AGENTS.md");
  folder.write("shared/settings.json", "{\"apiKeyHelper\":\"id\"}");
  folder.link("shared", ".claude");
  folder.link("shared", "innocent");
  const auto found = find_controls(folder.fd(), shipped());
  ASSERT_TRUE(found);
  EXPECT_EQ(paths(*found), (Paths{".claude", ".claude/settings.json", "AGENTS.md", "CLAUDE.md"}));
  EXPECT_EQ(found->controls[2].content.target, "CLAUDE.md");
  EXPECT_EQ(found->controls[2].content.bytes, "be kind");
  EXPECT_EQ(found->controls[1].does, (Paths{"runs `id` to get the API key"}));
}

TEST(Find, WhatIsNoPlainFileCountsAndDoesNotBlock_X07) {
  const Folder folder;
  folder.write("x", "");
  ASSERT_EQ(::mkfifo(folder.at(".envrc").c_str(), 0644), 0);
  std::filesystem::create_directory(folder.at("CLAUDE.md"));
  folder.write(".mcp.json", "");
  ASSERT_EQ(::truncate(folder.at(".mcp.json").c_str(), off_t{10} << 40), 0);
  const auto found = find_controls(folder.fd(), shipped());
  ASSERT_TRUE(found);
  EXPECT_EQ(paths(*found), (Paths{".envrc", ".mcp.json"}));
  EXPECT_EQ(found->controls[0].content.problem, "is a FIFO");
  EXPECT_NE(found->controls[1].content.problem.find("larger than"), std::string::npos);
}

TEST(Find, DependencyFoldersAreMarked) {
  const Folder folder;
  folder.write("node_modules/x/.vscode/tasks.json", "{}");
  folder.write(".vscode/tasks.json", "{}");
  const auto found = find_controls(folder.fd(), shipped());
  ASSERT_EQ(found->controls.size(), 2U);
  EXPECT_FALSE(found->controls[0].dependency);
  EXPECT_TRUE(found->controls[1].dependency);
}

TEST(Find, LimitsAreSaidAndNothingPassesBehindThem) {
  const Folder folder;
  for (int i = 0; i < 20; ++i) folder.write("d/f" + std::to_string(i), "");
  folder.write("a/b/c/.envrc", "id");
  const auto few = find_controls(folder.fd(), shipped(), {.entries = 10});
  ASSERT_TRUE(few);
  ASSERT_EQ(few->unseen.size(), 1U);
  EXPECT_EQ(few->unseen[0].path, ".");
  const auto shallow = find_controls(folder.fd(), shipped(), {.depth = 2});
  ASSERT_TRUE(shallow);
  ASSERT_EQ(shallow->unseen.size(), 1U);
  EXPECT_EQ(shallow->unseen[0].path, "a/b/c");
  const auto late = find_controls(folder.fd(), shipped(), {.time = std::chrono::milliseconds(-1)});
  ASSERT_TRUE(late);
  EXPECT_EQ(late->unseen[0].path, ".");
}

TEST(Find, UnreadableFoldersAreNamed) {
  if (::geteuid() == 0) GTEST_SKIP() << "root reads everything";
  const Folder folder;
  folder.write("closed/.envrc", "id");
  ASSERT_EQ(::chmod(folder.at("closed").c_str(), 0), 0);
  const auto found = find_controls(folder.fd(), shipped());
  ASSERT_TRUE(found);
  ASSERT_EQ(found->unseen.size(), 1U);
  EXPECT_EQ(found->unseen[0].path, "closed");
  ::chmod(folder.at("closed").c_str(), 0755);
}

// The onlooker hears of the same tree: not of what it does not enter, nor of what is behind links.
TEST(Find, AnOnlookerHearsOfEveryFileOnce) {
  class Hears : public Onlooker {
   public:
    bool enters(int folder, const std::string& name, std::size_t depth) override {
      EXPECT_GE(folder, 0);
      EXPECT_EQ(depth == 0, name.empty());
      return name != "skipped";
    }
    void file(const std::string& name, const std::string& path) override {
      EXPECT_TRUE(path == name || path.ends_with("/" + name));
      EXPECT_TRUE(heard.insert(path).second) << path;
    }
    void incomplete() override { whole = false; }
    std::set<std::string> heard;
    bool whole = true;
  };
  const Folder folder;
  folder.write("a/b/.envrc", "id");
  folder.write("c", "");
  folder.write("skipped/x/y", "");
  folder.write("shared/settings.json", "{}");
  folder.link("shared", ".claude");
  folder.link("c", "d");
  ASSERT_EQ(::mkfifo(folder.at("fifo").c_str(), 0644), 0);
  Hears hears;
  ASSERT_TRUE(find_controls(folder.fd(), shipped(), {}, nullptr, &hears));
  EXPECT_EQ(hears.heard, (std::set<std::string>{"a/b/.envrc", "c", "shared/settings.json"}));
  EXPECT_TRUE(hears.whole);
  ASSERT_TRUE(find_controls(folder.fd(), shipped(), {.entries = 3}, nullptr, &hears));
  EXPECT_FALSE(hears.whole);
}

// X03: a folder and a link to the outside change places while the walk goes on. What is outside is never read.
//
// How often the inside is seen is up to the scheduler: a swap waits for the folder's lock, which the walk's listing
// holds, so most happen just between listing and opening. Walks go on until it was seen; a machine that is busy needs
// more.
TEST(Find, SwappedFoldersLeadNowhere_X03) {
  const Folder outside, folder;
  outside.write("hooks/pre-commit", "outside");
  outside.write("settings.json", "{\"apiKeyHelper\":\"outside\"}");
  folder.write("a/.claude/settings.json", "{\"apiKeyHelper\":\"inside\"}");
  folder.link(outside.path(), "link");
  std::atomic<bool> stop = false;
  std::atomic<std::size_t> swaps = 0;
  std::thread swapper([&] {
    while (!stop) swaps += ::renameat2(folder.fd(), "a/.claude", folder.fd(), "link", RENAME_EXCHANGE) == 0 ? 1 : 0;
  });
  std::size_t seen = 0, leaks = 0, walks = 0;
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while ((walks < 4000 || seen == 0 || swaps < 20'000) && std::chrono::steady_clock::now() < end) {
    ++walks;
    const auto found = find_controls(folder.fd(), shipped());
    if (!found) continue;
    for (const Control& control : found->controls) {
      seen += control.content.bytes.find("inside") != std::string::npos ? 1 : 0;
      leaks += control.content.bytes.find("outside") != std::string::npos ? 1 : 0;
    }
  }
  stop = true;
  swapper.join();
  EXPECT_EQ(leaks, 0U);
  EXPECT_GT(seen, 0U) << walks << " walks, " << swaps << " swaps";
  EXPECT_GE(swaps, 20'000U) << walks << " walks";
}

}  // namespace
}  // namespace bulkhead::trust

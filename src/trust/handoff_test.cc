#include "trust/handoff.h"

#include <algorithm>
#include <optional>

#include "trust/test_help.h"

namespace bulkhead::trust {
namespace {

// A tree before and after, by names; "-> x" is a link.
class Handoff : public testing::Test {
 protected:
  void change(const std::string& path, std::optional<std::string> before, std::optional<std::string> after,
              mode_t mode_after = 0644) {
    Change one;
    one.path = path;
    one.existed = before.has_value();
    one.exists = after.has_value();
    if (before) one.before = side(old_, path, *before, 0644, one.link_before);
    if (after) one.after = side(new_, path, *after, mode_after, one.link_after);
    changes_.push_back(one);
  }
  std::vector<Handed> classified() { return classify(shipped(), changes_); }
  std::vector<std::string> paths() {
    std::vector<std::string> out;
    for (const Handed& one : classified()) out.push_back(one.path);
    return out;
  }
  std::vector<Change> changes_;

 private:
  int side(const Folder& folder, const std::string& path, const std::string& text, mode_t mode, std::string& link) {
    if (text.starts_with("-> ")) {
      link = text.substr(3);
      return -1;
    }
    folder.write(path, text, mode);
    opened_.push_back(*sys::open(folder.at(path), O_RDONLY));
    return opened_.back().get();
  }
  Folder old_, new_;
  std::vector<UniqueFd> opened_;
};

TEST_F(Handoff, OrdinaryWorkIsNotHeld) {
  change("src/main.cc", "a", "b");
  change("README.md", std::nullopt, "x");
  change("docs/x.txt", "a", std::nullopt);
  change(".git/objects/ab/cdef", std::nullopt, "x");
  change(".git/index", "a", "b");
  change(".git/refs/heads/main", "a", "b");
  change(".git/hooks/pre-commit.sample", std::nullopt, "x");
  change("run-me.sh", "a", "b", 0644);
  EXPECT_TRUE(classified().empty());
}

// X15: what an agent leaves for the host to run.
TEST_F(Handoff, WhatTheHostWouldRun_X15) {
  change(".venv/bin/python", std::nullopt, "-> /tmp/evil");
  change("env/bin/activate", "a", "a\nid\n");
  change("env/pyvenv.cfg", "a", "home = /tmp\n");
  change("package.json", R"({"name":"x"})", R"({"name":"x","scripts":{"postinstall":"id"}})");
  change("sub/Dockerfile", "FROM a\n", "FROM b\n");
  change("tests/conftest.py", std::nullopt, "import os\n");
  change("build.rs", std::nullopt, "fn main() {}\n");
  change("Makefile", "all:\n", "all:\n\tid\n");
  change(".github/workflows/ci.yml", "a", "b");
  change("lib/sitecustomize.py", std::nullopt, "x");
  change("bin/tool", "x", "x", 0755);
  change("bin/data", "x", "y", 0644);
  const auto found = classified();
  EXPECT_EQ(found.size(), 11U);
  for (const Handed& one : found) {
    EXPECT_EQ(one.kind, Class::build) << one.path;
    EXPECT_FALSE(one.does.empty()) << one.path;
    EXPECT_NE(one.path, "bin/data");
  }
  const auto package =
      std::find_if(found.begin(), found.end(), [](const Handed& h) { return h.path == "package.json"; });
  ASSERT_NE(package, found.end());
  EXPECT_EQ(package->does[0], "runs `id` at every install (postinstall)");
}

TEST_F(Handoff, ControlFilesComeFirst_X05) {
  change("Makefile", std::nullopt, "x");
  change("CLAUDE.md", std::nullopt, "do evil");
  change("a/.ENVRC", std::nullopt, "id");
  change(".claude", std::nullopt, "-> elsewhere");
  EXPECT_EQ(paths(), (std::vector<std::string>{".claude", "a/.ENVRC", "CLAUDE.md", "Makefile"}));
}

TEST_F(Handoff, GitConfigByWhatChanged_X06) {
  change(".git/config", "[core]\n\tbare = false\n", "[core]\n\tbare = false\n[branch \"x\"]\n\tremote = origin\n");
  EXPECT_TRUE(classified().empty()) << "a new branch is no reason to ask";
  change("w/.git/config", "", "[core]\n\tfsmonitor = id\n");
  change("sub/.git", std::nullopt, "gitdir: /evil\n");
  EXPECT_EQ(paths(), (std::vector<std::string>{"sub/.git", "w/.git/config"}));
}

TEST_F(Handoff, RenamedAndForgedRepositories_X04_X06) {
  change("g2/HEAD", std::nullopt, "ref: refs/heads/main\n");
  change("g2/config", std::nullopt, "[core]\n\thooksPath = x\n");
  change("g2/hooks/pre-commit", std::nullopt, "id", 0755);
  change("other/config", std::nullopt, "[core]\n\thooksPath = x\n");
  change("bare.git/config", "", "[core]\n\tfsmonitor = id\n");
  EXPECT_EQ(paths(), (std::vector<std::string>{"g2/config", "g2/hooks/pre-commit"}));
  changes_.back().repository = "bare.git";  // the caller saw HEAD, objects and refs there
  EXPECT_EQ(paths(), (std::vector<std::string>{"bare.git/config", "g2/config", "g2/hooks/pre-commit"}));
}

TEST_F(Handoff, WhatIsRemovedOrDefusedIsSaid) {
  change(".claude/settings.json", R"json({"permissions":{"deny":["Read(secrets)"]}})json", std::nullopt);
  change(".git/config", "[core]\n\tfsmonitor = id\n", "[core]\n\tbare = false\n");
  const auto found = classified();
  ASSERT_EQ(found.size(), 2U);
  EXPECT_TRUE(found[0].removed);
  EXPECT_FALSE(found[1].removed);
  EXPECT_EQ(found[1].does, (std::vector<std::string>{"does nothing any more"}));
}

TEST_F(Handoff, UnreadableContentCounts) {
  change(".mcp.json", std::nullopt, "{ not json");
  change(".git/config", "", "not a config");
  EXPECT_EQ(paths(), (std::vector<std::string>{".git/config", ".mcp.json"}));
}

}  // namespace
}  // namespace bulkhead::trust

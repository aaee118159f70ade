#include "trust/handoff.h"

#include <algorithm>
#include <optional>

#include "trust/test_help.h"

namespace bulkhead::trust {
namespace {

// Two folders, before and after; "-> x" is a link.
class TwoFolders : public Trees {
 public:
  Content read(const std::string& path, Side side) override {
    const Folder& folder = side == Side::before ? old_ : new_;
    if (std::filesystem::is_symlink(folder.at(path))) {
      Content out;
      out.kind = Content::Kind::link;
      out.target = std::filesystem::read_symlink(folder.at(path)).string();
      return out;
    }
    return read_content(sys::open(folder.at(path), O_RDONLY)->get());
  }
  std::vector<std::string> names(const std::string& folder, Side side) override {
    const auto fd = sys::open((side == Side::before ? old_ : new_).at(folder), O_RDONLY | O_DIRECTORY);
    return fd ? *sys::list_directory(fd->get()) : std::vector<std::string>();
  }
  Folder old_, new_;
};

class Handoff : public testing::Test {
 protected:
  void change(const std::string& path, std::optional<std::string> before, std::optional<std::string> after,
              mode_t mode_after = 0644) {
    changes_.push_back({path, before.has_value(), after.has_value()});
    if (before) put(trees_.old_, path, *before, 0644);
    if (after) put(trees_.new_, path, *after, mode_after);
  }
  // There on both sides, and no change.
  void there(const std::string& path, const std::string& text) {
    put(trees_.old_, path, text, 0644);
    put(trees_.new_, path, text, 0644);
  }
  std::vector<Handed> classified() { return classify(shipped(), changes_, trees_, around_, limits_).handed; }
  std::vector<std::string> paths() {
    std::vector<std::string> out;
    for (const Handed& one : classified()) out.push_back(one.path);
    return out;
  }
  std::vector<Change> changes_;
  TwoFolders trees_;
  Surroundings around_;
  HandoffLimits limits_;

 private:
  static void put(const Folder& folder, const std::string& path, const std::string& text, mode_t mode) {
    if (text.starts_with("-> ")) {
      folder.link(text.substr(3), path);
    } else {
      folder.write(path, text, mode);
    }
  }
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
  change("g2/objects/x", std::nullopt, "");
  change("g2/refs/x", std::nullopt, "");
  change("other/config", std::nullopt, "[core]\n\thooksPath = x\n");
  change("bare.git/config", "", "[core]\n\tfsmonitor = id\n");
  EXPECT_EQ(paths(), (std::vector<std::string>{"g2/config", "g2/hooks/pre-commit"}));
  for (const char* name : {"bare.git/HEAD", "bare.git/objects/x", "bare.git/refs/x"}) there(name, "");
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

// What lay there harmless acts, once its folder is a repository: brought in one session, woken in the next. Whatever of
// it comes last, as whatever, however spelled, and be it the mounted folder itself.
TEST_F(Handoff, AFolderThatBecomesARepository_X06) {
  int number = 0;
  const auto woken = [&](const std::string& in, const std::vector<std::string>& were, const std::string& comes,
                         const std::string& as) {
    changes_.clear();
    const std::string top = in.empty() ? "" : in + std::to_string(++number) + "/";
    there(top + "config", "[core]\n\tfsmonitor = id\n");
    for (const std::string& name : were) there(top + name + (name == "HEAD" ? "" : "/x"), "");
    if (as == "folder") {
      std::filesystem::create_directories(trees_.new_.at(top + comes));
      changes_.push_back({top + comes, false, true, true});
    } else {
      change(top + comes, std::nullopt, as);
    }
    const auto found = classified();
    if (found.empty()) return std::string();
    EXPECT_EQ(found.size(), 1U);
    EXPECT_EQ(found[0].kind, Class::runs);
    EXPECT_TRUE(found[0].path == top + comes);
    EXPECT_NE(found[0].does.at(0).find("makes its folder a repository"), std::string::npos);
    return comes;
  };
  EXPECT_EQ(woken("d", {"objects", "refs"}, "HEAD", "ref: refs/heads/main\n"), "HEAD");
  EXPECT_EQ(woken("d", {"objects", "refs"}, "HEAD", "-> elsewhere"), "HEAD");
  EXPECT_EQ(woken("d", {"HEAD", "refs"}, "objects", "folder"), "objects");
  EXPECT_EQ(woken("d", {"HEAD", "refs"}, "objects", "-> ../elsewhere"), "objects");
  EXPECT_EQ(woken("d", {"HEAD", "objects"}, "refs", "folder"), "refs");
  EXPECT_EQ(woken("d", {"HEAD", "objects"}, "refs", "-> ../elsewhere"), "refs");
  EXPECT_EQ(woken("d", {"HEAD", "objects"}, "Refs", "folder"), "Refs");
  EXPECT_EQ(woken("d", {"HEAD"}, "commondir", "/elsewhere\n"), "commondir");
  EXPECT_EQ(woken("deep/e", {"HEAD", "objects"}, "refs", "folder"), "refs");
  // One of them is not enough, and another name is none.
  EXPECT_EQ(woken("d", {"objects"}, "HEAD", "x"), "");
  EXPECT_EQ(woken("d", {"HEAD"}, "refs", "folder"), "");
  EXPECT_EQ(woken("d", {"HEAD", "refs"}, "object", "folder"), "");
  // The folder that is mounted; last, for what is there stays.
  EXPECT_EQ(woken("", {"HEAD", "refs"}, "objects", "folder"), "objects");
  // A repository that is made from nothing is judged by what is put into it.
  changes_.clear();
  for (const char* name : {"fresh/.git/HEAD", "fresh/.git/objects/x", "fresh/.git/refs/x"})
    change(name, std::nullopt, "");
  change("fresh/.git/config", std::nullopt, "[core]\n\tbare = false\n");
  EXPECT_TRUE(classified().empty());
}

// Each way in which a path means something else than it says, by itself: switched off, only its own line fails.
TEST_F(Handoff, EachOtherNameOfAPathCounts) {
  const auto held = [&](const std::string& path) {
    changes_.clear();
    change(path, "a", "id", 0755);
    return !classified().empty();
  };
  EXPECT_FALSE(held("envs/dev")) << "a name like any other";
  around_.links = {{".envrc", "envs/dev"}};
  EXPECT_TRUE(held("envs/dev")) << "a link to the file";
  around_.links = {{".husky", "envs"}};
  EXPECT_TRUE(held("envs/dev")) << "a link to the folder above it";
  around_.links.clear();
  EXPECT_FALSE(held("hooks/pre-push"));
  around_.above = "/home/me/project/.git";
  EXPECT_TRUE(held("hooks/pre-push")) << "what the folder is called";
  around_.above.clear();
  for (const char* name : {"bare/HEAD", "bare/objects/x", "bare/refs/x"}) there(name, "");
  EXPECT_FALSE(held("hooks/pre-push"));
  EXPECT_TRUE(held("bare/hooks/pre-push")) << "what the folder above it holds";
}

TEST_F(Handoff, WhatALinkOfTheProjectLeadsTo) {
  around_.links = {{".envrc", "envs/dev"}, {".claude", "shared"}};
  change("envs/dev", "a", "id");
  change("envs/prod", "a", "id");
  change("shared/settings.json", "{}", R"({"apiKeyHelper":"id"})");
  change("shared/notes.txt", "a", "b");
  EXPECT_EQ(paths(), (std::vector<std::string>{"envs/dev", "shared/settings.json"}));
}

TEST_F(Handoff, WhatTheFolderItselfIsCalled) {
  around_.above = "/home/me/.claude";
  change("settings.json", "{}", R"({"apiKeyHelper":"id"})");
  change("notes.txt", "a", "b");
  EXPECT_EQ(paths(), (std::vector<std::string>{"settings.json"}));
  around_.above = "/home/me/project/.git";
  change("hooks/pre-push", std::nullopt, "id");
  change("hooks/pre-push.sample", std::nullopt, "id");
  EXPECT_EQ(paths(), (std::vector<std::string>{"hooks/pre-push"}));
}

TEST_F(Handoff, TheSameContentIsNoNewsUnlessItCanBeExecutedNow) {
  change("Makefile", "all:\n", "all:\n");
  change("bin/tool", "x", "x");
  change(".git/hooks/pre-commit", "id", "id", 0755);
  EXPECT_EQ(paths(), (std::vector<std::string>{".git/hooks/pre-commit"}));
}

TEST_F(Handoff, AYesIsToAContent) {
  change("Makefile", "all:\n", "all:\n\tid\n");
  change(".mcp.json", std::nullopt, "-> x");
  const Classified all = classify(shipped(), changes_, trees_);
  ASSERT_EQ(all.handed.size(), 2U);
  EXPECT_EQ(all.handed[0].after.target, "x");
  EXPECT_EQ(all.handed[1].after.sha256, fingerprint_of(trees_.read("Makefile", Trees::Side::after)).sha256);
  EXPECT_EQ(all.judged.size(), 2U);
  Project project;
  EXPECT_FALSE(is_trusted(all.handed[1], &project));
  project.files["Makefile"] = {Content::Kind::file, false, "", all.handed[1].after.sha256, std::nullopt};
  EXPECT_TRUE(is_trusted(all.handed[1], &project));
  project.files["Makefile"].executable = true;
  EXPECT_FALSE(is_trusted(all.handed[1], &project));
}

TEST_F(Handoff, BehindTheLimitsEverythingCountsAndNobodyCanSayYes) {
  for (int i = 0; i < 20; ++i) change("d" + std::to_string(i) + "/.git/config", "", "[core]\n\tbare = false\n");
  EXPECT_TRUE(classified().empty());
  limits_.files = 10;
  const auto found = classified();
  ASSERT_EQ(found.size(), 15U);
  EXPECT_FALSE(found.front().problem.empty());
}

TEST_F(Handoff, FilesOfPackagesAreMarkedWithTheirFolder) {
  change("a/node_modules/x/node_modules/y/package.json", std::nullopt, "{}");
  change("package.json", std::nullopt, "{}");
  const auto found = classified();
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(found[0].packages, "a/node_modules");
  EXPECT_EQ(found[1].packages, "");
}

TEST_F(Handoff, UnreadableContentCounts) {
  change(".mcp.json", std::nullopt, "{ not json");
  change(".git/config", "", "not a config");
  EXPECT_EQ(paths(), (std::vector<std::string>{".git/config", ".mcp.json"}));
}

}  // namespace
}  // namespace bulkhead::trust

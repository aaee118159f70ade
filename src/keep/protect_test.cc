#include "keep/protect.h"

#include <errno.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <thread>

#include "base/sys.h"
#include "keep/folder.h"
#include "keep/refusals.h"
#include "trust/catalogue.h"

namespace bulkhead::keep {
namespace {

std::vector<ControlRule> shipped() {
  const auto catalogue = trust::Catalogue::load(BULKHEAD_SOURCE_DIR "/control", "");
  EXPECT_TRUE(catalogue);
  std::vector<ControlRule> out;
  for (const trust::Rule& rule : catalogue->rules()) {
    if (rule.kind != trust::Class::build) out.push_back({rule.id, rule.patterns, rule.except});
  }
  return out;
}

class ProtectTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = "/tmp/protect-test-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    top_ = pattern;
    begin();
  }
  void TearDown() override { std::filesystem::remove_all(top_); }

  void begin(const std::vector<std::string>& allowed = {}, const std::string& base = "/srv/project") {
    folder_ = std::make_unique<LiveFolder>(
        Tree(std::move(*sys::open(top_, O_PATH))), nullptr, std::move(*Protection::make(shipped(), allowed, base)),
        [this](const char* operation, std::string_view path, std::string_view) {
          refused_.push_back(std::string(operation) + " " + std::string(path));
        },
        ::getgid());
  }
  void write(const std::string& path, const std::string& text = "x") {
    std::filesystem::create_directories((std::filesystem::path(top_) / path).parent_path());
    ASSERT_TRUE(sys::write_file_atomically(top_ + "/" + path, text, 0644));
  }
  void folder(const std::string& path) { std::filesystem::create_directories(top_ + "/" + path); }
  void repository(const std::string& path) {
    for (const char* name : {"objects", "refs", "hooks"}) folder(path + "/" + name);
    write(path + "/HEAD");
    write(path + "/config");
  }
  int create(const std::string& path) { return code(folder_->create(path, O_WRONLY | O_EXCL, 0644)); }
  int open(const std::string& path) { return code(folder_->open(path, O_WRONLY)); }
  int rename(const std::string& from, const std::string& to, unsigned flags = 0) {
    return code(folder_->rename(from, to, flags));
  }
  template <class T>
  static int code(const Result<T>& result) {
    return result ? 0 : result.error().code;
  }

  std::string top_;
  std::unique_ptr<LiveFolder> folder_;
  std::vector<std::string> refused_;
};

TEST_F(ProtectTest, ANameAtAnyDepthInAnySpelling) {
  folder("a/b/.vscode");
  folder("a/.git/hooks");
  folder("a/.CLAUDE");
  for (const char* path :
       {".envrc", "a/b/.envrc", "CLAUDE.md", "a/claude.MD", "a/b/.vscode/tasks.json", "a/.git/hooks/pre-commit",
        "a/.git/config", ".EnvRc", "a/.CLAUDE/Settings.json", "a/.envrc. ", ".en\xe2\x80\x8bvrc", ".gitmodules",
        "GIT~1", "a/x.code-workspace", ".mcp.json", ".git"}) {
    EXPECT_EQ(create(path), EROFS) << path;
    EXPECT_EQ(code(folder_->make_folder(path, 0755)), EROFS) << path;
    EXPECT_EQ(code(folder_->make_node(path, S_IFIFO | 0644)), EROFS) << path;
    EXPECT_EQ(code(folder_->make_link(path, "x")), EROFS) << path;
  }
  for (const char* path : {"a/.git/index", "a/.git/HEAD", "a/.git/hooks/pre-commit.sample", "a/.git/config.lock",
                           "envrc", "Makefile", "package.json", ".vscode", "a/b/.vscode/launch.json", ".env.example"}) {
    EXPECT_EQ(create(path), 0) << path;
  }
  ASSERT_FALSE(refused_.empty());
  EXPECT_EQ(refused_.front(), "create .envrc");
}

TEST_F(ProtectTest, WhatIsThereCantBeTouched) {
  write(".envrc");
  write("d/CLAUDE.md");
  write("plain");
  EXPECT_EQ(open(".envrc"), EROFS);
  EXPECT_EQ(code(folder_->open(".envrc", O_RDONLY)), 0);
  EXPECT_EQ(code(folder_->open(".envrc", O_RDONLY | O_TRUNC)), EROFS);
  EXPECT_EQ(code(folder_->remove(".envrc")), EROFS);
  EXPECT_EQ(rename(".envrc", "x"), EROFS);
  EXPECT_EQ(rename("plain", ".envrc"), EROFS);
  EXPECT_EQ(rename("plain", ".envrc", RENAME_EXCHANGE), EROFS);
  EXPECT_EQ(rename(".envrc", "plain", RENAME_EXCHANGE), EROFS);
  EXPECT_EQ(code(folder_->link(".envrc", "x")), EROFS);
  EXPECT_EQ(code(folder_->link("plain", "d/.mcp.json")), EROFS);
  EXPECT_EQ(code(folder_->set_mode({.path = ".envrc"}, 0600)), EROFS);
  EXPECT_EQ(code(folder_->set_owner({.path = ".envrc"}, ::getuid(), ::getgid())), EROFS);
  EXPECT_EQ(code(folder_->set_times({.path = ".envrc"}, {{1, 1}, {1, 1}})), EROFS);
  EXPECT_EQ(code(folder_->set_attribute(".envrc", "user.x", "y", 0)), EROFS);
  EXPECT_EQ(code(folder_->remove_attribute(".envrc", "user.x")), EROFS);
  auto file = folder_->open(".envrc", O_RDONLY);
  ASSERT_TRUE(file);
  EXPECT_EQ(code(folder_->set_mode({.path = ".envrc", .file = file->get()}, 0600)), EROFS);
  // A folder that holds one stays where it is; one that holds none moves.
  EXPECT_EQ(rename("d", "e"), EROFS);
  folder("free/deep");
  EXPECT_EQ(rename("free", "freed"), 0);
}

TEST_F(ProtectTest, AFolderMovedToWhereItsFilesAct) {
  write("a/settings.json");
  write("hooks/pre-commit");
  write("x/hooks/pre-commit");
  folder(".git");
  EXPECT_EQ(rename("a", ".claude"), EROFS);
  EXPECT_EQ(rename("hooks", ".git/hooks"), EROFS);
  EXPECT_EQ(rename("x", ".git"), EROFS);
  EXPECT_EQ(rename(".git", ".g2"), EROFS);
  folder("b");
  EXPECT_EQ(rename("b", ".claude"), 0);
  EXPECT_EQ(create(".claude/settings.json"), EROFS);
  EXPECT_EQ(rename("a", ".claude", RENAME_EXCHANGE), EROFS);
  EXPECT_EQ(rename(".claude", "a", RENAME_EXCHANGE), EROFS);
  write("config");
  EXPECT_EQ(rename("hooks", "config", RENAME_EXCHANGE), 0) << "with a file";
  EXPECT_EQ(rename("hooks", "config", RENAME_EXCHANGE), 0);
  // A link by whose name a pattern begins.
  EXPECT_EQ(code(folder_->make_link(".vscode", "a")), EROFS);
  ASSERT_EQ(code(folder_->make_link("l", "a")), 0);
  EXPECT_EQ(rename("l", ".vscode"), EROFS);
  folder("c");
  ASSERT_EQ(code(folder_->make_link("c/hooks", "../a")), 0);
  EXPECT_EQ(rename("c", ".github"), EROFS);
}

TEST_F(ProtectTest, ARepositoryWhateverItIsCalled) {
  repository("bare");
  EXPECT_EQ(open("bare/config"), EROFS);
  EXPECT_EQ(create("bare/hooks/post-commit"), EROFS);
  EXPECT_EQ(create("bare/hooks/x.sample"), 0);
  EXPECT_EQ(create("bare/objects/x"), 0);
  EXPECT_EQ(rename("bare", "b2"), EROFS);
  EXPECT_EQ(rename("bare/hooks", "h"), 0) << "there was nothing in it that counts";
  // Made piece by piece: whatever comes last is refused while something would count.
  folder("n/objects");
  folder("n/refs");
  write("n/config");
  EXPECT_EQ(create("n/HEAD"), EROFS);
  EXPECT_EQ(create("n/hEaD"), EROFS);
  write("head");
  EXPECT_EQ(rename("head", "n/HEAD"), EROFS);
  EXPECT_EQ(code(folder_->make_link("n/HEAD", "x")), EROFS);
  EXPECT_EQ(code(folder_->link("head", "n/HEAD")), EROFS);
  ASSERT_EQ(code(folder_->remove("n/config")), 0);
  EXPECT_EQ(create("n/HEAD"), 0);
  EXPECT_EQ(create("n/config"), EROFS);
  // Taken apart and put together again.
  repository("r");
  ASSERT_EQ(rename("r/HEAD", "r/H"), 0);
  ASSERT_EQ(open("r/config"), 0);
  EXPECT_EQ(rename("r/H", "r/HEAD"), EROFS);
  // A worktree's folder in .git.
  folder(".git/worktrees/w");
  write(".git/worktrees/w/HEAD");
  write(".git/worktrees/w/commondir");
  EXPECT_EQ(create(".git/worktrees/w/config.worktree"), EROFS);
  EXPECT_EQ(create(".git/worktrees/w/index"), 0);
  EXPECT_EQ(rename(".git/worktrees/w/index", ".git/worktrees/w/HEAD"), 0);
}

TEST_F(ProtectTest, TheFileBehindAControlFile) {
  write("shared.sh");
  write("plain");
  std::filesystem::create_hard_link(top_ + "/shared.sh", top_ + "/.envrc");
  EXPECT_EQ(open("shared.sh"), EROFS);
  EXPECT_EQ(code(folder_->set_mode({.path = "shared.sh"}, 0755)), EROFS);
  EXPECT_EQ(code(folder_->remove("shared.sh")), 0) << "the other name is still there";
  EXPECT_EQ(open("plain"), 0);
  std::filesystem::create_hard_link(top_ + "/plain", top_ + "/other");
  EXPECT_EQ(open("plain"), 0) << "two names, neither a control file's";
  std::filesystem::create_hard_link(top_ + "/plain", top_ + "/.mcp.json");  // the host's doing, after the first look
  EXPECT_EQ(open("plain"), EROFS);
  EXPECT_EQ(open("other"), EROFS);
}

TEST_F(ProtectTest, WhereALinkOfTheHostsLeads) {
  write("env/dev.sh");
  write("shared/claude/settings.json");
  write("free/f");
  std::filesystem::create_symlink("env/dev.sh", top_ + "/.envrc");
  std::filesystem::create_symlink("./shared/../shared/claude", top_ + "/.claude");
  std::filesystem::create_symlink("/srv/project/tasks.json", top_ + "/t");
  folder("sub/.vscode");
  std::filesystem::create_symlink("../../t", top_ + "/sub/.vscode/tasks.json");
  std::filesystem::create_symlink("/etc/passwd", top_ + "/.mcp.json");
  EXPECT_EQ(open("env/dev.sh"), EROFS);
  EXPECT_EQ(rename("env", "e"), EROFS);
  EXPECT_EQ(open("shared/claude/settings.json"), EROFS);
  EXPECT_EQ(create("shared/claude/hooks"), 0) << "a file there is no hook yet";
  EXPECT_EQ(create("shared/claude/settings.local.json"), EROFS);
  EXPECT_EQ(create("tasks.json"), EROFS);
  EXPECT_EQ(open("free/f"), 0);
  EXPECT_EQ(code(folder_->remove(".claude")), EROFS);
  write("later.sh");
  EXPECT_EQ(open("later.sh"), 0);
  std::filesystem::create_symlink("../later.sh", top_ + "/sub/.envrc");
  folder_->protection().host_made(folder_->tree(), "sub/.envrc");
  EXPECT_EQ(open("later.sh"), EROFS);
}

TEST_F(ProtectTest, WhatIsAllowedAndAllBelow) {
  begin({".github/hooks", "CLAUDE.md", ".git/hooks/*"});
  folder(".github");
  folder("bare/hooks");
  EXPECT_EQ(code(folder_->make_folder(".github/hooks", 0755)), 0);
  EXPECT_EQ(create(".github/hooks/x"), 0);
  EXPECT_EQ(create("CLAUDE.md"), 0);
  EXPECT_EQ(create("bare/claude.md"), 0);
  EXPECT_EQ(create("AGENTS.md"), EROFS);
  repository("bare");
  EXPECT_EQ(create("bare/hooks/x"), 0);
  EXPECT_EQ(open("bare/config"), EROFS);
  begin({"*"});
  EXPECT_EQ(open("bare/config"), 0);
  EXPECT_FALSE(Protection::make(shipped(), {"../x"}, "/"));
}

TEST_F(ProtectTest, AFolderWithinAControlFolder) {
  begin({}, "/home/me/project/.vscode");
  EXPECT_EQ(create("tasks.json"), EROFS);
  EXPECT_EQ(create("other.json"), 0);
  begin({}, "/home/me/project/.git");
  EXPECT_EQ(create("config"), EROFS);
  EXPECT_EQ(create("index"), 0);
}

TEST_F(ProtectTest, RefusalsAreToldOnceAndCounted) {
  std::vector<nlohmann::json> told;
  Refusals refusals("/srv/project", [&](const nlohmann::json& one) { told.push_back(one); });
  for (int i = 0; i < 5; ++i) refusals.add("write", ".envrc", "direnv");
  ASSERT_EQ(told.size(), 1U);
  EXPECT_EQ(told[0].at("path"), ".envrc");
  for (int i = 0; i < 5000; ++i) refusals.add("create", "d" + std::to_string(i) + "/.envrc", "direnv");
  EXPECT_LT(told.size(), 70U);
  refusals.rest();
  std::uint64_t all = 0;
  for (const nlohmann::json& one : told) all += one.at("count").get<std::uint64_t>();
  EXPECT_EQ(all, 5005U);
}

}  // namespace
}  // namespace bulkhead::keep

#include "secrets/secrets.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "base/sys.h"
#include "secrets/scan.h"
#include "secrets/stores.h"

namespace bulkhead::secrets {
namespace {

Patterns shipped() {
  auto patterns = load_patterns(BULKHEAD_SOURCE_DIR);
  EXPECT_TRUE(patterns) << (patterns ? "" : patterns.error().message);
  return patterns.value_or(Patterns());
}

TEST(Patterns, Names) {
  const Patterns patterns = shipped();
  for (const char* name : {"id_ed25519", ".env", ".env.local", "prod.env", "vault.kdbx", ".netrc", "kubeconfig",
                           "my-service-account.json", "server.pem", ".npmrc", "terraform.tfstate"}) {
    EXPECT_NE(named(patterns, name), nullptr) << name;
  }
  for (const char* name : {"id_ed25519.pub", ".env.example", "main.cc", "environment", "README.md", "env"}) {
    EXPECT_EQ(named(patterns, name), nullptr) << name;
  }
  EXPECT_TRUE(named(patterns, "server.pem")->read) << "a certificate is no key";
}

TEST(Patterns, Contents) {
  const Patterns patterns = shipped();
  const std::string run(40, 'a');
  for (const std::string& text :
       {std::string("-----BEGIN OPENSSH PRIVATE KEY-----\n"), std::string("x AKIAABCDEFGHIJKLMNOP y"),
        "token: ghp_" + run, "github_pat_" + run, "sk-ant-api03-" + run, "xoxb-" + run,
        std::string("//registry.npmjs.org/:_authToken=abcdef0123\n")}) {
    EXPECT_NE(contained(patterns, text), nullptr) << text;
  }
  for (const std::string& text :
       {std::string("-----BEGIN CERTIFICATE-----"), std::string("AKIA"), std::string("AKIAshort"),
        std::string("ghp_short"), std::string(), std::string("AKIAABCDEFGHIJKLMNo")}) {
    EXPECT_EQ(contained(patterns, text), nullptr) << text;
  }
}

TEST(Patterns, AFileOfThemIsChecked) {
  EXPECT_FALSE(patterns_from("", "p"));
  EXPECT_FALSE(patterns_from("version = 1\n[[name]]\nwhat = \"x\"\nfiles = [\"a*b\"]\n", "p"));
  EXPECT_FALSE(patterns_from("version = 1\n[[name]]\nwhat = \"x\"\nfiles = [\"*\"]\n", "p"));
  EXPECT_FALSE(patterns_from("version = 1\n[[store]]\nwhat = \"x\"\npaths = [\"/etc\"]\n", "p"));
  EXPECT_FALSE(patterns_from("version = 1\n[[content]]\nwhat = \"x\"\ntext = \"y\"\nthen = \"A\"\n", "p"));
  EXPECT_FALSE(patterns_from("version = 1\n[[nam]]\n", "p"));
}

class Tree : public ::testing::Test {
 protected:
  void SetUp() override {
    char where[] = "/tmp/bulkhead-secrets-test-XXXXXX";
    ASSERT_NE(::mkdtemp(where), nullptr);
    root_ = *sys::real_path(where);
  }
  void TearDown() override { EXPECT_TRUE(sys::remove_tree(AT_FDCWD, root_)); }
  void write(const std::string& path, const std::string& text = "x\n") {
    const std::string full = root_ + "/" + path;
    ASSERT_TRUE(sys::make_directories(full.substr(0, full.rfind('/')), 0700));
    ASSERT_TRUE(sys::write_file_atomically(full, text, 0600));
  }
  Scan look(const Bounds& bounds = {}, const std::string& path = "") {
    auto fd = sys::open(path.empty() ? root_ : root_ + "/" + path, O_PATH);
    return scan(patterns_, fd->get(), path.substr(path.rfind('/') + 1), bounds, true);
  }
  static std::vector<std::string> paths(const Scan& scan) {
    std::vector<std::string> out;
    for (const Key& key : scan.keys) out.push_back(key.path);
    std::ranges::sort(out);
    return out;
  }
  std::string root_;
  Patterns patterns_ = shipped();
};

TEST_F(Tree, FindsByNameAndByContent) {
  write(".env");
  write("deploy/id_rsa");
  write("cert.pem", "-----BEGIN CERTIFICATE-----\n");
  write("deploy/tls.pem", "-----BEGIN PRIVATE KEY-----\n");
  write("node_modules/x/.env");
  write("main.cc", "-----BEGIN PRIVATE KEY-----\n");  // only names that are candidates are read
  const Scan found = look();
  EXPECT_EQ(paths(found), (std::vector<std::string>{".env", "deploy/id_rsa", "deploy/tls.pem"}));
  EXPECT_TRUE(found.whole);
  EXPECT_EQ(found.files, 5U);
  EXPECT_EQ(paths(look({}, "deploy/id_rsa")), std::vector<std::string>{""});
  EXPECT_TRUE(look({}, "main.cc").keys.empty());
}

TEST_F(Tree, StrangersTreesAreNotFollowedIntoAnything) {
  ASSERT_TRUE(sys::make_directories(root_ + "/a", 0700));
  ASSERT_EQ(::symlink("/etc/passwd", (root_ + "/.env").c_str()), 0);
  ASSERT_EQ(::symlink("/", (root_ + "/a/root").c_str()), 0);
  ASSERT_EQ(::mkfifo((root_ + "/server.pem").c_str(), 0600), 0);
  ASSERT_EQ(::symlink("..", (root_ + "/a/up").c_str()), 0);
  const Scan found = look();
  EXPECT_TRUE(found.keys.empty());
  EXPECT_EQ(found.files, 0U);
}

TEST_F(Tree, EverythingIsBounded) {
  for (int i = 0; i < 40; ++i) write("d" + std::to_string(i) + "/.env");
  EXPECT_EQ(look().keys.size(), 20U);
  EXPECT_FALSE(look().whole);
  Bounds few;
  few.entries = 10;
  EXPECT_FALSE(look(few).whole);
  Bounds deep;
  std::string path;
  for (int i = 0; i < 40; ++i) path += "e/";
  write(path + ".env");
  deep.found = 100;
  EXPECT_EQ(look(deep).keys.size(), 40U);
  EXPECT_FALSE(look(deep).whole);
}

class Stores : public Tree {
 protected:
  void SetUp() override {
    Tree::SetUp();
    write("home/.ssh/id_rsa");
    write("home/.ssh/config");
    write("home/.config/gh/hosts.yml");
    write("home/.config/app/settings");
    write("home/project/main.cc");
    write("home/.claude/.credentials.json");
    place_ = {root_ + "/home/project", root_ + "/home"};
    stores_ = present_stores(patterns_, {root_ + "/home"});
  }
  // "" when the mount is let be.
  std::string judged(const std::string& path, const std::string& layer = "command line",
                     const std::vector<std::string>& allowed = {}, Mount mount = {}) {
    mount.path = path;
    mount.origin = {layer, layer == "user" ? "p.toml" : "", layer == "user" ? 7 : 0};
    const auto real = sys::real_path(absolute_path(path, place_));
    const auto ok = judge_stores(stores_, mount, *real, allowed, place_);
    return ok ? "" : ok.error().message;
  }
  Place place_;
  std::vector<Present> stores_;
};

TEST_F(Stores, WhatHoldsOneLiesInOneOrLeadsToOne) {
  EXPECT_NE(judged("~/.ssh").find("SSH keys (~/.ssh)"), std::string::npos);
  EXPECT_NE(judged("~/.ssh/id_rsa"), "");
  EXPECT_NE(judged("~/.config").find("--allow-secrets \"~/.config/gh\""), std::string::npos);
  ASSERT_EQ(::symlink("../.ssh", (root_ + "/home/project/harmless").c_str()), 0);
  EXPECT_NE(judged("harmless"), "");
  EXPECT_EQ(judged("."), "");
  EXPECT_EQ(judged("~/.config/app"), "");
  EXPECT_EQ(judged("~/.ssh/config"), "") << "no secret";
}

TEST_F(Stores, OnlyWhatIsCopiedCounts) {
  Mount copy;
  copy.copy = true;
  EXPECT_NE(judged("~/.claude", "profile claude", {}, copy), "");
  copy.except = {".credentials.json"};
  EXPECT_EQ(judged("~/.claude", "profile claude", {}, copy), "");
  copy.except = {};
  copy.only = {"settings.json"};
  EXPECT_EQ(judged("~/.claude", "profile claude", {}, copy), "");
}

TEST_F(Stores, SaidTwice) {
  EXPECT_EQ(judged("~/.ssh", "command line", {"~/.ssh"}), "");
  EXPECT_EQ(judged("~/.ssh/id_rsa", "command line", {"~/.ssh/id_rsa"}), "");
  EXPECT_EQ(judged("~/.config", "command line", {"~/.config/gh"}), "");
  EXPECT_NE(judged("~/.config", "command line", {"~/.config"}), "") << "which it is has to be said";
  EXPECT_NE(judged("~/.ssh", "command line", {"~/.config/gh"}), "");
  // A file alone, or the command line alone, is once.
  Mount mount;
  EXPECT_NE(judged("~/.ssh", "user", {"~/.ssh"}), "");
  mount.secrets = {"~/.ssh"};
  EXPECT_NE(judged("~/.ssh", "user", {}, mount), "");
  EXPECT_EQ(judged("~/.ssh", "user", {"~/.ssh"}, mount), "");
  EXPECT_NE(judged("~/.ssh", "default", {"~/.ssh"}), "") << "nobody mounted it";
}

}  // namespace
}  // namespace bulkhead::secrets

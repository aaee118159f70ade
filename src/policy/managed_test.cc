#include "policy/managed.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/sys.h"
#include "base/text.h"
#include "policy/digest.h"
#include "policy/effective.h"
#include "policy/managed_folder.h"
#include "policy/profile.h"
#include "policy/test_help.h"

namespace bulkhead {
namespace {

using testing_help::source_dir;

std::shared_ptr<const Managed> rules(const std::vector<std::string>& texts) {
  auto managed = std::make_shared<Managed>();
  int number = 10;
  for (const std::string& text : texts) {
    auto file = load_managed("version = 1\n" + text, "/m/" + std::to_string(number++) + ".toml");
    EXPECT_TRUE(file) << file.error().message;
    if (file) managed->files.push_back(std::move(*file));
  }
  managed->own_homes = {"/home/me"};
  managed->all_homes = {"/home/me", "/elsewhere"};
  return managed;
}

std::string wrong(const std::string& text) {
  auto file = load_managed("version = 1\n" + text, "m.toml");
  return file ? "" : file.error().message;
}

// The policy that a user's file makes under these rules, or why there is none.
Result<Policy> under(const std::shared_ptr<const Managed>& managed, const std::string& text,
                     const CommandLine& flags = {}) {
  BH_TRY(Document document, load_document("version = 1\n" + text, "p.toml", "user"));
  BH_TRY(Document line, command_line_document(flags));
  BH_CHECK(expand_presets(source_dir, document));
  std::vector<Document> layers;
  for (const ManagedFile& file : managed->files) layers.push_back(layer_of(file));
  layers.push_back(std::move(line));
  layers.push_back(std::move(document));
  const Place place{"/home/me/src/project", "/home/me"};
  BH_TRY(Policy policy, merge_layers(layers, place));
  BH_CHECK(hold_to(managed, policy, place));
  return policy;
}

std::string refusal(const std::string& rule, const std::string& text, const CommandLine& flags = {}) {
  auto policy = under(rules({rule}), text, flags);
  return policy ? "" : policy.error().message;
}

std::string grant(const std::string& host, const std::string& more = "") {
  return "[[grant]]\nhost = \"" + host + "\"\n" + more + "[[grant.allow]]\nmethod = \"GET\"\npath = \"/\"\n";
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST(Managed, UnknownKeysAndWordsThatSayNothingAreErrors) {
  EXPECT_TRUE(has(wrong("tier = \"vm\"\n"), "m.toml:2: unknown key `tier`; did you mean `tiers`?"));
  EXPECT_TRUE(has(wrong("ask = true\n"), "a rule takes away"));
  EXPECT_TRUE(has(wrong("tiers = []\n"), "lets no session run"));
  EXPECT_TRUE(has(wrong("[mount]\ndeny = [\"secret\"]\n"), "absolute, or `~/…`"));
  EXPECT_TRUE(has(wrong("[mount]\ndeny = [\"/a/../b\"]\n"), "without `..`"));
  EXPECT_TRUE(has(wrong("[mount]\nforbid_modes = [\"rwx\"]\n"), "of ro, rw, rw-no-delete, review"));
  EXPECT_TRUE(has(wrong("[network]\ndeny_hosts = [\"*.x.example\"]\n"), "write \"x.example\""));
  EXPECT_TRUE(has(wrong("[network.presets]\nnpm-install = \"abc\"\n"), "64 hex digits"));
  EXPECT_TRUE(has(wrong("[network]\nupstream_ca = [\"~/x.pem\"]\n"), "a file that only root writes"));
  EXPECT_TRUE(has(wrong("[env]\nforbid = [\"*\"]\n"), "m.toml:3"));
  EXPECT_FALSE(load_managed("ask = false\n", "m.toml"));
}

TEST(Managed, HostsAreDeniedWithAllThatIsBelow) {
  const std::string rule = "[network]\ndeny_hosts = [\"drop.example\", \"192.0.2.7\"]\n";
  for (const char* host :
       {"drop.example", "a.drop.example", "a.b.drop.example", "*.drop.example", "*.b.drop.example", "192.0.2.7"}) {
    EXPECT_TRUE(has(refusal(rule, grant(host)), "/m/10.toml:3")) << host;
  }
  for (const char* host : {"raindrop.example", "drop.example.org", "*.other.example"}) {
    EXPECT_EQ(refusal(rule, grant(host)), "") << host;
  }
  // A wildcard that the denied name matches; what a name leads to; where a redirect may lead.
  EXPECT_TRUE(has(refusal("[network]\ndeny_hosts = [\"x.a.example\"]\n", grant("*.a.example")), "x.a.example"));
  EXPECT_EQ(refusal("[network]\ndeny_hosts = [\"y.x.a.example\"]\n", grant("*.a.example")), "");
  EXPECT_TRUE(has(refusal(rule, grant("fine.example", "address = \"192.0.2.7\"\n")), "192.0.2.7"));
  EXPECT_TRUE(has(refusal(rule, grant("fine.example") + "[grant.response]\nfollow = [\"cdn.drop.example\"]\n"),
                  "cdn.drop.example"));
}

TEST(Managed, HostsThatAreAllowed) {
  const std::string rule = "[network]\nallow_hosts = [\"*.corp.example\", \"api.example\"]\n";
  EXPECT_EQ(refusal(rule, grant("git.corp.example")), "");
  EXPECT_EQ(refusal(rule, grant("*.corp.example")), "");
  EXPECT_EQ(refusal(rule, grant("api.example")), "");
  EXPECT_TRUE(has(refusal(rule, grant("*.api.example")), "allows"));
  EXPECT_TRUE(has(refusal(rule, grant("a.b.corp.example")), "allows"));
  EXPECT_TRUE(has(refusal(rule, grant("api.example", "address = \"10.0.0.1\"\n")), "10.0.0.1"));
  EXPECT_TRUE(has(refusal("[network]\nallow_hosts = []\n", grant("api.example")), "allows nothing"));
}

TEST(Managed, EveryFileHolds) {
  const auto both = rules({"[network]\nallow_hosts = [\"a.example\", \"b.example\"]\n",
                           "[network]\nallow_hosts = [\"b.example\", \"c.example\"]\n"});
  EXPECT_TRUE(under(both, grant("b.example")));
  EXPECT_FALSE(under(both, grant("a.example")));
  EXPECT_FALSE(under(both, grant("c.example")));
  EXPECT_FALSE(check_managed(*rules({"[network]\ndns = [\"10.0.0.1\"]\n", "[network]\ndns = [\"10.0.0.2\"]\n"})));
  EXPECT_FALSE(check_managed(*rules({"[env.set]\nA = \"1\"\n", "[env.set]\nA = \"2\"\n"})));
  EXPECT_TRUE(check_managed(*rules({"[env.set]\nA = \"1\"\n", "[env.set]\nA = \"1\"\nB = \"2\"\n"})));
}

TEST(Managed, CapsAreTheSmallestOfAll) {
  const auto managed = rules({"[limits]\nprocesses = 50\nmemory = \"4GB\"\n[budget]\nrequests = 10\n",
                              "[limits]\nprocesses = 40\n[budget]\nrequests = 20\nbytes_up = \"1MB\"\n"});
  auto policy = under(managed, grant("a.example") + "[grant.budget]\nrequests = 100\n[limits]\nmemory = \"1GB\"\n");
  ASSERT_TRUE(policy) << policy.error().message;
  EXPECT_EQ(policy->limits.processes, 40U);
  EXPECT_EQ(policy->limits.memory, 1'000'000'000U);
  EXPECT_EQ(policy->origins.at("limits.processes").file, "/m/11.toml");
  EXPECT_EQ(policy->grants[0].budget.requests, 10U);
  EXPECT_EQ(policy->grants[0].budget.bytes_up, 1'000'000U);
}

TEST(Managed, WhatItSetsNobodyElseSets) {
  const std::string rule =
      "[network]\ndns = [\"10.0.0.53\"]\nonly_managed = [\"dns\", \"upstream\"]\n[env.set]\nSITE = \"berlin\"\n";
  CommandLine flags;
  flags.environment = {"SITE=elsewhere"};
  auto policy = under(rules({rule}), "dns = [\"192.0.2.1\"]\n", flags);
  ASSERT_TRUE(policy) << policy.error().message;
  EXPECT_EQ(policy->dns_servers, std::vector<std::string>{"10.0.0.53"});
  EXPECT_EQ(policy->env.set.at("SITE"), "berlin");
  EXPECT_TRUE(has(refusal(rule, "[upstream]\nproxy = \"http://p.example:3128\"\n"), "keeps it to itself"));
  EXPECT_TRUE(has(refusal("[network]\nonly_managed = [\"dns\"]\n", "dns = [\"192.0.2.1\"]\n"), "p.toml:2: `dns`"));
}

TEST(Managed, MountsAreJudgedByWhereTheyLead) {
  const auto managed = rules({"[mount]\nallow = [\"~/src\", \"/srv/data\"]\ndeny = [\"~/src/payroll\"]\n"});
  Mount mount;
  mount.path = "x";
  mount.mode = MountMode::rw;
  for (const char* path : {"/home/me/src", "/home/me/src/a", "/srv/data", "/srv/data/b"}) {
    const bool holds_denied = std::string_view(path) == "/home/me/src";
    EXPECT_EQ(!judge_mount(*managed, mount, path), holds_denied) << path;
  }
  // HOME may not make something everybody's own; it does make something denied.
  for (const char* path : {"/home/me/srcs", "/home/me", "/srv", "/srv/database", "/elsewhere/src/a",
                           "/home/me/src/payroll", "/home/me/src/payroll/x"}) {
    EXPECT_FALSE(judge_mount(*managed, mount, path)) << path;
  }
  EXPECT_FALSE(judge_mount(*rules({"[mount]\ndeny = [\"~/x\"]\n"}), mount, "/elsewhere/x/y"));
  EXPECT_FALSE(judge_mount(*rules({"[mount]\nallow = []\n"}), mount, "/srv/data"));
  EXPECT_TRUE(judge_toolchain(*managed, "/home/me/.nvm"));
  EXPECT_FALSE(judge_toolchain(*managed, "/elsewhere/go"));
  EXPECT_FALSE(judge_toolchain(*rules({"[mount]\ndeny = [\"~/go\"]\n"}), "/home/me/go"));
}

TEST(Managed, ModesAndReview) {
  Mount mount;
  mount.path = "/srv/prod/app";
  mount.mode = MountMode::rw;
  const auto forbid = rules({"[mount]\nforbid_modes = [\"rw\"]\n"}),
             review = rules({"[mount]\nreview = [\"/srv/prod\"]\n"});
  EXPECT_FALSE(judge_mount(*forbid, mount, mount.path));
  EXPECT_FALSE(judge_mount(*review, mount, mount.path));
  EXPECT_FALSE(judge_mount(*review, mount, "/srv"));  // it is in there
  EXPECT_TRUE(judge_mount(*review, mount, "/srv/test"));
  mount.copy = true;
  EXPECT_TRUE(judge_mount(*forbid, mount, mount.path));
  EXPECT_TRUE(judge_mount(*review, mount, mount.path));
  mount.copy = false;
  for (const MountMode mode : {MountMode::ro, MountMode::review}) {
    mount.mode = mode;
    EXPECT_TRUE(judge_mount(*review, mount, mount.path));
  }
  mount.mode = MountMode::rw_no_delete;
  EXPECT_FALSE(judge_mount(*review, mount, mount.path));
}

TEST(Managed, NoControlFilesAreOpened) {
  const std::string live = "[[mount]]\npath = \"/srv/p\"\nmode = \"rw\"\nprotect = true\n";
  EXPECT_EQ(refusal("[mount]\nallow_control = false\n", live), "");
  EXPECT_TRUE(has(refusal("[mount]\nallow_control = false\n", live + "allow_control = [\".envrc\"]\n"),
                  "lets no session write control files"));
  EXPECT_TRUE(has(wrong("[mount]\nallow_control = true\n"), "allow_control"));
}

TEST(Managed, Settings) {
  CommandLine ask;
  ask.ask = true;
  EXPECT_TRUE(has(refusal("ask = false\n", "", ask), "command line: `ask`"));
  EXPECT_TRUE(has(refusal("ask = false\n", "ask = true\n"), "p.toml:2: `ask`"));
  EXPECT_TRUE(has(refusal("tiers = [\"vm\", \"gvisor\"]\n", ""), "default: the tier \"native\""));
  EXPECT_EQ(refusal("tiers = [\"vm\"]\n", "tier = \"vm\"\n"), "");
  const std::string old = "tier = \"gvisor\"\nrunsc = \"debian-12\"\n";
  EXPECT_TRUE(has(refusal("tiers = [\"gvisor\"]\n", old), "an old gVisor is none of them"));
  EXPECT_EQ(refusal("tiers = [\"gvisor\"]\n", "tier = \"gvisor\"\nrunsc = \"usual\"\n"), "");
  EXPECT_EQ(refusal("ask = false\n", old), "");
  EXPECT_TRUE(has(refusal("toolchains = false\n", ""), "write toolchains = false"));
  EXPECT_EQ(refusal("toolchains = false\n", "toolchains = false\n"), "");
  EXPECT_TRUE(has(refusal("[network]\npublish = \"none\"\n", "publish = [\"8080\"]\n"), "lets nothing be published"));
  EXPECT_TRUE(has(refusal("[network]\npublish = \"loopback\"\n", "publish = [\"0.0.0.0:8080\"]\n"), "p.toml:2"));
  EXPECT_EQ(refusal("[network]\npublish = \"loopback\"\n", "publish = [\"8080\"]\n"), "");
  EXPECT_TRUE(has(refusal("[env]\nforbid = [\"LD_*\"]\n", "[env]\npass = [\"LD_PRELOAD\"]\n"), "forbids \"LD_*\""));
  EXPECT_TRUE(has(refusal("[credential]\nsources = [\"secret-service\"]\n",
                          "[credential.a]\nsource = \"env:A\"\ncarry = { bearer = true }\n"),
                  "p.toml:2: credential \"a\""));
  EXPECT_TRUE(
      has(refusal("[network]\ntcp = false\n", "[[grant]]\nhost = \"db.example\"\nport = 5432\nprotocol = \"tcp\"\n"),
          "no tcp grants"));
}

TEST(Managed, PinnedPresets) {
  const std::string digest = sha256_hex(testing_help::text_of("presets/npm-install.toml"));
  const std::string rule = "[network.presets]\nnpm-install = \"" + digest + "\"\n";
  EXPECT_EQ(refusal(rule, "[[grant]]\npreset = \"npm-install\"\n"), "");
  EXPECT_TRUE(has(refusal(rule, "[[grant]]\npreset = \"crates\"\n"), "preset \"crates\""));
  EXPECT_TRUE(has(refusal(rule, grant("registry.npmjs.org")), "by these presets only: \"npm-install\""));
  std::string other = digest;
  other[0] = other[0] == '0' ? '1' : '0';
  EXPECT_TRUE(
      has(refusal("[network.presets]\nnpm-install = \"" + other + "\"\n", "[[grant]]\npreset = \"npm-install\"\n"),
          "pins another content"));
  EXPECT_FALSE(refusal("[network.presets]\n", grant("a.example")).empty()) << "an empty list allows nothing";
}

// A folder of the test's own in place of /etc/bulkhead/managed.d, and its owner in place of root.
class Folder : public ::testing::Test {
 protected:
  void SetUp() override {
    root_ = ::testing::TempDir() + "bulkhead-managed-" + std::to_string(::getpid());
    ASSERT_TRUE(sys::make_directories(root_ + "/etc/bulkhead/managed.d", 0755));
    for (const char* path : {"", "/etc", "/etc/bulkhead", "/etc/bulkhead/managed.d"}) {
      ASSERT_EQ(::chmod((root_ + path).c_str(), 0755), 0);
    }
    fd_ = *sys::open(root_, O_PATH | O_DIRECTORY);
  }
  void TearDown() override {
    auto parent = sys::open(::testing::TempDir(), O_RDONLY | O_DIRECTORY);
    (void)sys::remove_tree(parent->get(), "bulkhead-managed-" + std::to_string(::getpid()));
  }
  std::string file(const std::string& name) const { return root_ + "/etc/bulkhead/managed.d/" + name; }
  void write(const std::string& name, const std::string& text) const {
    ASSERT_TRUE(sys::write_file_atomically(file(name), text, 0644));
    ASSERT_EQ(::chmod(file(name).c_str(), 0644), 0);
  }
  Result<std::shared_ptr<const Managed>> find(uid_t owner = ::geteuid()) const {
    return find_managed_below(fd_.get(), "/etc/bulkhead/managed.d", owner, "/home/me");
  }
  std::string error(uid_t owner = ::geteuid()) const {
    auto found = find(owner);
    return found ? "" : found.error().message;
  }
  std::string root_;
  UniqueFd fd_;
};

TEST_F(Folder, NothingThereSaysNothing) {
  auto found = find();
  ASSERT_TRUE(found) << found.error().message;
  EXPECT_EQ(*found, nullptr);
  ASSERT_EQ(::rmdir(file("").c_str()), 0);
  EXPECT_EQ(*find(), nullptr);
  ASSERT_EQ(::rmdir((root_ + "/etc/bulkhead").c_str()), 0);
  EXPECT_EQ(*find(12345), nullptr) << "/etc is not ours to judge";
}

TEST_F(Folder, FilesInTheOrderOfTheirNames) {
  write("20-b.toml", "version = 1\n");
  write("10-a.toml", "version = 1\nask = false\n");
  write("note.txt", "no rules\n");
  write(".20-b.toml.swp", "no rules\n");
  auto found = find();
  ASSERT_TRUE(found) << found.error().message;
  ASSERT_EQ((*found)->files.size(), 2U);
  EXPECT_EQ((*found)->files[0].file, "/etc/bulkhead/managed.d/10-a.toml");
  EXPECT_EQ((*found)->files[0].sha256, sha256_hex("version = 1\nask = false\n"));
}

TEST_F(Folder, WhatOthersCouldHaveWrittenIsRefused) {
  write("10-a.toml", "version = 1\n");
  EXPECT_EQ(error(), "");
  EXPECT_TRUE(has(error(65534), "does not belong to root"));
  for (const char* path : {"/etc", "/etc/bulkhead", "/etc/bulkhead/managed.d", "/etc/bulkhead/managed.d/10-a.toml"}) {
    const mode_t mode = std::string_view(path).ends_with(".toml") ? 0644 : 0755;
    for (const mode_t more : {S_IWGRP, S_IWOTH}) {
      ASSERT_EQ(::chmod((root_ + path).c_str(), mode | more), 0);
      EXPECT_TRUE(has(error(), std::string("managed policy: ") + path + " may be written by others")) << path;
      ASSERT_EQ(::chmod((root_ + path).c_str(), mode), 0);
    }
  }
  EXPECT_EQ(error(), "");
  // Without the file the folder is judged all the same: it may have been taken away.
  ASSERT_EQ(::unlink(file("10-a.toml").c_str()), 0);
  ASSERT_EQ(::chmod(file("").c_str(), 0777), 0);
  EXPECT_FALSE(find());
}

TEST_F(Folder, LinksAndOtherThingsAreRefused) {
  write("10-a.toml", "version = 1\n");
  ASSERT_EQ(::symlink("10-a.toml", file("20-b.toml").c_str()), 0);
  EXPECT_TRUE(has(error(), "20-b.toml is a symbolic link"));
  ASSERT_EQ(::unlink(file("20-b.toml").c_str()), 0);
  ASSERT_EQ(::mkfifo(file("20-b.toml").c_str(), 0644), 0);
  EXPECT_TRUE(has(error(), "20-b.toml is no regular file"));
  ASSERT_EQ(::unlink(file("20-b.toml").c_str()), 0);
  write("20-b.toml", "version = 1\nnonsense = 1\n");
  EXPECT_TRUE(has(error(), "20-b.toml:2: unknown key"));
  EXPECT_TRUE(has(error(), "no session starts"));
  write("20-b.toml", std::string(300 * 1024, '#'));
  EXPECT_TRUE(has(error(), "20-b.toml can't be read"));
  ASSERT_EQ(::unlink(file("20-b.toml").c_str()), 0);
  EXPECT_EQ(error(), "");
  const std::string folder = root_ + "/etc/bulkhead/managed.d";
  ASSERT_EQ(::rename(folder.c_str(), (root_ + "/elsewhere").c_str()), 0);
  ASSERT_EQ(::symlink("../../elsewhere", folder.c_str()), 0);
  EXPECT_TRUE(has(error(), "managed.d is no folder, or a symbolic link to one"));
}

TEST(Managed, WhatIsShownIsAComment) {
  const auto managed =
      rules({"organisation = \"Exa\\u001b[31mmple\"\ntiers = [\"vm\"]\nask = false\ntoolchains = false\n"
             "secrets = false\n[mount]\nallow = [\"~/src\"]\ndeny = [\"/x\"]\nreview = [\"/y\"]\n"
             "forbid_modes = [\"rw\"]\n[network]\nallow_hosts = []\ndeny_hosts = [\"a.example\"]\n"
             "tcp = false\npublish = \"none\"\nonly_managed = [\"dns\"]\n[network.presets]\n"
             "[credential]\nsources = [\"env\"]\n[env]\nforbid = [\"X\"]\n[limits]\nprocesses = 9\n"
             "[budget]\nrequests = 7\n"});
  for (const std::string& line : split(managed_text(*managed), '\n')) {
    EXPECT_TRUE(line.empty() || line.starts_with("#")) << line;
    EXPECT_EQ(line.find('\x1b'), std::string::npos);
  }
  EXPECT_TRUE(has(managed_text(*managed), "at most: processes 9"));
}

}  // namespace
}  // namespace bulkhead

#include "policy/project.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/sys.h"
#include "policy/digest.h"
#include "policy/profile.h"
#include "policy/show.h"
#include "policy/test_help.h"

namespace bulkhead {
namespace {

using testing_help::source_dir;

const Place place{"/home/me/src/project", "/home/me"};

Policy policy() {
  auto document = testing_help::must_load(
      "[[grant]]\nhost = \"api.example\"\n[grant.budget]\nrequests = 100\n[[grant.allow]]\nmethod = [\"GET\", "
      "\"POST\"]\npath = \"/v1/**\"\n[[grant]]\npreset = \"npm-install\"\n[limits]\nmemory = \"2GB\"\n");
  EXPECT_TRUE(expand_presets(source_dir, document));
  auto merged = merge_layers({document}, place);
  EXPECT_TRUE(merged) << merged.error().message;
  return *merged;
}

Result<Policy> with(const std::string& text) {
  Policy narrowed = policy();
  BH_CHECK(narrow("version = 1\n" + text, "/p/bulkhead.toml", source_dir, place, narrowed));
  return narrowed;
}

std::string wrong(const std::string& text) {
  auto narrowed = with(text);
  return narrowed ? "" : narrowed.error().message;
}

std::string grant(const std::string& host, const std::string& method, const std::string& path) {
  return "[[grant]]\nhost = \"" + host + "\"\n[[grant.allow]]\nmethod = \"" + method + "\"\npath = \"" + path + "\"\n";
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST(Project, Narrows) {
  auto narrowed = with("toolchains = false\n" + grant("api.example", "GET", "/v1/**") +
                       "[limits]\nmemory = \"1GB\"\nprocesses = 10\n[budget]\nrequests = 7\n"
                       "[[mount]]\npath = \".\"\nmode = \"ro\"\n");
  ASSERT_TRUE(narrowed) << narrowed.error().message;
  ASSERT_EQ(narrowed->grants.size(), 1U);
  EXPECT_EQ(narrowed->grants[0].allow[0].methods, std::vector<std::string>{"GET"});
  EXPECT_EQ(narrowed->grants[0].budget.requests, 7U);
  EXPECT_EQ(narrowed->grants[0].origin.file, "/p/bulkhead.toml");
  EXPECT_EQ(narrowed->limits.memory, 1'000'000'000U);
  EXPECT_EQ(narrowed->limits.processes, 10U);
  EXPECT_FALSE(narrowed->toolchains);
  EXPECT_EQ(narrowed->mounts[0].mode, MountMode::ro);
  EXPECT_EQ(narrowed->sources.back(), "/p/bulkhead.toml");
  const auto live = with("[[mount]]\npath = \".\"\nprotect = true\n");
  ASSERT_TRUE(live) << live.error().message;
  EXPECT_TRUE(is_served(live->mounts[0]));
  EXPECT_TRUE(with("network = false\n")->grants.empty());
  EXPECT_EQ(with("")->grants.size(), policy().grants.size()) << "what it does not mention stays";
  EXPECT_TRUE(with("[[grant]]\npreset = \"npm-install\"\n"));
}

TEST(Project, X14WhatWouldWidenIsRefusedAsAWhole) {
  EXPECT_TRUE(has(wrong(grant("evil.example", "GET", "/")), "/p/bulkhead.toml:2: "));
  EXPECT_TRUE(has(wrong(grant("api.example", "DELETE", "/v1/x")), "only narrows"));
  EXPECT_TRUE(has(wrong(grant("api.example", "GET", "/**")), "only narrows"));
  EXPECT_TRUE(has(wrong("[[grant]]\npreset = \"crates\"\n"), "only narrows"));
  EXPECT_TRUE(has(wrong("[limits]\nmemory = \"3GB\"\n"), "/p/bulkhead.toml:3: `memory` is more"));
  EXPECT_TRUE(has(wrong("[[mount]]\npath = \"~/.ssh\"\nmode = \"ro\"\n"), "does not mount"));
  EXPECT_TRUE(has(wrong("[[mount]]\npath = \"../other\"\nmode = \"ro\"\n"), "does not mount"));
  EXPECT_TRUE(has(wrong("[[mount]]\npath = \".\"\nmode = \"rw\"\n"), "\"ro\" or \"review\""));
  EXPECT_TRUE(has(wrong("[[mount]]\npath = \".\"\nprotect = true\nallow_control = [\".envrc\"]\n"), "only narrows"));
  EXPECT_TRUE(has(wrong("[[mount]]\npath = \".\"\nprotect = false\n"), "only narrows"));
  EXPECT_TRUE(has(wrong("[[mount]]\npath = \".\"\nmode = \"ro\"\ntarget = \"/etc\"\n"), "unknown key `target`"));
  for (const char* key : {"ask = true\n", "toolchains = true\n", "network = true\n"}) {
    EXPECT_TRUE(has(wrong(key), "only narrows")) << key;
  }
  for (const char* key :
       {"tier = \"vm\"\n", "dns = [\"192.0.2.1\"]\n", "upstream_ca = [\"x.pem\"]\n", "publish = [\"80\"]\n",
        "profile = \"none\"\n", "[env]\npass = [\"HOME\"]\n", "[upstream]\nproxy = \"http://p.example:1\"\n",
        "[credential.x]\nsource = \"command:id\"\ncarry = { bearer = true }\n"}) {
    EXPECT_TRUE(has(wrong(key), "only narrows")) << key;
  }
  // Nothing of one that is refused counts.
  Policy before = policy();
  EXPECT_FALSE(
      narrow("version = 1\ntoolchains = false\n" + grant("evil.example", "GET", "/"), "p", source_dir, place, before));
  EXPECT_EQ(policy_text(before), policy_text(policy()));
}

TEST(Project, ItsFileIsReadWithoutFollowingAnything) {
  char where[] = "/tmp/bulkhead-project-test-XXXXXX";
  ASSERT_NE(::mkdtemp(where), nullptr);
  const std::string root = where;
  EXPECT_FALSE(find_project(root));
  EXPECT_EQ(project_note(root, {}), "");
  ASSERT_EQ(::symlink("/etc/passwd", (root + "/bulkhead.toml").c_str()), 0);
  EXPECT_EQ(find_project(root)->unusable, "it is a link");
  EXPECT_EQ(find_project(root)->text, "");
  ASSERT_EQ(::unlink((root + "/bulkhead.toml").c_str()), 0);
  ASSERT_EQ(::mkfifo((root + "/bulkhead.toml").c_str(), 0600), 0);
  EXPECT_EQ(find_project(root)->unusable, "it is no regular file");
  ASSERT_TRUE(sys::make_directories(root + "/.bulkhead", 0700));
  ASSERT_TRUE(sys::write_file_atomically(root + "/.bulkhead/policy.toml", "nonsense", 0600));
  EXPECT_EQ(find_project(root)->text, "nonsense");
  EXPECT_TRUE(has(project_note(root, {}), "is not used"));
  // Not trusted: not even read as configuration.
  Policy narrowed = policy();
  EXPECT_TRUE(narrow_to_project(source_dir, {root, "/home/me"}, {sha256_hex("another")}, narrowed));
  // Trusted: read, and then what is wrong with it is an error.
  EXPECT_FALSE(narrow_to_project(source_dir, {root, "/home/me"}, {sha256_hex("nonsense")}, narrowed));
  EXPECT_EQ(project_note(root, {sha256_hex("nonsense")}), "");
  ASSERT_TRUE(sys::remove_tree(-100, root));
}

}  // namespace
}  // namespace bulkhead

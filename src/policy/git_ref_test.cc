#include "policy/git_ref.h"

#include <gtest/gtest.h>

#include "policy/test_help.h"

namespace bulkhead {
namespace {

TEST(GitRef, Names) {
  for (const char* good : {"refs/heads/main", "refs/heads/agent/fix-1", "refs/tags/v1.0", "refs/heads/\xc3\xa4",
                           "refs/heads/a@b", "refs/heads/-x", "refs/for/main%topic"}) {
    EXPECT_TRUE(check_ref(good)) << good;
  }
  for (const char* bad : {"",
                          "main",
                          "HEAD",
                          "refs",
                          "refs/",
                          "refs/heads",
                          "refs/heads/",
                          "refs//main",
                          "refs/heads//x",
                          "/refs/heads/x",
                          "refs/heads/.x",
                          "refs/heads/x.lock",
                          "refs/heads/x.lock/y",
                          "refs/heads/x.",
                          "refs/heads/a..b",
                          "refs/heads/../main",
                          "refs/heads/a b",
                          "refs/heads/a~1",
                          "refs/heads/a^",
                          "refs/heads/a:b",
                          "refs/heads/a?",
                          "refs/heads/*",
                          "refs/heads/a[",
                          "refs/heads/a\\b",
                          "refs/heads/@{1}",
                          "refs/heads/a\n",
                          "refs/heads/a\x7f",
                          "refs/heads/\xff",
                          "Refs/heads/x"}) {
    EXPECT_FALSE(check_ref(bad)) << bad;
  }
  EXPECT_FALSE(check_ref("refs/heads/" + std::string(1100, 'a')));
}

TEST(GitRef, Patterns) {
  for (const char* good :
       {"refs/heads/main", "refs/heads/agent/*", "refs/heads/agent-*", "refs/heads/*", "refs/tags/*"}) {
    EXPECT_TRUE(check_ref_pattern(good)) << good;
  }
  for (const char* bad : {"", "*", "refs/*", "refs*", "main", "agent/*", "refs/heads/**", "refs/*/main",
                          "refs/heads/*/x", "refs/heads/../*", "refs/heads/.*", "refs/heads/a b*"}) {
    EXPECT_FALSE(check_ref_pattern(bad)) << bad;
  }
  EXPECT_TRUE(ref_matches("refs/heads/agent/*", "refs/heads/agent/a/b"));
  EXPECT_FALSE(ref_matches("refs/heads/agent/*", "refs/heads/agent/"));
  EXPECT_FALSE(ref_matches("refs/heads/agent/*", "refs/heads/agents/x"));
  EXPECT_FALSE(ref_matches("refs/heads/main", "refs/heads/main2"));
  EXPECT_TRUE(ref_matches("refs/heads/main", "refs/heads/main"));
}

const std::string rule =
    "[[grant]]\nhost = \"git.example.com\"\n[[grant.allow]]\nmethod = \"POST\"\npath = \"/a/b/git-receive-pack\"\n"
    "content_type = \"application/x-git-receive-pack-request\"\n";

TEST(GitRules, Load) {
  const Document document = testing_help::must_load(
      rule + "[grant.allow.git]\nrefs = [\"refs/heads/agent/*\"]\ndelete = true\npush_options = [\"ci.skip\"]\n");
  const GitRules& rules = *document.grants.at(0).allow.at(0).git;
  EXPECT_EQ(rules.refs, std::vector<std::string>{"refs/heads/agent/*"});
  EXPECT_TRUE(rules.remove);
  EXPECT_EQ(rules.push_options, std::vector<std::string>{"ci.skip"});
  EXPECT_FALSE(
      testing_help::must_load(rule + "git = { refs = [\"refs/heads/x\"] }\n").grants.at(0).allow.at(0).git->remove);
}

TEST(GitRules, WhatIsRefused) {
  const auto error = [](const std::string& text) { return testing_help::error_of(rule + text); };
  EXPECT_NE(error("[grant.allow.git]\n").find("no `refs` allow no push"), std::string::npos);
  EXPECT_NE(error("git = { refs = [] }\n").find("no `refs` allow no push"), std::string::npos);
  EXPECT_NE(error("git = { refs = [\"main\"] }\n").find("refs/heads/main"), std::string::npos);
  EXPECT_NE(error("git = { refs = [\"refs/heads/x\"], force = true }\n").find("can't be seen"), std::string::npos);
  EXPECT_NE(error("git = { refs = [\"refs/heads/x\"], deletes = true }\n").find("did you mean `delete`"),
            std::string::npos);
  EXPECT_NE(error("git = { refs = [\"refs/heads/x\"], push_options = [\"*a\"] }\n").find("at its end only"),
            std::string::npos);
  EXPECT_NE(testing_help::error_of(
                "[[grant]]\nhost = \"git.example.com\"\n[[grant.allow]]\nmethod = \"POST\"\npath = \"/a\"\n"
                "git = { refs = [\"refs/heads/x\"] }\n")
                .find("this judges pushes"),
            std::string::npos);
}

}  // namespace
}  // namespace bulkhead

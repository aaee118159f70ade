#include "session/git.h"

#include <gtest/gtest.h>

namespace bulkhead::session {
namespace {

Policy policy_with(const std::string& host, const std::string& path, const std::string& credential = {}) {
  Policy policy;
  Grant grant;
  grant.hosts = {host};
  grant.credential = credential;
  grant.allow = {{{"GET"}, path, {"service"}, "", std::nullopt}};
  policy.grants = {grant};
  Credential token;
  token.name = "git";
  token.carrier = Credential::Carrier::basic;
  token.basic_user = "x-access-token";
  token.expose_env = "GITHUB_TOKEN";
  policy.credentials["git"] = token;
  return policy;
}

TEST(Git, RewritesSshWhereAGrantOpensGit) {
  const auto out = git_environment(policy_with("github.com", "/{owner}/{repository}/info/refs"));
  EXPECT_EQ(out.at("GIT_CONFIG_COUNT"), "3");
  EXPECT_EQ(out.at("GIT_CONFIG_KEY_0"), "url.https://github.com/.insteadOf");
  EXPECT_EQ(out.at("GIT_CONFIG_VALUE_0"), "git@github.com:");
  EXPECT_EQ(out.at("GIT_CONFIG_VALUE_1"), "ssh://git@github.com/");
}

TEST(Git, GivesTheTokenWhereGitAsksForAPassword) {
  const auto out = git_environment(policy_with("github.com", "/acme/app/info/refs", "git"));
  EXPECT_EQ(out.at("GIT_CONFIG_COUNT"), "5");
  EXPECT_EQ(out.at("GIT_CONFIG_KEY_4"), "credential.https://github.com.helper");
  EXPECT_NE(out.at("GIT_CONFIG_VALUE_4").find("password=$GITHUB_TOKEN"), std::string::npos);
}

TEST(Git, SaysNothingWhereThereIsNothingToSay) {
  EXPECT_TRUE(git_environment(Policy()).empty());
  EXPECT_TRUE(git_environment(policy_with("api.example.com", "/v1/items")).empty());
  EXPECT_TRUE(git_environment(policy_with("*.example.com", "/x/info/refs")).empty());
  Policy own = policy_with("github.com", "/x/info/refs");
  own.env.set["GIT_CONFIG_COUNT"] = "0";
  EXPECT_TRUE(git_environment(own).empty());
  Policy odd = policy_with("github.com", "/x/info/refs", "git");
  odd.credentials["git"].basic_user = "a'; touch /tmp/x; '";
  EXPECT_EQ(git_environment(odd).at("GIT_CONFIG_COUNT"), "3") << "no line of shell is made of it";
}

}  // namespace
}  // namespace bulkhead::session

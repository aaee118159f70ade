#include "policy/layers.h"

#include <algorithm>

#include "policy/effective.h"
#include "policy/profile.h"
#include "policy/test_help.h"

namespace bulkhead {
namespace {

using testing_help::source_dir;

const Place place{"/home/me/src/project", "/home/me"};

// Each text is one layer, strongest first.
Result<Policy> merge(std::vector<std::string> bodies, const Place& where = place) {
  std::vector<Document> layers;
  for (std::size_t i = 0; i < bodies.size(); ++i) {
    auto document = load_document("version = 1\n" + bodies[i], "layer" + std::to_string(i), "L" + std::to_string(i));
    if (!document) return tl::unexpected(document.error());
    layers.push_back(*document);
  }
  return merge_layers(layers, where);
}

std::string merge_error(std::vector<std::string> bodies, const Place& where = place) {
  auto policy = merge(std::move(bodies), where);
  return policy ? "" : policy.error().message;
}

std::string mount(const std::string& path, const std::string& rest = "") {
  return "[[mount]]\npath = \"" + path + "\"\n" + rest + "\n";
}

std::string grant(const std::string& host, const std::string& rest = "") {
  return "[[grant]]\nhost = \"" + host + "\"\n" + rest + "\n[[grant.allow]]\nmethod = \"GET\"\npath = \"/\"\n";
}

std::string credential(const std::string& name, const std::string& source, const std::string& expose) {
  return "[credential." + name + "]\nsource = \"" + source + "\"\ncarry = { bearer = true }\nexpose = { env = \"" +
         expose + "\" }\n";
}

TEST(Layers, NothingSaidIsAFolderAndNoNetwork) {
  auto policy = merge({});
  ASSERT_TRUE(policy);
  EXPECT_EQ(policy->tier, Tier::native);
  ASSERT_EQ(policy->mounts.size(), 1U);
  EXPECT_EQ(policy->mounts[0].path, ".");
  EXPECT_EQ(policy->mounts[0].mode, MountMode::rw);
  EXPECT_EQ(policy->mounts[0].origin.layer, "default");
  EXPECT_TRUE(policy->grants.empty());
  EXPECT_TRUE(policy->credentials.empty());
  EXPECT_TRUE(policy->env.pass.empty());
  EXPECT_TRUE(policy->env.set.empty());
}

TEST(Layers, TheDefaultMountStandsBackForAnyOther) {
  for (const char* path : {".", "./", "/home/me/src/project", "~/src/project", "~/src/", "..", "/home/me"}) {
    auto policy = merge({"", mount(path)});
    ASSERT_TRUE(policy) << path;
    ASSERT_EQ(policy->mounts.size(), 1U) << path;
    EXPECT_EQ(policy->mounts[0].mode, MountMode::ro);
  }
  EXPECT_EQ(merge({mount("~/src/project2")})->mounts.size(), 2U);
  EXPECT_EQ(merge({mount("./sub")})->mounts.size(), 2U);
}

TEST(Layers, TheWorkingDirectoryIsNotShownWhereThePolicySaysSo) {
  const std::string none = "workspace = \"none\"\n";
  auto policy = merge({none});
  ASSERT_TRUE(policy) << policy.error().message;
  EXPECT_TRUE(policy->mounts.empty());
  EXPECT_TRUE(policy->no_workspace);
  // Not even in the home folder is there anything to refuse then.
  EXPECT_TRUE(merge({none}, {"/home/me", "/home/me"}));
  // A mount that shows it, in any layer, is somebody's word for it; and the strongest layer says which mode.
  EXPECT_EQ(merge({none, mount(".")})->mounts.size(), 1U);
  EXPECT_EQ(merge({"workspace = \"ro\"\n", none})->mounts.size(), 1U);
  EXPECT_TRUE(merge({none, "workspace = \"ro\"\n"})->mounts.empty());
}

TEST(Layers, TheHomeFolderIsNeverMountedByDefault) {
  for (const char* folder : {"/home/me", "/home/me/", "/home", "/", "/home/me/."}) {
    EXPECT_NE(merge_error({""}, {folder, "/home/me"}).find("whole home folder"), std::string::npos) << folder;
    EXPECT_EQ(merge_error({mount(".", "mode = \"rw\"")}, {folder, "/home/me"}), "") << folder;
  }
  EXPECT_EQ(merge_error({""}, {"/home/me2", "/home/me"}), "");
  EXPECT_NE(merge_error({""}, {"/work", ""}), "") << "without a home nothing can be compared";
}

TEST(Layers, ScalarsComeFromTheStrongest) {
  auto policy = merge({"[limits]\nprocesses = 10\n", "tier = \"vm\"\n[limits]\nprocesses = 20\nmemory = \"1GB\"\n",
                       "tier = \"gvisor\"\ntoolchains = false\ndns = [\"1.1.1.1\"]\n[limits]\nmemory = \"2GB\"\n"});
  ASSERT_TRUE(policy);
  EXPECT_EQ(policy->tier, Tier::vm);
  EXPECT_FALSE(policy->toolchains);
  EXPECT_EQ(policy->limits.processes, 10U);
  EXPECT_EQ(policy->limits.memory, 1'000'000'000U);
  EXPECT_EQ(policy->dns_servers, std::vector<std::string>{"1.1.1.1"});
  EXPECT_EQ(policy->origins.at("limits.processes").layer, "L0");
  EXPECT_EQ(policy->origins.at("limits.memory").file, "layer1");
  EXPECT_EQ(policy->origins.at("limits.memory").line, 5);
  EXPECT_EQ(policy->origins.at("toolchains").layer, "L2");
  EXPECT_EQ(policy->sources, (std::vector<std::string>{"layer0", "layer1", "layer2"}));
  // A list is taken whole, an empty one too: a stronger layer can take a weaker one's away.
  EXPECT_TRUE(merge({"dns = []\n", "dns = [\"1.1.1.1\"]\n"})->dns_servers.empty());
}

TEST(Layers, WorkspaceIsTheModeOfTheFolderThatNoMountShows) {
  const auto mode = [](const std::vector<std::string>& layers) {
    const auto policy = merge(layers);
    EXPECT_TRUE(policy);
    EXPECT_EQ(policy->mounts.size(), 1U);
    return policy->mounts.front().mode;
  };
  EXPECT_EQ(mode({"", ""}), MountMode::rw);
  EXPECT_EQ(mode({"", "workspace = \"review\"\n"}), MountMode::review);
  EXPECT_EQ(mode({"workspace = \"ro\"\n", "workspace = \"review\"\n"}), MountMode::ro) << "the strongest layer's";
  EXPECT_EQ(mode({"[[mount]]\npath = \".\"\nmode = \"rw\"\n", "workspace = \"review\"\n"}), MountMode::rw)
      << "a mount says its own";
  const auto policy = merge({"", "toolchains = true\nworkspace = \"rw-no-delete\"\n"});
  EXPECT_EQ(policy->mounts.front().origin.file, "layer1");
  EXPECT_EQ(policy->mounts.front().origin.line, 3);
}

TEST(Layers, PublishedPortsAreAUnionByPort) {
  const auto policy = merge({"publish = [\"8080:1\"]\n", "publish = [\"8080:2\", \"9090\"]\n"});
  ASSERT_TRUE(policy) << policy.error().message;
  ASSERT_EQ(policy->publish.size(), 2U);
  EXPECT_EQ(policy->publish[0].inside, 1);
  EXPECT_EQ(policy->publish[1].port, 9090);
  EXPECT_NE(merge_error({"publish = [\"8080\", \"8080:1\"]\n"}).find("published twice"), std::string::npos);
  std::string many = "publish = [";
  for (int i = 1; i <= 17; ++i) many += "\"" + std::to_string(i) + "\",";
  EXPECT_NE(merge_error({many + "]\n"}).find("publish fewer"), std::string::npos);
}

TEST(Layers, TheProxysCredentialIsForNothingElse) {
  const std::string proxy = "[upstream]\nproxy = \"http://proxy.example.com:3128\"\ncredential = \"corp\"\n";
  const std::string corp = "[credential.corp]\nsource = \"env:CORP\"\ncarry = { basic = \"me\" }\n";
  const auto policy = merge({proxy + corp + grant("example.com"), "[upstream]\nproxy = \"http://other:1\"\n"});
  ASSERT_TRUE(policy) << policy.error().message;
  EXPECT_EQ(proxy_url(policy->upstream), "http://proxy.example.com:3128");
  EXPECT_EQ(policy->origins.at("upstream").layer, "L0");
  EXPECT_NE(merge_error({proxy}).find("nowhere defined"), std::string::npos);
  EXPECT_NE(merge_error({proxy + corp + "optional = true\n"}).find("leave out `optional`"), std::string::npos);
  EXPECT_NE(merge_error({proxy + credential("corp", "env:CORP", "X")}).find("carry = { basic"), std::string::npos);
  EXPECT_NE(merge_error({proxy + corp + "expose = { env = \"X\" }\n"}).find("leave out `expose`"), std::string::npos);
  EXPECT_NE(merge_error({proxy + corp + grant("example.com", "credential = \"corp\"")}).find("one of its own"),
            std::string::npos);
  // Nobody inside speaks to the proxy.
  EXPECT_NE(merge_error({proxy + corp + grant("proxy.example.com", "port = 3128")}).find("no grant may lead to"),
            std::string::npos);
  EXPECT_EQ(merge_error({proxy + corp + grant("proxy.example.com")}), "");
}

TEST(Layers, MountsAreAUnionByPathAndPlace) {
  auto policy =
      merge({mount("~/.claude", "mode = \"ro\""),
             mount("/home/me/.claude", "copy = true") + mount("~/other") + mount("/a", "target = \"/home/me/.x\""),
             mount("~/.x") + mount("~/third") + mount(".")});
  ASSERT_TRUE(policy);
  std::vector<std::string> seen;
  for (const Mount& one : policy->mounts) seen.push_back(one.path + "@" + one.origin.layer);
  EXPECT_EQ(seen, (std::vector<std::string>{"~/.claude@L0", "~/other@L1", "/a@L1", "~/third@L2", ".@L2"}));
  EXPECT_FALSE(policy->mounts[0].copy);
  EXPECT_NE(merge_error({mount("a") + mount("./a/")}).find("two mounts"), std::string::npos);
  EXPECT_EQ(merge_error({mount("a") + mount("a", "target = \"/b\"")}), "");
}

TEST(Layers, CredentialsByName) {
  auto policy = merge({credential("a", "env:MINE", "TOKEN"),
                       credential("a", "env:THEIRS", "TOKEN") + credential("b", "env:B", "B_TOKEN")});
  ASSERT_TRUE(policy);
  EXPECT_EQ(policy->credentials.at("a").source_value, "MINE");
  EXPECT_EQ(policy->credentials.at("b").origin.layer, "L1");
}

TEST(Layers, GrantsAreAUnionStrongestFirst) {
  auto policy = merge({grant("one.example"), grant("two.example") + grant("one.example")});
  ASSERT_TRUE(policy);
  ASSERT_EQ(policy->grants.size(), 3U);
  EXPECT_EQ(policy->grants[0].id, "1");
  EXPECT_EQ(policy->grants[1].hosts.front(), "two.example");
  EXPECT_EQ(policy->grants[2].id, "3");
  EXPECT_EQ(policy->grants[2].origin.layer, "L1");
}

TEST(Layers, AWeakerUseOfTheSamePresetDoesNotAddASecondBudget) {
  std::vector<Document> layers;
  for (const char* body : {"[[grant]]\npreset = \"npm-install\"\nbudget = { requests = 5 }\n",
                           "[[grant]]\npreset = \"npm-install\"\n[[grant]]\npreset = \"pypi-install\"\n"}) {
    layers.push_back(testing_help::must_load(body));
    auto ok = expand_presets(source_dir, layers.back());
    ASSERT_TRUE(ok) << ok.error().message;
  }
  auto policy = merge_layers(layers, place);
  ASSERT_TRUE(policy);
  ASSERT_EQ(policy->grants.size(), 3U);
  EXPECT_EQ(policy->grants[0].budget.requests, 5U);
  EXPECT_EQ(policy->grants[1].hosts.front(), "pypi.org");
  EXPECT_EQ(policy->grants[2].hosts.front(), "files.pythonhosted.org");
}

TEST(Layers, EnvironmentByVariable) {
  auto policy =
      merge({"env.pass = [\"A\"]", "env.set = {A = \"1\", B = \"2\"}", "env.set = {B = \"3\"}\nenv.pass = [\"C\"]"});
  ASSERT_TRUE(policy);
  EXPECT_EQ(policy->env.pass, (std::vector<std::string>{"A", "C"}));
  EXPECT_EQ(policy->env.set, (std::map<std::string, std::string>{{"B", "2"}}));
  EXPECT_EQ(policy->origins.at("env.set.B").layer, "L1");
  EXPECT_EQ(policy->origins.at("env.pass.C").layer, "L2");
  EXPECT_FALSE(policy->origins.contains("env.set.A"));
  EXPECT_NE(merge_error({"env = {set = {A = \"1\"}, pass = [\"A\"]}"}), "");
}

TEST(Layers, ARealSecretIsNeverPassed) {
  EXPECT_NE(merge_error({"env.pass = [\"SECRET\"]", credential("a", "env:SECRET", "TOKEN")}).find("never passed"),
            std::string::npos);
  EXPECT_NE(merge_error({"env.pass = [\"TOKEN\"]", credential("a", "env:SECRET", "TOKEN")}), "");
  EXPECT_NE(merge_error({"env.set.TOKEN = \"x\"", credential("a", "env:SECRET", "TOKEN")}), "");
  EXPECT_NE(merge_error({credential("a", "env:A", "TOKEN"), credential("b", "env:B", "TOKEN")}).find("both exposed"),
            std::string::npos);
}

TEST(Layers, AGrantNeedsItsCredential) {
  EXPECT_NE(merge_error({grant("x.example", "credential = \"a\"")}).find("nowhere defined"), std::string::npos);
  EXPECT_EQ(merge_error({grant("x.example", "credential = \"a\""), credential("a", "env:A", "TOKEN")}), "");
}

TEST(Layers, WhatIsHandedOutNeedsASourceAndAPlace) {
  const std::string answer = "[credential.a]\nsource = \"answer\"\ncarry = { bearer = true }\n";
  const std::string issuing =
      grant("x.example", "credential = \"a\"") + "[grant.response]\nmax_body = \"1MB\"\nissue = [\"token\"]\n";
  EXPECT_EQ(merge_error({issuing, answer}), "");
  EXPECT_EQ(merge_error({answer}), "");
  EXPECT_NE(merge_error({issuing, credential("a", "env:A", "TOKEN")}).find("needs a credential"), std::string::npos);
  EXPECT_NE(merge_error({grant("x.example") + "[grant.response]\nmax_body = \"1MB\"\nissue = [\"token\"]\n"})
                .find("needs a credential"),
            std::string::npos);
  EXPECT_NE(merge_error({grant("x.example", "credential = \"a\""), answer}).find("no grant hands out"),
            std::string::npos);
}

// The request that opens one would have to be signed anew.
TEST(Layers, AWebSocketsCredentialIsNoSignature) {
  const std::string wss =
      "[[grant]]\nhost = \"x.example\"\nprotocol = \"wss\"\ncredential = \"a\"\n[[grant.allow]]\npath = \"/\"\n";
  const std::string source = "[credential.a]\nsource = \"env:A\"\n";
  EXPECT_NE(
      merge_error({wss + source + "carry = { sigv4 = { region = \"r\", service = \"s\" } }\n"}).find("signatures"),
      std::string::npos);
  for (const char* carry : {"{ bearer = true }", "{ header = \"x-key\" }", "{ basic = \"user\" }"}) {
    EXPECT_EQ(merge_error({wss + source + "carry = " + carry + "\n"}), "") << carry;
  }
}

TEST(Layers, GrantsThatFitNoMessageAreRefused) {
  std::string many;
  for (int i = 0; i < 800; ++i) many += grant("h" + std::to_string(i) + ".example");
  EXPECT_NE(merge_error({many}).find("too many"), std::string::npos);
}

TEST(Layers, CommandLine) {
  auto document =
      command_line_document({{"a", "b:ro", "/c:review", "~/d:e/f", "."}, {"A=1", "B=", "C", "D=x=y"}, Tier::vm});
  ASSERT_TRUE(document) << document.error().message;
  ASSERT_EQ(document->mounts.size(), 5U);
  EXPECT_EQ(document->mounts[0].mode, MountMode::rw);
  EXPECT_EQ(document->mounts[1].path, "b");
  EXPECT_EQ(document->mounts[1].mode, MountMode::ro);
  EXPECT_EQ(document->mounts[2].mode, MountMode::review);
  EXPECT_EQ(document->mounts[3].path, "~/d:e/f");
  EXPECT_EQ(document->env.set, (std::map<std::string, std::string>{{"A", "1"}, {"B", ""}, {"D", "x=y"}}));
  EXPECT_EQ(document->env.pass, std::vector<std::string>{"C"});
  EXPECT_EQ(document->tier, Tier::vm);
  for (const char* bad : {"", ":rw", "a:wr", "~root", "a\xff", "a:"}) {
    EXPECT_FALSE(command_line_document({{bad}, {}, {}})) << bad;
  }
  for (const std::vector<std::string>& bad :
       std::vector<std::vector<std::string>>{{""}, {"=1"}, {"1A=x"}, {"A=\xff"}, {"A=1", "A=2"}, {"A", "A=2"}}) {
    EXPECT_FALSE(command_line_document({{}, bad, {}})) << bad[0];
  }
}

TEST(Layers, AbsolutePaths) {
  EXPECT_EQ(absolute_path(".", place), "/home/me/src/project");
  EXPECT_EQ(absolute_path("a/../b/", place), "/home/me/src/project/b");
  EXPECT_EQ(absolute_path("~", place), "/home/me");
  EXPECT_EQ(absolute_path("~/x", place), "/home/me/x");
  EXPECT_EQ(absolute_path("/", place), "/");
  EXPECT_EQ(absolute_path("/..", place), "/");
  EXPECT_EQ(absolute_path("//a//b", place), "/a/b");
}

class Effective : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = ::testing::TempDir() + "bulkhead-policy-" + std::to_string(::getpid());
    ASSERT_TRUE(sys::make_directories(folder_, 0700));
    request_.data_dir = source_dir;
    request_.place = place;
    request_.user_file = folder_ + "/policy.toml";
  }
  void TearDown() override {
    ::unlink((folder_ + "/policy.toml").c_str());
    ::unlink((folder_ + "/other.toml").c_str());
    ::rmdir((folder_ + "/policy.toml").c_str());
    ::rmdir(folder_.c_str());
  }
  void write(const std::string& name, const std::string& text) {
    ASSERT_TRUE(sys::write_file_atomically(folder_ + "/" + name, text, 0600));
  }
  std::string folder_;
  PolicyRequest request_;
};

TEST_F(Effective, NoFilesAtAll) {
  request_.command = "bash";
  auto policy = effective_policy(request_);
  ASSERT_TRUE(policy) << policy.error().message;
  EXPECT_EQ(policy->profile, "");
  EXPECT_TRUE(policy->grants.empty());
  EXPECT_TRUE(policy->sources.empty());
}

TEST_F(Effective, TheCommandPicksTheProfileUnlessSomethingSaysOtherwise) {
  request_.command = "/usr/local/bin/claude";
  EXPECT_EQ(effective_policy(request_)->profile, "claude");
  request_.profile = "shell";
  EXPECT_EQ(effective_policy(request_)->profile, "shell");
  request_.profile = "none";
  auto none = effective_policy(request_);
  EXPECT_EQ(none->profile, "");
  EXPECT_TRUE(none->grants.empty());
  request_.profile = "";
  write("policy.toml", "version = 1\nprofile = \"codex\"\n");
  EXPECT_EQ(effective_policy(request_)->profile, "codex");
  EXPECT_EQ(effective_policy(request_)->origins.at("profile").line, 2);
  request_.profile = "claud";
  EXPECT_NE(effective_policy(request_).error().message.find("did you mean \"claude\""), std::string::npos);
}

TEST_F(Effective, PresetsOfTheUsersOwn) {
  request_.user_presets = folder_;
  const std::string mine =
      "version = 1\n[[grant]]\nhost = \"a.example\"\n[[grant.allow]]\nmethod = \"GET\"\npath = \"/\"\n";
  write("other.toml", mine);
  write("policy.toml", "version = 1\n[[grant]]\npreset = \"other\"\n[[grant]]\npreset = \"npm-install\"\n");
  auto policy = effective_policy(request_);
  ASSERT_TRUE(policy) << policy.error().message;
  ASSERT_EQ(policy->grants.size(), 2U);
  EXPECT_EQ(policy->grants[0].hosts, std::vector<std::string>{"a.example"});
  EXPECT_EQ(policy->grants[0].preset, "other");
  write("policy.toml", "version = 1\n[[grant]]\npreset = \"othr\"\n");
  EXPECT_NE(effective_policy(request_).error().message.find("did you mean \"other\""), std::string::npos);
  // Never in place of one that is shipped.
  write("npm-install.toml", mine);
  write("policy.toml", "version = 1\n[[grant]]\npreset = \"npm-install\"\n");
  const std::string said = effective_policy(request_).error().message;
  EXPECT_NE(said.find("policy.toml:2: preset \"npm-install\" is shipped, and "), std::string::npos) << said;
  const auto all = preset_summaries({source_dir + "/presets", folder_});
  const auto is_mine = [&](const PresetSummary& one) { return one.file == folder_ + "/npm-install.toml"; };
  const auto found = std::find_if(all.begin(), all.end(), is_mine);
  ASSERT_NE(found, all.end());
  EXPECT_NE(found->error, "");
  ::unlink((folder_ + "/npm-install.toml").c_str());
  request_.user_presets = folder_ + "/absent";
  EXPECT_TRUE(effective_policy(request_));
}

TEST_F(Effective, TheNamedFileTakesTheUsersPlace) {
  write("policy.toml", "version = 1\ntier = \"vm\"\ntoolchains = false\n");
  write("other.toml", "version = 1\ntier = \"gvisor\"\n");
  EXPECT_EQ(effective_policy(request_)->tier, Tier::vm);
  request_.policy_file = folder_ + "/other.toml";
  auto policy = effective_policy(request_);
  EXPECT_EQ(policy->tier, Tier::gvisor);
  EXPECT_TRUE(policy->toolchains);
  request_.flags.tier = Tier::native;
  EXPECT_EQ(effective_policy(request_)->tier, Tier::native);
  request_.policy_file = folder_ + "/absent.toml";
  EXPECT_FALSE(effective_policy(request_));
}

TEST_F(Effective, ABrokenUserFileIsAnErrorAndNotAnAbsentOne) {
  write("policy.toml", "version = 1\nteir = \"vm\"\n");
  EXPECT_FALSE(effective_policy(request_));
  write("policy.toml", "");
  EXPECT_FALSE(effective_policy(request_));
  ::unlink((folder_ + "/policy.toml").c_str());
  ASSERT_TRUE(sys::make_directories(folder_ + "/policy.toml", 0700));
  EXPECT_FALSE(effective_policy(request_));
}

}  // namespace
}  // namespace bulkhead

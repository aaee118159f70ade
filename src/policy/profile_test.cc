#include "policy/profile.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <tuple>

#include "base/text.h"
#include "policy/json.h"
#include "policy/layers.h"
#include "policy/show.h"
#include "policy/test_help.h"

namespace bulkhead {
namespace {

using testing_help::source_dir;

const Place place{"/home/me/src/project", "/home/me"};

Policy profile_policy(const std::string& name) {
  auto document = load_profile(source_dir, name);
  EXPECT_TRUE(document) << document.error().message;
  auto expanded = expand_presets(source_dir, *document);
  EXPECT_TRUE(expanded) << expanded.error().message;
  auto policy = merge_layers({*document}, place);
  EXPECT_TRUE(policy) << policy.error().message;
  return *policy;
}

TEST(Profile, AllShippedOnesLoad) {
  const std::vector<std::string> names = profile_names(source_dir);
  for (const char* name : {"claude", "codex", "codex-login", "gemini", "opencode", "shell"}) {
    EXPECT_NE(std::find(names.begin(), names.end(), name), names.end()) << name;
  }
  for (const std::string& name : names) {
    const Policy policy = profile_policy(name);
    for (const Mount& mount : policy.mounts) {
      // An agent's writes wait for a word of the user's.
      if (mount.path == ".") {
        EXPECT_EQ(mount.mode, name == "shell" ? MountMode::rw : MountMode::review) << name;
        continue;
      }
      EXPECT_EQ(mount.origin.layer, "profile " + name);
      EXPECT_TRUE(mount.optional) << name << ": " << mount.path << " is not on every machine";
      // What a profile brings in from the home folder is never writable on the host.
      EXPECT_TRUE(mount.copy || mount.mode == MountMode::ro) << name << ": " << mount.path;
    }
    // Whoever names the profile for a login has one.
    const bool for_login = name.ends_with("-login");
    for (const auto& [unused, credential] : policy.credentials) EXPECT_EQ(credential.optional, !for_login) << name;
    EXPECT_TRUE(policy.env.pass.empty()) << name;
  }
}

TEST(Profile, LoginsStayOutOfTheCopies) {
  const auto left_out = [](const std::string& profile, const std::string& path, const std::string& name) {
    const Policy policy = profile_policy(profile);
    for (const Mount& mount : policy.mounts) {
      if (mount.path == path) {
        return mount.copy && !in_copy(mount, name);
      }
    }
    return false;
  };
  EXPECT_TRUE(left_out("claude", "~/.claude", ".credentials.json"));
  EXPECT_TRUE(left_out("claude", "~/.claude.json", "primaryApiKey"));
  for (const char* name : {"auth.json", "memories_1.sqlite", "sessions", "history.jsonl", "of-a-later-version"}) {
    EXPECT_TRUE(left_out("codex", "~/.codex", name)) << name;
  }
  EXPECT_FALSE(left_out("codex", "~/.codex", "config.toml"));
  for (const char* name : {".env", "gemini-credentials.json", "mcp-oauth-tokens.json", "oauth_creds.json", "tmp",
                           "history", "of-a-later-version"}) {
    EXPECT_TRUE(left_out("gemini", "~/.gemini", name)) << name;
  }
  EXPECT_FALSE(left_out("gemini", "~/.gemini", "settings.json"));
  for (const char* name : {"auth.json", "opencode.db", "of-a-later-version"}) {
    EXPECT_TRUE(left_out("opencode", "~/.local/share/opencode", name)) << name;
  }
}

TEST(Profile, AgentsGetTheirApiAndNothingElse) {
  const std::vector<Grant> claude = profile_policy("claude").grants;
  ASSERT_EQ(claude.size(), 3U);
  for (const std::size_t i : {0U, 2U}) {
    EXPECT_EQ(claude[i].hosts.front(), "api.anthropic.com");
    EXPECT_EQ(claude[i].preset, "anthropic-messages");
  }
  EXPECT_EQ(claude[2].credential, "anthropic");
  EXPECT_EQ(profile_policy("codex").grants.size(), 1U);
  EXPECT_EQ(profile_policy("codex").grants[0].hosts.front(), "api.openai.com");
  EXPECT_EQ(profile_policy("gemini").grants.size(), 3U);
  EXPECT_EQ(profile_policy("gemini").grants[2].hosts.front(), "generativelanguage.googleapis.com");
  EXPECT_EQ(profile_policy("opencode").grants.size(), 3U);
  EXPECT_TRUE(profile_policy("shell").grants.empty());
  EXPECT_TRUE(profile_policy("shell").credentials.empty());
}

// A login's tokens go to its API and to the one function that refreshes it; nobody has another place for them.
TEST(Profile, LoginsAreRefreshedInOnePlace) {
  for (const auto& [profile, name, refresh] : {std::tuple{"claude", "claude-login", "platform.claude.com"},
                                               {"codex-login", "codex-login", "auth.openai.com"},
                                               {"gemini", "gemini-login", "oauth2.googleapis.com"}}) {
    const Policy policy = profile_policy(profile);
    EXPECT_TRUE(policy.credentials.at(name).login);
    for (const Grant& grant : policy.grants) {
      if (grant.credential != name) continue;
      for (const Rule& rule : grant.allow)
        EXPECT_EQ(rule.refresh, grant.hosts.front() == refresh && rule.path != "/tokeninfo");
    }
  }
}

TEST(Profile, AllShippedPresetsLoad) {
  const std::vector<std::string> names = preset_names(source_dir);
  EXPECT_GE(names.size(), 4U);
  for (const std::string& name : names) {
    auto preset = load_document_file(source_dir + "/presets/" + name + ".toml", name, DocumentKind::preset);
    ASSERT_TRUE(preset) << preset.error().message;
    EXPECT_FALSE(preset->grants.empty());
    for (const Grant& grant : preset->grants) {
      EXPECT_FALSE(grant.allow.empty());
      EXPECT_TRUE(grant.budget.requests_per_minute && grant.budget.bytes_up) << name << ": a preset has a budget";
      for (const Rule& rule : grant.allow) {
        EXPECT_NE(rule.path, "/**");
        EXPECT_EQ(std::count(rule.query.begin(), rule.query.end(), "*"), 0);
      }
    }
  }
}

TEST(Profile, PresetsForInstallingOnlyRead) {
  for (const char* name : {"npm-install", "pypi-install", "debian-packages", "crates", "go-modules", "s3-read"}) {
    auto preset = load_document_file(source_dir + "/presets/" + name + ".toml", name, DocumentKind::preset);
    ASSERT_TRUE(preset);
    for (const Grant& grant : preset->grants) {
      for (const Rule& rule : grant.allow) {
        for (const std::string& method : rule.methods) EXPECT_TRUE(method == "GET" || method == "HEAD") << method;
      }
    }
  }
}

TEST(Profile, ExpansionKeepsTheNamingGrantsBudgetAndOrigin) {
  Document document = testing_help::must_load(
      "[[grant]]\npreset = \"anthropic-messages\"\ncredential = \"a\"\n[grant.budget]\nrequests = "
      "7\nbytes_up = \"1MB\"\n");
  ASSERT_TRUE(expand_presets(source_dir, document));
  ASSERT_EQ(document.grants.size(), 1U);
  const Grant& grant = document.grants[0];
  EXPECT_EQ(grant.credential, "a");
  EXPECT_EQ(grant.budget.requests, 7U);
  EXPECT_EQ(grant.budget.bytes_up, 1'000'000U);
  EXPECT_EQ(grant.budget.requests_per_minute, 300U);
  EXPECT_EQ(grant.origin.file, "p.toml");
  EXPECT_EQ(grant.origin.line, 2);
  ASSERT_EQ(grant.allow.size(), 2U);
  EXPECT_EQ(grant.allow[0].query, std::vector<std::string>{"beta"});
}

TEST(Profile, ParametersComeFromTheNamingGrant) {
  Document document = testing_help::must_load(
      "[[grant]]\npreset = \"github-push\"\nwith = { repos = [\"acme/app\"], refs = [\"refs/heads/agent/*\"] }\n");
  ASSERT_TRUE(expand_presets(source_dir, document));
  ASSERT_EQ(document.grants.size(), 1U);
  const Grant& grant = document.grants[0];
  EXPECT_TRUE(grant.with.empty());
  EXPECT_EQ(grant.origin.line, 2);
  ASSERT_EQ(grant.allow.size(), 4U);
  EXPECT_EQ(grant.allow[0].path, "/acme/app/info/refs");
  EXPECT_EQ(grant.allow[3].git->refs, std::vector<std::string>{"refs/heads/agent/*"});
  Document without = testing_help::must_load("[[grant]]\npreset = \"github-read\"\n");
  auto expanded = expand_presets(source_dir, without);
  ASSERT_FALSE(expanded);
  EXPECT_EQ(
      expanded.error().message,
      "p.toml:2: preset \"github-read\" needs `repos` (the repositories, as GitHub writes them): write with = { repos "
      "= [\"acme/app\"] }");
}

TEST(Profile, UnknownNamesAndNamesThatLeadElsewhere) {
  Document document = testing_help::must_load("[[grant]]\npreset = \"npm-instal\"\n");
  auto expanded = expand_presets(source_dir, document);
  ASSERT_FALSE(expanded);
  EXPECT_EQ(expanded.error().message.find("p.toml:2: no preset \"npm-instal\""), 0U) << expanded.error().message;
  EXPECT_NE(expanded.error().message.find("did you mean \"npm-install\""), std::string::npos);
  for (const char* name : {"", ".", "..", "../presets/npm-install", "/etc/passwd", "Claude", "claude.toml"}) {
    EXPECT_FALSE(load_profile(source_dir, name)) << name;
  }
}

TEST(Profile, ByCommandName) {
  EXPECT_EQ(profile_for_command(source_dir, "/usr/local/bin/claude"), "claude");
  EXPECT_EQ(profile_for_command(source_dir, "codex"), "codex");
  for (const char* command : {"", "/", "bash", "/x/claude/", "../profiles/claude.toml", "none", ".."}) {
    EXPECT_EQ(profile_for_command(source_dir, command), "") << command;
  }
}

// Origins differ by nature: without comments and the lines that only carry one. No value here holds
// a `#`.
std::string without_origins(const std::string& text) {
  std::string out;
  for (const std::string& line : split(text, '\n')) {
    const std::string bare = line.substr(0, line.find("  #"));
    if (!bare.starts_with("profile") && !bare.empty()) out += bare + "\n";
  }
  return out;
}

void expect_same(const Policy& a, const Policy& b) {
  EXPECT_EQ(a.tier, b.tier);
  EXPECT_EQ(a.toolchains, b.toolchains);
  EXPECT_EQ(a.image, b.image);
  EXPECT_EQ(a.upstream_ca, b.upstream_ca);
  EXPECT_EQ(a.dns_servers, b.dns_servers);
  EXPECT_EQ(a.env.set, b.env.set);
  EXPECT_EQ(a.env.pass, b.env.pass);
  EXPECT_EQ(a.limits, b.limits);
  ASSERT_EQ(a.mounts.size(), b.mounts.size());
  for (std::size_t i = 0; i < a.mounts.size(); ++i) {
    const auto all = [](const Mount& m) {
      return std::tie(m.path, m.target, m.mode, m.optional, m.copy, m.only, m.except, m.protect, m.allow_control,
                      m.secrets, m.output);
    };
    EXPECT_EQ(all(a.mounts[i]), all(b.mounts[i]));
  }
  ASSERT_EQ(a.credentials.size(), b.credentials.size());
  for (const auto& [name, one] : a.credentials) {
    const auto all = [](const Credential& c) {
      return std::tie(c.name, c.source, c.source_value, c.expose_env, c.expose_prefix, c.carrier, c.header,
                      c.basic_user, c.region, c.service, c.expose_secret_env, c.optional, c.login);
    };
    EXPECT_EQ(all(one), all(b.credentials.at(name)));
  }
  ASSERT_EQ(a.grants.size(), b.grants.size());
  for (std::size_t i = 0; i < a.grants.size(); ++i) {
    const auto bare = [](Grant grant) {
      grant.origin = {};
      grant.preset.clear();
      return to_json(grant).dump();
    };
    EXPECT_EQ(bare(a.grants[i]), bare(b.grants[i]));
  }
}

// What `policy show` prints, read back, is the same policy: nothing is lost, nothing is shown that
// isn't so.
TEST(Show, SaysWhereThingsComeFrom) {
  const std::string text = policy_text(profile_policy("claude"));
  EXPECT_NE(text.find("[[grant]]  # 1: profile claude, "), std::string::npos) << text;
  EXPECT_NE(text.find(", preset anthropic-messages\n"), std::string::npos);
  EXPECT_NE(text.find("DISABLE_TELEMETRY = \"1\"  # profile claude, "), std::string::npos);
  EXPECT_NE(text.find("[[mount]]  # profile claude, "), std::string::npos);
  const std::string shell = policy_text(profile_policy("shell"));
  EXPECT_NE(shell.find("[[mount]]  # default\npath = \".\"\nmode = \"rw\"\n"), std::string::npos) << shell;
  EXPECT_NE(shell.find("no grants"), std::string::npos);
}

TEST(Show, ReadsBackAsTheSamePolicy) {
  std::vector<Policy> policies;
  for (const std::string& name : profile_names(source_dir)) policies.push_back(profile_policy(name));
  auto example = load_document_file(source_dir + "/docs/policy-example.toml", "user");
  ASSERT_TRUE(example);
  ASSERT_TRUE(expand_presets(source_dir, *example));
  example->env.set["ODD"] = "\x1b[31m \"q\" \\ \u202e";
  example->mounts[0].path = "odd \"name\" \u202e";
  auto merged = merge_layers({*example}, place);
  ASSERT_TRUE(merged) << merged.error().message;
  policies.push_back(*merged);
  // What no profile says.
  auto rest = load_document(R"(version = 1
[[mount]]
path = "live"
mode = "rw"
protect = true
allow_control = [".github/workflows", "odd \"name\""]
[[mount]]
path = "~/keys"
secrets = ["~/keys/a"]
[credential.c]
source = "login:~/.agent/login.json"
carry = { bearer = true }
[credential.c.login]
access = "a.b"
refresh = "a.c"
id = "i"
expires = "e"
refreshed = "w"
keep = ["k"]
claims = ["plan"]
[credential.c.login.send]
client_id = "x"
scope = ["user:*", "y"]
[credential.s]
source = "env:S"
expose = { env = "AWS_ACCESS_KEY_ID", secret_env = "AWS_SECRET_ACCESS_KEY" }
carry = { sigv4 = { region = "eu-west-1", service = "s3" } }
)",
                            "rest", "user");
  ASSERT_TRUE(rest) << rest.error().message;
  auto with_rest = merge_layers({*rest}, place);
  ASSERT_TRUE(with_rest) << with_rest.error().message;
  ASSERT_EQ(with_rest->mounts.size(), 3U);
  policies.push_back(*with_rest);
  for (const Policy& policy : policies) {
    const std::string text = policy_text(policy);
    auto document = load_document(text, "shown", "user");
    ASSERT_TRUE(document) << document.error().message << "\n" << text;
    auto again = merge_layers({*document}, place);
    ASSERT_TRUE(again) << again.error().message;
    EXPECT_EQ(without_origins(policy_text(*again)), without_origins(text));
    expect_same(*again, policy);
  }
}

}  // namespace
}  // namespace bulkhead

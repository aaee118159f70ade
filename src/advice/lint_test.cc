#include "advice/lint.h"

#include <nlohmann/json.hpp>

#include "advice/test_help.h"
#include "base/text.h"

namespace bulkhead::advice {
namespace {

using testing_help::place;
using testing_help::policy_of;
using testing_help::profile_policy;
using testing_help::source_dir;

// "code:severity:line" of everything found.
std::vector<std::string> found(const Policy& policy) {
  std::vector<std::string> out;
  for (const Finding& f : lint(policy, place)) {
    EXPECT_FALSE(f.text.empty() || f.fix.empty()) << f.code;
    const std::string line = finding_line(f);
    EXPECT_EQ(escape_for_terminal(line.substr(0, line.size() - 1), line.size()) + "\n", line);
    out.push_back(f.code + ":" + name_of(f.severity) + ":" + std::to_string(f.origin.line));
  }
  return out;
}
std::vector<std::string> found(std::string_view body) {
  return found(policy_of(body));
}
using Lines = std::vector<std::string>;

bool has(std::string_view body, const std::string& code) {
  const Lines all = found(body);
  return std::any_of(all.begin(), all.end(), [&](const std::string& line) { return line.starts_with(code + ":"); });
}

const std::string key = "[credential.k]\nsource = \"env:K\"\ncarry = { header = \"x-api-key\" }\n";
const std::string budget = "[grant.budget]\nrequests_per_minute = 60\nbytes_up = \"1MB\"\n";

// One grant with one rule, and nothing else to complain of.
std::string grant(const std::string& host, const std::string& rule, const std::string& more = "") {
  return "[[grant]]\nhost = \"" + host + "\"\n" + more + "[[grant.allow]]\n" + rule + "\n" + budget;
}
const std::string get = "method = \"GET\"\n";
const std::string post = "method = \"POST\"\nmax_body = \"1MB\"\n";
const std::string with_key = "credential = \"k\"\n";

TEST(Lint, NothingToSayOfACarefulPolicy) {
  EXPECT_EQ(found(""), Lines{});
  EXPECT_EQ(found(grant("api.example.com", get + "path = \"/v1/items/{id}\"\nquery = [\"limit\"]")), Lines{});
  EXPECT_EQ(found(key + grant("api.example.com", post + "path = \"/v1/items/{id}\"", with_key)), Lines{});
}

TEST(Lint, WhatIsShippedHasNoWarnings) {
  for (const std::string& name : profile_names(source_dir)) {
    for (const Finding& f : lint(profile_policy(name), place)) {
      EXPECT_EQ(f.severity, Severity::note) << name << ": " << finding_line(f);
    }
  }
}

TEST(Lint, CredentialOnAWildcardPath) {
  const auto fires = [](const std::string& host, const std::string& path) {
    return has(key + grant(host, get + "path = \"" + path + "\"", with_key), "credential-wildcard");
  };
  EXPECT_TRUE(fires("api.example.com", "/**"));
  EXPECT_TRUE(fires("api.example.com", "/v1/**"));
  EXPECT_TRUE(fires("api.example.com", "/*"));
  EXPECT_TRUE(fires("api.example.com", "/{owner}/items"));
  EXPECT_FALSE(fires("api.example.com", "/v1/{id}"));
  // Where the owner's segment is known, it counts.
  EXPECT_TRUE(fires("api.github.com", "/repos/{owner}/{repo}/pulls"));
  EXPECT_FALSE(fires("api.github.com", "/repos/me/{repo}/pulls"));
  EXPECT_TRUE(fires("api.github.com", "/gists"));
  EXPECT_FALSE(has(grant("api.example.com", get + "path = \"/**\""), "credential-wildcard"));
}

TEST(Lint, SharedHostWithoutItsOwner) {
  const auto fires = [](const std::string& host, const std::string& path, const std::string& rule = post) {
    return has(grant(host, rule + "path = \"" + path + "\""), "shared-host");
  };
  EXPECT_TRUE(fires("github.com", "/{owner}/{repo}/git-receive-pack"));
  EXPECT_FALSE(fires("github.com", "/me/{repo}/git-receive-pack"));
  EXPECT_TRUE(fires("storage.googleapis.com", "/**"));
  EXPECT_FALSE(fires("storage.googleapis.com", "/my-bucket/**"));
  EXPECT_TRUE(fires("*.blob.core.windows.net", "/x"));
  EXPECT_FALSE(fires("mine.blob.core.windows.net", "/x"));
  EXPECT_TRUE(fires("s3.eu-west-1.amazonaws.com", "/{bucket}/x"));
  EXPECT_FALSE(fires("s3.eu-west-1.amazonaws.com", "/mine/x"));
  EXPECT_FALSE(fires("mine.s3.eu-west-1.amazonaws.com", "/x"));
  EXPECT_TRUE(fires("*.s3.amazonaws.com", "/x"));
  EXPECT_TRUE(fires("hooks.slack.com", "/services/**"));
  EXPECT_FALSE(fires("hooks.slack.com", "/services/T0MINE/**"));
  EXPECT_FALSE(fires("registry-1.docker.io", "/v2/", get));
  EXPECT_TRUE(fires("registry-1.docker.io", "/v2/"));
  EXPECT_TRUE(fires("registry-1.docker.io", "/{v}/", get));
  EXPECT_TRUE(fires("registry-1.docker.io", "/v2/{owner}/app/manifests/x", get));
  EXPECT_FALSE(fires("example.com", "/**"));
  EXPECT_FALSE(fires("notgithub.com", "/**"));
  EXPECT_FALSE(fires("github.com.example.com", "/**"));
  // Reading what anybody published is a note.
  EXPECT_EQ(found(grant("raw.githubusercontent.com", get + "path = \"/{owner}/x\"")), Lines{"shared-host:note:4"});
  EXPECT_EQ(found(grant("raw.githubusercontent.com", post + "path = \"/{owner}/x\"")), Lines{"shared-host:warning:4"});
}

TEST(Lint, WildcardHost) {
  EXPECT_TRUE(has(grant("*.example.com", get + "path = \"/\""), "wildcard-host"));
  EXPECT_FALSE(has(grant("a.example.com", get + "path = \"/\""), "wildcard-host"));
}

TEST(Lint, UnboundedBudget) {
  const std::string head = "[[grant]]\nhost = \"example.com\"\n[[grant.allow]]\n";
  const auto with = [&](const std::string& rule, const std::string& limits) {
    return found(head + rule + "path = \"/x\"\n[grant.budget]\n" + limits);
  };
  EXPECT_EQ(with(post, ""), Lines{"unbounded-budget:warning:2"});
  EXPECT_EQ(with(post, "requests = 5\n"), Lines{"unbounded-budget:warning:2"});
  EXPECT_EQ(with(post, "bytes_up = 5\n"), Lines{"unbounded-budget:warning:2"});
  EXPECT_EQ(with(post, "bytes_up = 5\nrequests = 5\n"), Lines{});
  EXPECT_EQ(with(post, "bytes_up = 5\nrequests_per_minute = 5\n"), Lines{});
  EXPECT_EQ(with(get, ""), Lines{"unbounded-budget:note:2"});
  EXPECT_EQ(with(get, "requests = 5\n"), Lines{});
}

TEST(Lint, NoMaxBodyOnAWritingMethod) {
  const auto fires = [](const std::string& method) {
    return has(grant("example.com", "method = " + method + "\npath = \"/x\""), "no-max-body");
  };
  EXPECT_TRUE(fires("\"POST\""));
  EXPECT_TRUE(fires("[\"GET\", \"PUT\"]"));
  EXPECT_TRUE(fires("\"DELETE\""));
  EXPECT_FALSE(fires("[\"GET\", \"HEAD\", \"OPTIONS\"]"));
  EXPECT_FALSE(has(grant("example.com", post + "path = \"/x\""), "no-max-body"));
}

TEST(Lint, OpenQuery) {
  EXPECT_TRUE(has(grant("example.com", get + "path = \"/x\"\nquery = [\"*\"]"), "open-query"));
  EXPECT_FALSE(has(grant("example.com", get + "path = \"/x\"\nquery = [\"q\"]"), "open-query"));
}

TEST(Lint, OpenHeaders) {
  EXPECT_TRUE(has(grant("example.com", get + "path = \"/x\"\nheaders = [\"*\"]"), "open-headers"));
  EXPECT_FALSE(has(grant("example.com", get + "path = \"/x\"\nheaders = [\"x-tool-*\"]"), "open-headers"));
  EXPECT_TRUE(has(grant("example.com", get + "path = \"/x\"\nheaders = [\"x-api-key\"]"), "never-matches"));
}

TEST(Lint, OpaqueGrants) {
  const std::string tcp = "[[grant]]\nhost = \"db.example\"\nport = 5432\nprotocol = \"tcp\"\n";
  EXPECT_EQ(found(tcp), (Lines{"opaque-grant:warning:2", "unbounded-budget:warning:2"}));
  EXPECT_EQ(found(tcp + budget), Lines{"opaque-grant:warning:2"});
  EXPECT_FALSE(has(grant("example.com", get + "path = \"/\""), "opaque-grant"));
}

TEST(Lint, EachHostOfSeveralIsLookedAt) {
  const auto hosts = [](const std::string& list, const std::string& rule) {
    return found("[[grant]]\nhosts = [" + list + "]\n[[grant.allow]]\n" + rule + "\n" + budget);
  };
  const std::string rule = get + "path = \"/me/x\"";
  EXPECT_EQ(hosts("\"a.example\", \"github.com\"", rule), Lines{});
  EXPECT_EQ(hosts("\"a.example\", \"github.com\"", get + "path = \"/{x}/x\""), Lines{"shared-host:note:4"});
  EXPECT_EQ(hosts("\"a.example\", \"*.b.example\"", rule), Lines{"wildcard-host:warning:2"});
  EXPECT_EQ(hosts("\"a.example\", \"10.0.0.1\"", rule), Lines{"private-address:warning:2"});
  EXPECT_EQ(hosts("\"a.example\", \"pastebin.com\"", rule), Lines{"drop-host:warning:2"});
}

TEST(Lint, AddressesOfTheInside) {
  for (const char* host : {"127.0.0.1", "10.1.2.3", "169.254.169.254", "192.168.0.1", "fd00::1", "::1", "100.64.0.1"}) {
    EXPECT_TRUE(has(grant(host, get + "path = \"/\""), "private-address")) << host;
  }
  for (const char* host : {"9.9.9.9", "2620:fe::fe", "example.com"}) {
    EXPECT_FALSE(has(grant(host, get + "path = \"/\""), "private-address")) << host;
  }
}

TEST(Lint, ANamesAddressIsLookedAtToo) {
  const auto at = [](const std::string& address, const std::string& protocol) {
    return found(grant("models.internal", get + "path = \"/x\"",
                       "address = \"" + address + "\"\nprotocol = \"" + protocol + "\"\n"));
  };
  EXPECT_EQ(at("127.0.0.1", "http"), Lines{"private-address:warning:2"});  // nobody is on the way
  EXPECT_EQ(at("10.0.0.7", "http"), (Lines{"plain-http:warning:2", "private-address:warning:2"}));
  EXPECT_EQ(at("9.9.9.9", "https"), Lines{});
}

TEST(Lint, PlainHttp) {
  EXPECT_TRUE(has(grant("example.com", get + "path = \"/\"", "protocol = \"http\"\n"), "plain-http"));
  EXPECT_FALSE(has(grant("example.com", get + "path = \"/\""), "plain-http"));
  EXPECT_TRUE(has(grant("example.com", get + "path = \"/\"", "protocol = \"ws\"\n"), "plain-http"));
  EXPECT_FALSE(has(grant("example.com", get + "path = \"/\"", "protocol = \"wss\"\n"), "plain-http"));
}

// Its opening is a GET, and what goes up in it is bounded by bytes alone.
TEST(Lint, AWebSocketSends) {
  const std::string wss = "[[grant]]\nhost = \"example.com\"\nprotocol = \"wss\"\n[[grant.allow]]\npath = \"/\"\n";
  const std::string requests = "[grant.budget]\nrequests_per_minute = 5\n";
  EXPECT_TRUE(has(wss + requests, "unbounded-budget"));
  EXPECT_FALSE(has(wss + requests + "bytes_up = \"1MB\"\n", "unbounded-budget"));
}

TEST(Lint, FunctionsThatMakeAServerFetch) {
  const auto query = [](const std::string& word) {
    return has(grant("example.com", get + "path = \"/x\"\nquery = [\"" + word + "\"]"), "server-fetch");
  };
  for (const char* word : {"url", "URL", "image_url", "callback", "redirect_uri", "proxy"}) {
    EXPECT_TRUE(query(word)) << word;
  }
  for (const char* word : {"page", "q", "curl", "limit", "service"}) EXPECT_FALSE(query(word)) << word;
  EXPECT_TRUE(has(grant("translate.google.com", get + "path = \"/x\""), "server-fetch"));
  EXPECT_TRUE(has(grant("evil-com.translate.goog", get + "path = \"/x\""), "server-fetch"));
  EXPECT_TRUE(has(grant("web.archive.org", get + "path = \"/x\""), "server-fetch"));
  EXPECT_FALSE(has(grant("google.com", get + "path = \"/x\""), "server-fetch"));
}

TEST(Lint, UploadsNextToACredential) {
  EXPECT_TRUE(has(key + grant("example.com", post + "path = \"/v1/files\"", with_key), "upload-function"));
  EXPECT_TRUE(has(key + grant("example.com", post + "path = \"/v1/Uploads/{id}\"", with_key), "upload-function"));
  EXPECT_FALSE(has(grant("example.com", post + "path = \"/v1/files\""), "upload-function"));
  EXPECT_FALSE(has(key + grant("example.com", get + "path = \"/v1/files\"", with_key), "upload-function"));
  EXPECT_FALSE(has(key + grant("example.com", post + "path = \"/v1/messages\"", with_key), "upload-function"));
}

TEST(Lint, PlacesForLeavingData) {
  EXPECT_TRUE(has(grant("pastebin.com", post + "path = \"/x\""), "drop-host"));
  EXPECT_TRUE(has(grant("abc.webhook.site", get + "path = \"/x\""), "drop-host"));
  EXPECT_TRUE(has(grant("hooks.slack.com", post + "path = \"/services/**\""), "drop-host"));
  EXPECT_FALSE(has(grant("hooks.slack.com", post + "path = \"/services/T0/B0/X\""), "drop-host"));
  EXPECT_FALSE(has(grant("example.com", post + "path = \"/x\""), "drop-host"));
}

TEST(Lint, RulesThatNothingMatches) {
  const auto fires = [](const std::string& rule) { return has(grant("example.com", get + rule), "never-matches"); };
  EXPECT_TRUE(fires("path = \"/a;v=1\""));
  EXPECT_TRUE(fires("path = \"/a%5Cb\""));
  EXPECT_TRUE(fires("path = \"/x\"\nquery = [\"api_key\"]"));
  EXPECT_TRUE(fires("path = \"/x\"\nquery = [\"_method\"]"));
  EXPECT_FALSE(fires("path = \"/a/{id}/**\"\nquery = [\"page\"]"));
  EXPECT_FALSE(fires("path = \"/a%20b/*/c\""));
  EXPECT_FALSE(fires("path = \"/\""));
  EXPECT_FALSE(fires("path = \"/v1/{model}:generate\""));
  EXPECT_FALSE(fires("path = \"/x\"\nquery = [\"service=git-upload-pack\"]"));
}

TEST(Lint, RulesThatOthersCover) {
  const auto two = [](const std::string& a, const std::string& b) {
    return found("[[grant]]\nhost = \"example.com\"\n[[grant.allow]]\n" + a + "\n[[grant.allow]]\n" + b + "\n" +
                 budget);
  };
  const std::string narrow = "method = \"GET\"\npath = \"/a/b\"",
                    wide = "method = [\"GET\", \"HEAD\"]\npath = \"/a/*\"";
  EXPECT_EQ(two(narrow, wide), Lines{"covered-rule:note:4"});
  EXPECT_EQ(two(wide, narrow), Lines{"covered-rule:note:7"});
  EXPECT_EQ(two(narrow, narrow), Lines{"covered-rule:note:7"});
  EXPECT_EQ(two(narrow, "method = \"GET\"\npath = \"/a/{x}/{y}\""), Lines{});
  EXPECT_EQ(two(narrow + "\nquery = [\"q\"]", wide), Lines{});
  EXPECT_EQ(two("method = \"GET\"\npath = \"/a/{package}\"", wide), Lines{});
  EXPECT_EQ(two("method = \"GET\"\npath = \"/a/**\"", wide), Lines{});  // HEAD is only in the second
  // What the narrower one refuses goes through the wider one.
  const std::string judged =
      "method = \"POST\"\npath = \"/v1/x\"\ncontent_type = \"application/json\"\nmax_body = \"1MB\"\n"
      "json = { deny_keys = [\"tools\"] }";
  const std::string open = "method = \"POST\"\npath = \"/v1/**\"\nmax_body = \"1MB\"";
  EXPECT_EQ(two(judged, open), Lines{"covered-rule:warning:4"});
  const std::string small = "method = \"POST\"\npath = \"/v1/x\"\nmax_body = \"1KB\"";
  EXPECT_EQ(two(small, open), Lines{"covered-rule:warning:4"});
  EXPECT_EQ(two(judged, "method = \"POST\"\npath = \"/v2/**\"\nmax_body = \"1MB\""), Lines{});
  // Asked first, a rule keeps what it says of bodies of its own type and size; asked last, nothing comes to it.
  const std::string same_type = open + "\ncontent_type = \"application/json\"";
  EXPECT_EQ(two(judged, same_type), Lines{});
  EXPECT_EQ(two(same_type, judged), Lines{"covered-rule:warning:9"});
  const std::string one_value = narrow + "\nquery = [\"service=a\"]";
  EXPECT_EQ(two(one_value, wide + "\nquery = [\"service\"]"), Lines{"covered-rule:note:4"});
  EXPECT_EQ(two(one_value, wide + "\nquery = [\"service=a\", \"service=b\"]"), Lines{"covered-rule:note:4"});
  EXPECT_EQ(two(one_value, wide + "\nquery = [\"service=b\"]"), Lines{});
  EXPECT_EQ(two(narrow, wide + "\nquery = [\"service=b\"]"), Lines{});
  EXPECT_EQ(two(narrow + "\nheaders = [\"x-a\"]", wide), Lines{});
  EXPECT_EQ(two(narrow + "\nheaders = [\"x-a\"]", wide + "\nheaders = [\"x-*\"]"), Lines{"covered-rule:note:4"});
}

TEST(Lint, CoveredOnlyBesideTheSameCredential) {
  const std::string wide = grant("example.com", get + "path = \"/v1/{id}\"");
  EXPECT_TRUE(has(wide + grant("example.com", get + "path = \"/v1/x\""), "covered-rule"));
  EXPECT_FALSE(has(key + wide + grant("example.com", get + "path = \"/v1/x\"", with_key), "covered-rule"));
  EXPECT_TRUE(has("[[grant]]\nhosts = [\"*.example.com\"]\n[[grant.allow]]\n" + get + "path = \"/v1/{id}\"\n" + budget +
                      grant("a.example.com", get + "path = \"/v1/x\""),
                  "covered-rule"));
  EXPECT_FALSE(has(wide + grant("www.example.com", get + "path = \"/v1/x\""), "covered-rule"));
  EXPECT_FALSE(has(wide + grant("example.com", get + "path = \"/v1/x\"", "port = 8443\n"), "covered-rule"));
}

TEST(Lint, WhereCredentialsComeFrom) {
  const auto source = [](const std::string& text, const std::string& more = "") {
    return found(more + "[credential.k]\nsource = \"" + text + "\"\ncarry = { bearer = true }\n" +
                 grant("example.com", get + "path = \"/x\"", with_key));
  };
  EXPECT_EQ(source("env:K"), Lines{});
  EXPECT_EQ(source("file:~/.secrets/k"), Lines{});
  EXPECT_EQ(source("file:key.txt"), Lines{"credential-in-mount:warning:2"});
  EXPECT_EQ(source("file:/home/me/project/sub/key.txt"), Lines{"credential-in-mount:warning:2"});
  EXPECT_EQ(source("file:/home/me/project2/key.txt"), Lines{});
  EXPECT_EQ(source("command:pass show k"), Lines{"command-source:note:2"});
  EXPECT_EQ(source("command:./key.sh"), Lines{"command-source:warning:2"});
  const std::string read_only = "[[mount]]\npath = \".\"\n";
  EXPECT_EQ(source("command:./key.sh", read_only), Lines{"command-source:note:4"});
  const std::string copied = "[[mount]]\npath = \"~/.tool\"\ncopy = true\nexcept = [\"token\"]\n";
  EXPECT_EQ(source("file:~/.tool/token", copied), Lines{});
  EXPECT_EQ(source("file:~/.tool/other", copied), Lines{"credential-in-mount:warning:6"});
  const std::string part = "[[mount]]\npath = \"~/.tool\"\ncopy = true\nonly = [\"keys\"]\n";
  EXPECT_EQ(source("file:~/.tool/token", part), Lines{});
  EXPECT_EQ(source("file:~/.tool/keys/token", part), Lines{"credential-in-mount:warning:6"});
}

TEST(Lint, Logins) {
  const std::string login =
      "[credential.k]\nsource = \"login:~/.agent/l.json\"\ncarry = { bearer = true }\n[credential.k.login]\n"
      "access = \"a\"\nrefresh = \"r\"\n";
  const std::string api = grant("api.example.com", get + "path = \"/x\"", with_key);
  const std::string refresh = grant("login.example.com",
                                    "method = \"POST\"\npath = \"/token\"\ncontent_type = \"application/json\"\n"
                                    "refresh = true\nmax_body = \"8KB\"",
                                    with_key);
  EXPECT_TRUE(has(login + api, "never-refreshed"));
  EXPECT_FALSE(has(login + api + refresh, "never-refreshed"));
  EXPECT_FALSE(has(login + api + refresh, "credential-in-mount"));
  const std::string copy = "[[mount]]\npath = \"~/.agent\"\ncopy = true\n";
  EXPECT_TRUE(has(copy + login + api + refresh, "credential-in-mount"));
  EXPECT_FALSE(has(copy + "except = [\"l.json\"]\n" + login + api + refresh, "credential-in-mount"));
}

TEST(Lint, LiveFolders) {
  const auto mount = [](const std::string& more) { return found("[[mount]]\npath = \".\"\n" + more); };
  EXPECT_EQ(mount(""), Lines{});
  EXPECT_EQ(mount("mode = \"review\""), Lines{});
  EXPECT_EQ(mount("mode = \"rw-no-delete\""), Lines{});
  EXPECT_EQ(mount("mode = \"rw\"\nprotect = true"), Lines{});
  EXPECT_EQ(mount("mode = \"rw\""), Lines{"live-control:note:2"});
  EXPECT_EQ(mount("mode = \"rw-no-delete\"\nallow_control = [\".envrc\"]"), Lines{"allowed-control:note:2"});
}

TEST(Lint, UnusedCredential) {
  EXPECT_EQ(found(key), Lines{"unused-credential:note:2"});
  EXPECT_FALSE(has(key + grant("example.com", get + "path = \"/x\"", with_key), "unused-credential"));
}

TEST(Lint, PublishedToOthers) {
  EXPECT_EQ(found("publish = [\"8080\", \"[::1]:8081:80\"]\n"), Lines{});
  EXPECT_EQ(found("publish = [\"0.0.0.0:8080\"]\n"), Lines{"public-port:warning:2"});
}

TEST(Lint, WhatTheWayOutGivesUp) {
  const std::string corp = "[credential.corp]\nsource = \"env:CORP\"\ncarry = { basic = \"me\" }\n";
  const auto upstream = [](const std::string& scheme, const std::string& more) {
    return "[upstream]\nproxy = \"" + scheme + "://proxy.example.com:3128\"\n" + more;
  };
  EXPECT_EQ(found(upstream("http", "")), Lines{});
  EXPECT_EQ(found(upstream("https", "credential = \"corp\"\n") + corp), Lines{});
  EXPECT_EQ(found(upstream("http", "credential = \"corp\"\n") + corp), Lines{"proxy-password:note:2"});
  EXPECT_EQ(found(upstream("http", "resolve = \"proxy\"\n")), Lines{"unchecked-address:warning:2"});
}

TEST(Lint, APresetIsToldOfWhereItIsNamed) {
  EXPECT_EQ(found("\n[[grant]]\npreset = \"npm-install\"\n"), Lines{});
  // The owner is named: nothing to say. With a credential everywhere, there is.
  const std::string git = "[credential.k]\nsource = \"env:K\"\ncarry = { basic = \"x-access-token\" }\n";
  EXPECT_EQ(found(git + "[[grant]]\npreset = \"github-read\"\nwith = { repos = [\"acme/app\"] }\ncredential = \"k\"\n"),
            Lines{});
  const Lines named = found(git + "[[grant]]\npreset = \"npm-install\"\ncredential = \"k\"\n");
  EXPECT_NE(std::find(named.begin(), named.end(), "credential-wildcard:warning:5"), named.end());
}

TEST(Lint, HostileTextIsEscaped) {
  Policy policy = policy_of(key);
  policy.credentials.at("k").source = Credential::Source::command;
  policy.credentials.at("k").source_value = "x\x1b[2J\n\xe2\x80\xae";
  policy.credentials.at("k").origin.file = "a\nb";
  EXPECT_EQ(found(policy).size(), 2U);  // found() looks at each line
}

TEST(Lint, Json) {
  const auto all = lint(policy_of(key), place);
  ASSERT_EQ(all.size(), 1U);
  const auto object = to_json(all[0]);
  EXPECT_EQ(object["code"], "unused-credential");
  EXPECT_EQ(object["severity"], "note");
  EXPECT_EQ(object["file"], "p.toml");
  EXPECT_EQ(object["line"], 2);
}

}  // namespace
}  // namespace bulkhead::advice

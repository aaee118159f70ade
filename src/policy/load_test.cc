#include "policy/load.h"

#include <set>

#include "base/text.h"
#include "policy/profile.h"
#include "policy/publish.h"
#include "policy/test_help.h"
#include "policy/toml.h"

namespace bulkhead {
namespace {

using testing_help::error_of;
using testing_help::load;
using testing_help::must_load;
using testing_help::text_of;

const std::string allow = "[[grant.allow]]\nmethod = \"GET\"\npath = \"/\"\n";
const std::string grant = "[[grant]]\nhost = \"example.com\"\n";
const std::string credential = "[credential.a]\nsource = \"env:A\"\ncarry = { bearer = true }\n";

TEST(Load, ReadsTheReferencePolicy) {
  auto document = load_document(text_of("docs/policy-example.toml"), "example", "user");
  ASSERT_TRUE(document) << document.error().message;
  EXPECT_EQ(document->tier, Tier::native);
  EXPECT_EQ(document->profile, "claude");
  EXPECT_EQ(document->toolchains, true);
  EXPECT_EQ(document->image, "host");
  EXPECT_EQ(document->old_runsc, false);
  ASSERT_EQ(document->mounts.size(), 5U);
  EXPECT_EQ(document->mounts[0].mode, MountMode::rw);
  EXPECT_TRUE(document->mounts[0].protect);
  EXPECT_EQ(document->mounts[0].allow_control, (std::vector<std::string>{".github/hooks", "CLAUDE.md"}));
  EXPECT_EQ(document->mounts[1].target, "/data");
  EXPECT_TRUE(document->mounts[1].optional);
  EXPECT_TRUE(document->mounts[2].copy);
  EXPECT_EQ(document->mounts[2].mode, MountMode::rw);
  EXPECT_EQ(document->mounts[2].only, (std::vector<std::string>{"settings.json", "themes"}));
  EXPECT_EQ(document->mounts[2].except, (std::vector<std::string>{"themes/cache"}));
  EXPECT_EQ(document->mounts[3].mode, MountMode::ro);
  EXPECT_TRUE(document->mounts[3].copy);
  EXPECT_EQ(document->mounts[4].mode, MountMode::review);
  EXPECT_EQ(document->mounts[4].output, (Output{.max_size = 64'000'000, .max_files = 1000, .apply = true}));
  const Credential& example = document->credentials.at("example");
  EXPECT_EQ(example.source, Credential::Source::env);
  EXPECT_EQ(example.source_value, "EXAMPLE_API_KEY");
  EXPECT_EQ(example.expose_prefix, "ex-");
  EXPECT_EQ(example.header, "x-api-key");
  EXPECT_TRUE(example.optional);
  EXPECT_EQ(document->credentials.at("git").basic_user, "x-access-token");
  EXPECT_EQ(document->credentials.at("git").source_value, "pass show git/example");
  EXPECT_EQ(document->credentials.at("reports").carrier, Credential::Carrier::bearer);
  ASSERT_EQ(document->grants.size(), 13U);
  EXPECT_EQ(document->grants[1].with.at("repos").values, std::vector<std::string>{"acme/app"});
  const Grant& api = document->grants[3];
  EXPECT_EQ(api.hosts, std::vector<std::string>{"api.example.com"});
  ASSERT_EQ(api.allow.size(), 3U);
  EXPECT_EQ(api.allow[2].packages, std::vector<std::string>{"@acme/words"});
  EXPECT_EQ(api.allow[0].query, (std::vector<std::string>{"page", "kind=note"}));
  EXPECT_EQ(api.allow[0].max_body, 1'000'000U);
  EXPECT_EQ(api.allow[1].methods, (std::vector<std::string>{"GET", "HEAD"}));
  EXPECT_EQ(api.budget.bytes_up, 20'000'000U);
  EXPECT_EQ(document->credentials.at("registry").source, Credential::Source::answer);
  EXPECT_EQ(document->grants[4].response.issue, (std::vector<std::string>{"token", "access_token"}));
  EXPECT_EQ(document->grants[6].response.follow, std::vector<std::string>{"cdn.example.com"});
  EXPECT_FALSE(document->grants[4].response.streaming);
  EXPECT_EQ(document->env.set.at("PAGER"), "cat");
  EXPECT_EQ(document->env.pass, (std::vector<std::string>{"LANG", "COLORTERM"}));
  EXPECT_EQ(document->limits.memory, 4'000'000'000U);
  EXPECT_EQ(document->limits.duration, std::chrono::hours(4));
  EXPECT_EQ(document->dns_servers->size(), 2U);
  ASSERT_EQ(document->publish.size(), 2U);
  EXPECT_EQ(publish_text(document->publish[0]), "127.0.0.1:8080:8080");
  EXPECT_EQ(publish_text(document->publish[1]), "127.0.0.1:8443:9443");
  ASSERT_TRUE(document->upstream);
  EXPECT_EQ(proxy_url(*document->upstream), "http://proxy.example.com:3128");
  EXPECT_EQ(document->upstream->credential, "proxy");
  EXPECT_EQ(document->upstream->no_proxy, std::vector<std::string>{"*.internal.example.com"});
  EXPECT_FALSE(document->upstream->proxy_resolves);
}

TEST(Load, APublishedPortIsAnAddressAndTwoPorts) {
  for (const auto& [text, whole] : {std::pair("8080", "127.0.0.1:8080:8080"),
                                    {"8080:80", "127.0.0.1:8080:80"},
                                    {"0.0.0.0:1:2", "0.0.0.0:1:2"},
                                    {"10.0.0.1:65535", "10.0.0.1:65535:65535"},
                                    {"[::1]:80:8000", "[::1]:80:8000"},
                                    {"[::]:80", "[::]:80:80"}}) {
    const auto port = publish_from(text);
    ASSERT_TRUE(port) << port.error().message;
    EXPECT_EQ(publish_text(*port), whole);
    EXPECT_EQ(is_loopback(*port), port->address == "127.0.0.1" || port->address == "::1");
  }
  for (const char* text : {"",
                           ":",
                           "0",
                           "65536",
                           "-1",
                           "+1",
                           "08080",
                           "8080:",
                           ":8080",
                           "8080:0",
                           "1:2:3:4",
                           "127.0.0.1",
                           "127.0.0.1:",
                           "127.1:80",
                           "localhost:80",
                           "::1:80",
                           "[::1]",
                           "[::1]80",
                           "[127.0.0.1]:80",
                           "*:80",
                           "80/tcp",
                           "8080:80:",
                           "127.0.0.1::80",
                           "[::ffff:127.0.0.1]:80"}) {
    EXPECT_FALSE(publish_from(text)) << text;
  }
  EXPECT_FALSE(load_document("version = 1\npublish = [\"80\"]\n", "f", "profile x", DocumentKind::profile));
}

TEST(Load, AProxyIsOneAddressAndNoPassword) {
  const auto load = [](const std::string& url, DocumentKind kind = DocumentKind::policy) {
    return load_document("version = 1\n[upstream]\nproxy = \"" + url + "\"\n", "f", "user", kind);
  };
  for (const char* url :
       {"http://proxy.example.com:3128", "https://proxy:8080/", "http://10.0.0.1:80", "http://[2001:db8::1]:3128"}) {
    const auto document = load(url);
    ASSERT_TRUE(document) << document.error().message;
    EXPECT_EQ(proxy_url(*document->upstream), std::string(url).substr(0, std::string(url).find_last_not_of('/') + 1));
  }
  for (const char* url : {"", "proxy:3128", "http://proxy.example.com", "http://proxy.example.com:0",
                          "http://proxy.example.com:65536", "http://proxy.example.com:3128/path",
                          "http://proxy.example.com:3128?x", "http://*.example.com:3128", "http://2001:db8::1:3128",
                          "http://[10.0.0.1]:3128", "http://:3128", "socks5://proxy:1080", "http://proxy:3128 x",
                          "http://Proxy.example.com:3128", "http://127.1:3128", "http://proxy:+80", "ftp://proxy:21"}) {
    EXPECT_FALSE(load(url)) << url;
  }
  const auto secret = load("http://me:hunter2@proxy.example.com:3128");
  ASSERT_FALSE(secret);
  EXPECT_EQ(secret.error().message.find("hunter2"), std::string::npos);
  // It is for nobody else's file to say where this machine's connections go.
  EXPECT_FALSE(load("http://proxy.example.com:3128", DocumentKind::profile));
  EXPECT_FALSE(load("http://proxy.example.com:3128", DocumentKind::preset));
}

// Every key of the reference policy, misspelt, is refused with its line and the right key
// suggested. So each key there is one that is really read, and none is accepted in a spelling of
// its own.
TEST(Load, EveryKeyMisspeltIsRefusedWithASuggestion) {
  const std::string text = text_of("docs/policy-example.toml");
  const std::vector<std::string> lines = split(text, '\n');
  std::set<std::string> keys;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    const std::size_t equals = lines[i].find(" = ");
    if (equals == std::string::npos || lines[i].front() == '#') continue;
    const std::string key = lines[i].substr(0, equals);
    // A variable's name, a place, a field of somebody's request: anything goes.
    if (key == "PAGER" || key.front() == '"' || key == "kind" || key == "client_id" || key == "scope") continue;
    std::vector<std::string> changed = lines;
    changed[i] = key.substr(0, key.size() - 1) + (key.back() == 'x' ? "z" : "x") + lines[i].substr(equals);
    auto document = load_document(join(changed, "\n"), "f", "user");
    ASSERT_FALSE(document) << changed[i];
    const std::string& message = document.error().message;
    // A short key has none that is near; `hostx` is nearer to `host`.
    if (key == "set" || key == "dns" || key == "env" || key == "tmp" || key == "cpu" || key == "cpus" ||
        key == "hosts") {
      EXPECT_NE(message.find("unknown key"), std::string::npos) << message;
    } else {
      EXPECT_NE(message.find("did you mean `" + key + "`?"), std::string::npos) << message;
    }
    EXPECT_EQ(message.find("f:" + std::to_string(i + 1) + ": unknown key"), 0U) << message;
    keys.insert(key);
  }
  // A guard against a reference policy that loses keys.
  for (const char* key :
       {"version",    "tier",       "workspace",    "profile",      "toolchains", "upstream_ca", "dns",
        "path",       "target",     "mode",         "optional",     "copy",       "except",      "only",
        "source",     "expose",     "carry",        "preset",       "host",       "port",        "protocol",
        "credential", "method",     "query",        "content_type", "max_body",   "requests",    "requests_per_minute",
        "bytes_up",   "bytes_down", "pass",         "memory",       "processes",  "open_files",  "tmp",
        "duration",   "protect",    "allow_control"}) {
    EXPECT_TRUE(keys.contains(key)) << key;
  }
}

TEST(Load, UnknownKeysNameTheirTable) {
  EXPECT_EQ(error_of(grant + "[[grant.allow]]\nmetod = \"GET\"\n"),
            "p.toml:5: unknown key `metod` in [[grant.allow]]; did you mean `method`?");
  EXPECT_EQ(error_of("teir = \"native\""), "p.toml:2: unknown key `teir`; did you mean `tier`?");
  EXPECT_EQ(error_of("Tier = \"native\""), "p.toml:2: unknown key `Tier`; did you mean `tier`?");
  EXPECT_NE(error_of("[limits]\nxyzzy = 1").find("known here: memory"), std::string::npos);
  EXPECT_NE(error_of("\"\\u001b[31m\" = 1").find("`\\x1b[31m`"), std::string::npos);
  // The first of the file, not of the alphabet.
  EXPECT_EQ(error_of("zz = 1\naa = 2").find("p.toml:2: unknown key `zz`"), 0U);
}

TEST(Load, VersionIsRequired) {
  for (const char* text : {"", "\n", "   ", "# nothing\n", "tier = \"native\"\n"}) {
    auto document = load_document(text, "f", "user");
    ASSERT_FALSE(document) << text;
    EXPECT_NE(document.error().message.find("version"), std::string::npos);
  }
  for (const char* text :
       {"version = 2", "version = \"1\"", "version = 1.0", "version = true", "version = -1", "version = [1]"}) {
    EXPECT_FALSE(load_document(text, "f", "user")) << text;
  }
  EXPECT_TRUE(load_document("version = 1", "f", "user"));
  EXPECT_TRUE(load_document("version = 1\r\ntier = \"vm\"\r\n", "f", "user"));
}

// ATTACKS N16: an empty list, an empty string, a file that can't be read: never "everything".
TEST(Load, EmptyMeansNothing) {
  const Document nothing = must_load("");
  EXPECT_TRUE(nothing.grants.empty());
  EXPECT_TRUE(nothing.credentials.empty());
  EXPECT_TRUE(must_load("grant = []").grants.empty());
  for (const std::string& body : {
           grant,                        // no rule at all
           grant + "allow = []\n",       // an empty list of rules
           grant + "[[grant.allow]]\n",  // an empty rule
           grant + "[[grant.allow]]\nmethod = []\npath = \"/\"\n",
           grant + "[[grant.allow]]\nmethod = \"\"\npath = \"/\"\n",
           grant + "[[grant.allow]]\nmethod = [\"\"]\npath = \"/\"\n",
           grant + "[[grant.allow]]\nmethod = \"GET\"\n",
           grant + "[[grant.allow]]\nmethod = \"GET\"\npath = \"\"\n",
           grant + allow + "query = [\"\"]\n",
           grant + allow + "content_type = \"\"\n",
           std::string("[[grant]]\n"),
           "[[grant]]\nhost = \"\"\n" + allow,
           std::string("[[grant]]\npreset = \"\"\n"),
           grant + "credential = \"\"\n" + allow,
           std::string("[[mount]]\n"),
           std::string("[[mount]]\npath = \"\"\n"),
           std::string("[[mount]]\npath = \"a\"\ncopy = true\nexcept = [\"\"]\n"),
           std::string("[env]\npass = [\"\"]\n"),
           std::string("dns = [\"\"]\n"),
           std::string("upstream_ca = [\"\"]\n"),
           std::string("profile = \"\"\n"),
           std::string("tier = \"\"\n"),
       }) {
    EXPECT_NE(error_of(body), "") << body;
  }
  // An empty closed list of query keys is a closed list.
  const Document closed = must_load(grant + allow + "query = []\n");
  EXPECT_TRUE(closed.grants.at(0).allow.at(0).query.empty());
}

TEST(Load, WrongTypesAndRanges) {
  for (const char* body : {
           "tier = 1",
           "tier = \"docker\"",
           "tier = [\"native\"]",
           "toolchains = 1",
           "toolchains = \"yes\"",
           "profile = true",
           "upstream_ca = \"x\"",
           "upstream_ca = [1]",
           "dns = \"9.9.9.9\"",
           "dns = [9]",
           "mount = \"x\"",
           "mount = {path = \"x\"}",
           "mount = [1]",
           "[mount]\npath = \".\"",
           "credential = 1",
           "[[credential]]\n",
           "credential.a = 1",
           "grant = 1",
           "grant = {host = \"x\"}",
           "env = 1",
           "[[env]]\n",
           "env.set = [\"A=1\"]",
           "env.set.A = 1",
           "env.set.1A = \"x\"",
           "env.pass = \"A\"",
           "env.pass = [\"A\", \"A\"]",
           "limits = 1",
           "[limits]\nmemory = true",
           "[limits]\nmemory = \"4 GB\"",
           "[limits]\nmemory = -1",
           "[limits]\nmemory = 4",
           "[limits]\nmemory = 1.5",
           "[limits]\nmemory = 99999999999999999999",
           "[limits]\nprocesses = 0",
           "[limits]\nprocesses = -5",
           "[limits]\nprocesses = 4194305",
           "[limits]\nprocesses = \"many\"",
           "[limits]\nopen_files = 1",
           "[limits]\ntmp = 1",
           "[limits]\nduration = 60",
           "[limits]\nduration = \"0s\"",
           "[limits]\nduration = \"forever\"",
           "[limits]\nduration = 1979-05-27",
           "[[mount]]\npath = \"a\"\nmode = \"wr\"",
           "[[mount]]\npath = \"a\"\nmode = 1",
           "[[mount]]\npath = \"a\"\noptional = 1",
           "[[mount]]\npath = \"~root/x\"",
           "[[mount]]\npath = \"a\"\ntarget = \"b\"",
           "[[mount]]\npath = \"a\"\ntarget = \"/a/../b\"",
           "[[mount]]\npath = \"a\"\nexcept = [\"x\"]",
           "[[mount]]\npath = \"a\"\ncopy = true\nexcept = [\"../x\"]",
           "[[mount]]\npath = \"a\"\nonly = [\"x\"]",
           "[[mount]]\npath = \"a\"\ncopy = true\nonly = [\"/x\"]",
           "[[mount]]\npath = \"a\"\ncopy = true\nonly = \"x\"",
           "[[mount]]\npath = \"a\"\ncopy = true\nmode = \"review\"",
           "[[mount]]\npath = \"a\\u0000b\"",
           "[[mount]]\npath = \"a\"\nprotect = true",
           "[[mount]]\npath = \"a\"\nprotect = true\nmode = \"review\"",
           "[[mount]]\npath = \"a\"\nprotect = true\ncopy = true",
           "[[mount]]\npath = \"a\"\nprotect = false\nmode = \"rw-no-delete\"",
           "[[mount]]\npath = \"a\"\nprotect = \"yes\"\nmode = \"rw\"",
           "[[mount]]\npath = \"a\"\nmode = \"rw\"\nallow_control = [\".envrc\"]",
           "[[mount]]\npath = \"a\"\nmode = \"rw-no-delete\"\nallow_control = [\"../x\"]",
           "[[mount]]\npath = \"a\"\nmode = \"rw-no-delete\"\nallow_control = [\"**/x\"]",
           "[[mount]]\npath = \"a\"\nmode = \"rw-no-delete\"\nallow_control = [\"a/x**\"]",
           "[[mount]]\npath = \"a\"\nmode = \"rw-no-delete\"\nallow_control = [\"\"]",
           "[[mount]]\npath = \"a\"\nmode = \"rw-no-delete\"\nallow_control = \".envrc\"",
       }) {
    EXPECT_NE(error_of(body), "") << body;
  }
  EXPECT_NE(error_of("[[mount]]\npath = \"a\"\nmode = \"rw-nodelete\"").find("did you mean \"rw-no-delete\""),
            std::string::npos);
}

TEST(Load, Protection) {
  const auto mount = [](const std::string& more) { return must_load("[[mount]]\npath = \"a\"\n" + more).mounts[0]; };
  EXPECT_TRUE(is_served(mount("mode = \"rw\"\nprotect = true\n")));
  EXPECT_FALSE(is_served(mount("mode = \"rw\"\nprotect = false\n")));
  EXPECT_TRUE(is_served(mount("mode = \"rw-no-delete\"\n")));
  EXPECT_FALSE(is_served(mount("copy = true\n")));
  EXPECT_EQ(mount("mode = \"rw-no-delete\"\nallow_control = [\".git/hooks\", \".claude/commands/**\"]\n")
                .allow_control.size(),
            2U);
}

TEST(Load, Outputs) {
  const Document plain = must_load("[[output]]\npath = \"out\"\n");
  EXPECT_EQ(plain.mounts[0].output, (Output{.max_size = 256'000'000, .max_files = 10'000, .apply = false}));
  for (const char* wrong : {"max_size = 1", "max_size = \"2000GB\"", "max_files = 0", "mode = \"rw\"", "apply = 1",
                            "target = \"/a/../b\"", "target = \"b\""}) {
    EXPECT_FALSE(load("[[output]]\npath = \"out\"\n" + std::string(wrong))) << wrong;
  }
  EXPECT_FALSE(load("[[output]]\n"));
  EXPECT_FALSE(load("[[input]]\npath = \"a\"\nmode = \"rw\"\n"));
}

TEST(Load, AllModesAndTiersParse) {
  for (const char* mode : {"ro", "rw", "rw-no-delete", "review"}) {
    EXPECT_STREQ(name_of(must_load("[[mount]]\npath = \"a\"\nmode = \"" + std::string(mode) + "\"").mounts[0].mode),
                 mode);
  }
  for (const char* tier : {"native", "gvisor", "vm"}) {
    EXPECT_STREQ(name_of(*must_load("tier = \"" + std::string(tier) + "\"").tier), tier);
  }
  EXPECT_EQ(must_load("[[mount]]\npath = \"a\"").mounts[0].mode, MountMode::ro);
}

TEST(Load, Credentials) {
  const auto source = [](const std::string& text) {
    return "[credential.a]\nsource = \"" + text + "\"\ncarry = { bearer = true }\n";
  };
  EXPECT_EQ(error_of(source("env:A")), "");
  EXPECT_EQ(error_of(source("file:~/.x")), "");
  EXPECT_EQ(error_of(source("command:a b | c")), "");
  EXPECT_EQ(error_of(source("answer")), "");
  const std::string answer = "[credential.a]\nsource = \"answer\"\n";
  EXPECT_EQ(error_of(answer + "carry = { header = \"x-key\" }\n"), "");
  for (const char* more :
       {"carry = { basic = \"me\" }", "carry = { sigv4 = { region = \"r\", service = \"s3\" } }",
        "carry = { bearer = true }\nexpose = { env = \"A\" }", "carry = { bearer = true }\noptional = true"}) {
    EXPECT_NE(error_of(answer + more + "\n"), "") << more;
  }
  for (const char* fine : {"secret-service:service=x", "secret-service:service=x,account=a=b c",
                           "systemd-creds:api-key", "systemd-creds:/etc/x.cred", "systemd-creds:~/x.cred"}) {
    EXPECT_EQ(error_of(source(fine)), "") << fine;
  }
  for (const char* wrong :
       {"secret-service:x", "secret-service:=x", "secret-service:x=", "secret-service:a=b,", "secret-service:--all=x",
        "secret-service:a=-x", "systemd-creds:a/b", "systemd-creds:..", "systemd-creds:a b"}) {
    EXPECT_NE(error_of(source(wrong)), "") << wrong;
  }
  for (const char* bad : {"", "answer:", "answer:x", "env", "env:", "env:1A", "env:A=B", "file:", "file:~x/y",
                          "command:", "vault:x", "ENV:A"}) {
    EXPECT_NE(error_of(source(bad)), "") << bad;
  }
  const auto carry = [](const std::string& text) { return "[credential.a]\nsource = \"env:A\"\n" + text + "\n"; };
  EXPECT_EQ(must_load(carry("carry = { header = \"X-Key\" }")).credentials.at("a").header, "x-key");
  for (const char* bad : {"", "carry = \"x\"", "carry = {}", "carry = { header = \"a\", bearer = true }",
                          "carry = { bearer = false }", "carry = { bearer = \"x\" }", "carry = { header = \"host\" }",
                          "carry = { header = \"\" }", "carry = { basic = \"\" }", "carry = { basic = \"a:b\" }",
                          "carry = { basic = true }", "carry = { query = \"key\" }", "carry = { cookie = \"x\" }"}) {
    EXPECT_NE(error_of(carry(bad)), "") << bad;
  }
  for (const char* bad : {"expose = {}", "expose = \"A\"", "expose = { env = \"\" }", "expose = { env = \"A-B\" }",
                          "expose = { prefix = \"x\" }", "expose = { env = \"A\", prefix = \"a b\" }",
                          "expose = { env = \"A\", prefix = \"\\n\" }", "expose = { env = \"A\", file = \"x\" }"}) {
    EXPECT_NE(error_of(credential + bad), "") << bad;
  }
  EXPECT_NE(error_of("[credential.\"a b\"]\nsource = \"env:A\"\ncarry = { bearer = true }\n"), "");
}

TEST(Load, Grants) {
  const Document plain = must_load("[[grant]]\nhost = \"example.com\"\nprotocol = \"http\"\n" + allow);
  EXPECT_EQ(plain.grants[0].port, 80);
  EXPECT_EQ(must_load(grant + allow).grants[0].port, 443);
  EXPECT_EQ(must_load(grant + allow).grants[0].origin.line, 2);
  EXPECT_EQ(must_load(grant + allow).grants[0].origin.layer, "user");
  for (const std::string& bad : std::initializer_list<std::string>{
           "host = \"*\"\n" + allow,
           "host = \"*.com\"\n" + allow,
           "host = \"api.*.com\"\n" + allow,
           "host = \"example.com\"\nport = 0\n" + allow,
           "host = \"example.com\"\nport = 65536\n" + allow,
           "host = \"example.com\"\nport = 53\n" + allow,
           "host = \"example.com\"\nport = \"443\"\n" + allow,
           "host = \"example.com\"\nprotocol = \"ftp\"\n" + allow,
           "host = \"example.com\"\nprotocol = \"http\"\ncredential = \"a\"\n" + allow,
           "preset = \"x\"\nhost = \"example.com\"\n",
           "preset = \"x\"\n" + allow,
           "preset = \"../x\"\n",
           "preset = \"x\"\nport = 443\n",
       }) {
    EXPECT_NE(error_of("[[grant]]\n" + bad), "") << bad;
  }
  for (const char* bad :
       {"path = \"/\"\nmethod = \"get\"", "path = \"/\"\nmethod = \"CONNECT\"", "path = \"/\"\nmethod = \"TRACE\"",
        "path = \"v1\"\nmethod = \"GET\"", "path = \"/\"\nmethod = 1", "path = \"/\"\nmethod = [1]",
        "path = \"/\"\nmethod = [\"GET\", \"GET\"]", "path = \"/\"\nmethod = \"GET\"\nquery = \"a\"",
        "path = \"/\"\nmethod = \"GET\"\nquery = [\"*\", \"a\"]", "path = \"/\"\nmethod = \"GET\"\nmax_body = \"1mb\"",
        "path = \"/\"\nmethod = \"GET\"\nmax_body = -1"}) {
    EXPECT_NE(error_of(grant + "[[grant.allow]]\n" + bad), "") << bad;
  }
  const std::string wss = "[[grant]]\nhost = \"example.com\"\nprotocol = \"wss\"\n";
  const std::string opening = "[[grant.allow]]\npath = \"/feed\"\n";
  const Document sockets = must_load(wss + opening + "max_body = \"1MB\"\nheaders = [\"sec-websocket-protocol\"]\n" +
                                     "[[grant.allow]]\nmethod = \"GET\"\npath = \"/b\"\n" +
                                     "[[grant]]\nhost = \"example.com\"\nprotocol = \"ws\"\n" + opening);
  EXPECT_EQ(sockets.grants[0].protocol, Protocol::wss);
  EXPECT_EQ(sockets.grants[0].port, 443);
  EXPECT_EQ(sockets.grants[0].allow[0].methods, std::vector<std::string>{"GET"});
  EXPECT_EQ(sockets.grants[1].protocol, Protocol::ws);
  EXPECT_EQ(sockets.grants[1].port, 80);
  for (const auto& [bad, why] : std::vector<std::pair<std::string, std::string>>{
           {wss + opening + "method = \"POST\"", "always opened by GET"},
           {wss + opening + "method = [\"GET\", \"POST\"]", "always opened by GET"},
           {wss + opening + "content_type = \"text/plain\"", "messages are not read"},
           {wss + opening + "max_body = \"1MB\"\n[grant.allow.json]\ndeny_keys = [\"a\"]", "messages are not read"},
           {wss + opening + "[grant.allow.git]\nrefs = [\"refs/heads/a\"]", "messages are not read"},
           {wss + opening + "[grant.response]\ncontent_type = [\"text/plain\"]", "only `max_body`"},
           {wss + opening + "[grant.response]\nmax_body = \"1MB\"\nstreaming = false", "only `max_body`"},
           {wss + opening + "[grant.response]\nmax_body = \"1MB\"\nredact = [\"a\"]", "only `max_body`"},
           {wss, "allows nothing"},
           {"[[grant]]\nhost = \"example.com\"\nprotocol = \"ws\"\ncredential = \"a\"\n" + opening,
            "never travels over plain ws"},
           {"[[grant]]\nhost = \"example.com\"\nprotocol = \"websocket\"\n" + opening, "\"wss\""}}) {
    EXPECT_NE(error_of(bad).find(why), std::string::npos) << bad << ": " << error_of(bad);
  }
  const std::string grpc = "[[grant]]\nhost = \"example.com\"\nprotocol = \"grpc\"\n[[grant.allow]]\n";
  const Document calls = must_load(grpc + "path = \"/pkg.v1.Svc/Method\"\n[[grant.allow]]\nmethod = \"POST\"\n" +
                                   "path = \"/pkg.Svc/*\"\nmax_body = \"1MiB\"\n");
  EXPECT_EQ(calls.grants[0].protocol, Protocol::grpc);
  EXPECT_EQ(calls.grants[0].port, 443);
  EXPECT_EQ(calls.grants[0].allow[0].methods, std::vector<std::string>{"POST"});
  for (const char* bad :
       {"path = \"/**\"", "path = \"/pkg.Svc\"", "path = \"/*/Method\"", "path = \"/pkg.Svc/{m}\"",
        "path = \"/pkg.Svc/a/b\"", "path = \"/pkg..Svc/M\"", "path = \"/pkg.Svc/\"", "path = \"/pkg.Svc/**\"",
        "path = \"/pkg.Svc/M\"\nmethod = \"GET\"", "path = \"/pkg.Svc/M\"\nmethod = [\"POST\", \"GET\"]",
        "path = \"/pkg.Svc/M\"\nquery = [\"*\"]", "path = \"/pkg.Svc/M\"\ncontent_type = \"application/grpc\""}) {
    EXPECT_NE(error_of(grpc + bad), "") << bad;
  }
  EXPECT_NE(error_of("[[grant]]\nhost = \"example.com\"\nprotocol = \"h2\"\n" + allow).find("https"),
            std::string::npos);
  for (const std::string& misplaced :
       {grant + "headers = []\n" + allow, grant + "body = 1\n" + allow, grant + allow + "body = {}\n",
        grant + allow + "[grant.budget]\nexpires = \"1h\"\n"}) {
    EXPECT_NE(error_of(misplaced).find("unknown key"), std::string::npos) << misplaced;
  }
}

TEST(Load, OpaqueGrants) {
  const auto document = load_document(
      "version = 1\n[[grant]]\nhost = \"db.example.com\"\nport = 5432\nprotocol = \"tcp\"\n[grant.budget]\nbytes_up = "
      "5\n",
      "p.toml", "user");
  ASSERT_TRUE(document) << document.error().message;
  EXPECT_EQ(document->grants.at(0).protocol, Protocol::tcp);
  EXPECT_TRUE(document->grants.at(0).allow.empty());
  const std::string tcp = "[[grant]]\nhost = \"db.example.com\"\nprotocol = \"tcp\"\n";
  for (const std::string& bad :
       {tcp, tcp + "port = 53\n", tcp + "port = 5432\n" + allow, tcp + "port = 5432\n[grant.response]\nmax_body = 5\n",
        tcp + "port = 5432\ncredential = \"x\"\n"}) {
    EXPECT_NE(error_of(bad), "") << bad;
  }
  EXPECT_NE(error_of("[[grant]]\nhost = \"a.example.com\"\nprotocol = \"ssh\"\n" + allow).find("port = 22"),
            std::string::npos);
}

TEST(Load, AnAddressForOneName) {
  const std::string host = "[[grant]]\nhost = \"models.internal\"\n";
  EXPECT_EQ(error_of(host + "address = \"127.0.0.1\"\n" + allow), "");
  EXPECT_EQ(error_of(host + "address = \"fd00::1\"\n" + allow), "");
  for (const std::string& bad :
       {host + "address = \"localhost\"\n" + allow, host + "address = \"127.1\"\n" + allow,
        host + "address = \"\"\n" + allow, "[[grant]]\nhost = \"10.0.0.1\"\naddress = \"127.0.0.1\"\n" + allow,
        "[[grant]]\nhost = \"*.example.com\"\naddress = \"127.0.0.1\"\n" + allow,
        "[[grant]]\nhosts = [\"a.com\", \"b.com\"]\naddress = \"127.0.0.1\"\n" + allow}) {
    EXPECT_NE(error_of(bad), "") << bad;
  }
}

TEST(Load, WhatAGrantMayAlsoSay) {
  const auto one = [&](const std::string& text) {
    const auto document = load_document("version = 1\n" + text, "p.toml", "user");
    EXPECT_TRUE(document) << (document ? "" : document.error().message);
    return document ? document->grants.at(0) : Grant();
  };
  const Grant loaded =
      one("[[grant]]\nhosts = [\"a.example.com\", \"*.b.example.com\"]\nlabels = 3\nexpires = \"90m\"\n" + allow +
          "headers = [\"x-app\", \"x-tool-*\"]\n[grant.budget]\nbytes_up_per_minute = \"1MB\"\n"
          "bytes_down_per_minute = 7\n[grant.response]\nmax_body = \"2MB\"\n"
          "content_type = [\"application/json\"]\nredact = [\"user.email\"]\n");
  EXPECT_EQ(loaded.hosts, (std::vector<std::string>{"a.example.com", "*.b.example.com"}));
  EXPECT_EQ(loaded.labels, 3U);
  EXPECT_EQ(loaded.expires, std::chrono::minutes(90));
  EXPECT_EQ(loaded.allow.at(0).headers, (std::vector<std::string>{"x-app", "x-tool-*"}));
  EXPECT_EQ(loaded.budget.bytes_up_per_minute, 1'000'000U);
  EXPECT_EQ(loaded.budget.bytes_down_per_minute, 7U);
  EXPECT_EQ(loaded.response.max_body, 2'000'000U);
  EXPECT_FALSE(loaded.response.streaming) << "what is redacted can't be streamed";
  EXPECT_EQ(one("[[grant]]\nhost = \"a.example.com\"\n" + allow).response, ResponseRules());

  const std::string host = "[[grant]]\nhost = \"a.example.com\"\n";
  for (const std::string& bad :
       {"[[grant]]\nhost = \"a.com\"\nhosts = [\"b.com\"]\n" + allow,
        "[[grant]]\nhosts = []\n" + allow,
        "[[grant]]\nhosts = [\"a.com\", \"a.com\"]\n" + allow,
        "[[grant]]\nhosts = [\"A.com\"]\n" + allow,
        host + "labels = 3\n" + allow,
        "[[grant]]\nhost = \"*.example.com\"\nlabels = 0\n" + allow,
        host + "expires = \"0s\"\n" + allow,
        host + "expires = 5\n" + allow,
        host + allow + "headers = [\"X-App\"]\n",
        host + allow + "headers = [\"x app\"]\n",
        host + allow + "headers = [\"*\", \"x-app\"]\n",
        host + allow + "headers = [\"x-*-y\"]\n",
        host + allow + "headers = [\"\"]\n",
        host + allow + "headers = [\"x\\ry\"]\n",
        host + allow + "[grant.response]\nstreaming = false\n",
        host + allow + "[grant.response]\nstreaming = false\nmax_body = \"1GB\"\n",
        host + allow + "[grant.response]\nstreaming = true\nmax_body = 5\nredact = [\"a\"]\n",
        host + allow + "[grant.response]\nredact = [\"a\"]\n",
        host + allow + "[grant.response]\nmax_body = 5\nredact = [\"a..b\"]\n",
        host + allow + "[grant.response]\nissue = [\"a\"]\n",
        host + allow + "[grant.response]\nmax_body = 5\nissue = [\"a..b\"]\n",
        host + allow + "[grant.response]\nmax_body = 5\nissue = [\"a\"]\nredact = [\"a\"]\n",
        host + allow + "[grant.response]\nstreaming = true\nmax_body = 5\nissue = [\"a\"]\n",
        host + allow + "[grant.response]\nfollow = [\"*.example.com\"]\n",
        host + allow + "[grant.response]\nfollow = [\"192.0.2.1\"]\n",
        host + allow + "[grant.response]\nfollow = [\"https://example.com\"]\n",
        host + "protocol = \"http\"\n" + allow + "[grant.response]\nfollow = [\"example.com\"]\n",
        host + allow + "[grant.response]\ncontent_type = []\n",
        host + allow + "[grant.response]\ncontent_type = [\"json\"]\n",
        host + allow + "[grant.response]\nmax = 5\n"}) {
    EXPECT_NE(error_of(bad), "") << bad;
  }
}

TEST(Load, ProfilesAndPresetsMaySayLess) {
  EXPECT_NE(error_of("profile = \"x\"", DocumentKind::profile), "");
  EXPECT_EQ(error_of("tier = \"vm\"", DocumentKind::profile), "");
  for (const std::string& bad : {std::string("tier = \"vm\""), std::string("[[mount]]\npath = \".\""), credential,
                                 std::string("env.set.A = \"x\""), std::string("upstream_ca = [\"/x\"]"),
                                 grant + "credential = \"a\"\n" + allow, std::string("[[grant]]\npreset = \"x\"\n")}) {
    EXPECT_NE(error_of(bad, DocumentKind::preset), "") << bad;
  }
  EXPECT_EQ(error_of(grant + allow, DocumentKind::preset), "");
}

TEST(Load, OnlyTheUsersOwnPolicySaysThatSomebodyIsAsked) {
  EXPECT_EQ(must_load("ask = true\n").ask, true);
  EXPECT_EQ(must_load("ask = false\n").ask, false);
  EXPECT_FALSE(must_load("").ask);
  for (const DocumentKind kind : {DocumentKind::profile, DocumentKind::preset}) {
    EXPECT_FALSE(load_document("version = 1\nask = true\n", "f", "l", kind));
    EXPECT_TRUE(load_document("version = 1\n", "f", "l", kind));
  }
}

TEST(Load, AFileThatCantBeReadIsAnError) {
  auto document = load_document_file("/nowhere/policy.toml", "user");
  ASSERT_FALSE(document);
  EXPECT_EQ(document.error().code, ENOENT);
  EXPECT_FALSE(load_document_file("/", "user"));
  EXPECT_FALSE(load_document_file("/dev/zero", "user"));
}

// Whatever one byte of a good file becomes, loading it comes back: with a document or with one
// printable line.
TEST(Load, EveryFlippedByteIsSurvived) {
  const std::string text = text_of("docs/policy-example.toml").substr(0, 2500);
  for (std::size_t i = 0; i < text.size(); ++i) {
    for (const char byte : {'\0', '\xff', '[', '.', '"', '\n', '='}) {
      std::string changed = text;
      changed[i] = byte;
      auto document = load_document(changed, "f", "user");
      if (!document) {
        ASSERT_EQ(escape_for_terminal(document.error().message, 100000), document.error().message);
      }
    }
  }
}

}  // namespace
}  // namespace bulkhead

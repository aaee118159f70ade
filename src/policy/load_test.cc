#include "policy/load.h"

#include <set>

#include "base/text.h"
#include "policy/profile.h"
#include "policy/test_help.h"
#include "policy/toml.h"

namespace bulkhead {
namespace {

using testing_help::error_of;
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
  ASSERT_EQ(document->mounts.size(), 3U);
  EXPECT_EQ(document->mounts[0].mode, MountMode::rw);
  EXPECT_EQ(document->mounts[1].target, "/data");
  EXPECT_TRUE(document->mounts[1].optional);
  EXPECT_TRUE(document->mounts[2].copy);
  EXPECT_EQ(document->mounts[2].mode, MountMode::rw);
  EXPECT_EQ(document->mounts[2].except, (std::vector<std::string>{"token.json", "cache"}));
  const Credential& example = document->credentials.at("example");
  EXPECT_EQ(example.source, Credential::Source::env);
  EXPECT_EQ(example.source_value, "EXAMPLE_API_KEY");
  EXPECT_EQ(example.expose_prefix, "ex-");
  EXPECT_EQ(example.header, "x-api-key");
  EXPECT_TRUE(example.optional);
  EXPECT_EQ(document->credentials.at("git").basic_user, "x-access-token");
  EXPECT_EQ(document->credentials.at("git").source_value, "pass show git/example");
  EXPECT_EQ(document->credentials.at("reports").carrier, Credential::Carrier::bearer);
  ASSERT_EQ(document->grants.size(), 4U);
  const Grant& api = document->grants[2];
  EXPECT_EQ(api.host, "api.example.com");
  ASSERT_EQ(api.allow.size(), 2U);
  EXPECT_EQ(api.allow[0].query, (std::vector<std::string>{"page", "limit"}));
  EXPECT_EQ(api.allow[0].max_body, 1'000'000U);
  EXPECT_EQ(api.allow[1].methods, (std::vector<std::string>{"GET", "HEAD"}));
  EXPECT_EQ(api.budget.bytes_up, 20'000'000U);
  EXPECT_EQ(document->env.set.at("PAGER"), "cat");
  EXPECT_EQ(document->env.pass, (std::vector<std::string>{"LANG", "COLORTERM"}));
  EXPECT_EQ(document->limits.memory, 4'000'000'000U);
  EXPECT_EQ(document->limits.duration, std::chrono::hours(4));
  EXPECT_EQ(document->dns_servers->size(), 2U);
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
    if (key == "PAGER" || key.front() == '"' || key == "kind") continue;  // a variable's name, a place: anything goes
    std::vector<std::string> changed = lines;
    changed[i] = key.substr(0, key.size() - 1) + "x" + lines[i].substr(equals);
    auto document = load_document(join(changed, "\n"), "f", "user");
    ASSERT_FALSE(document) << changed[i];
    const std::string& message = document.error().message;
    if (key == "set" || key == "dns" || key == "env" || key == "tmp") {
      EXPECT_NE(message.find("unknown key"), std::string::npos) << message;
    } else {
      EXPECT_NE(message.find("did you mean `" + key + "`?"), std::string::npos) << message;
    }
    EXPECT_EQ(message.find("f:" + std::to_string(i + 1) + ": unknown key"), 0U) << message;
    keys.insert(key);
  }
  // A guard against a reference policy that loses keys.
  for (const char* key : {"version",      "tier",
                          "profile",      "toolchains",
                          "upstream_ca",  "dns",
                          "path",         "target",
                          "mode",         "optional",
                          "copy",         "except",
                          "source",       "expose",
                          "carry",        "preset",
                          "host",         "port",
                          "protocol",     "credential",
                          "method",       "query",
                          "content_type", "max_body",
                          "requests",     "requests_per_minute",
                          "bytes_up",     "bytes_down",
                          "pass",         "memory",
                          "processes",    "open_files",
                          "tmp",          "duration"}) {
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
           "[[mount]]\npath = \"a\"\ncopy = true\nmode = \"review\"",
           "[[mount]]\npath = \"a\\u0000b\"",
       }) {
    EXPECT_NE(error_of(body), "") << body;
  }
  EXPECT_NE(error_of("[[mount]]\npath = \"a\"\nmode = \"rw-nodelete\"").find("did you mean \"rw-no-delete\""),
            std::string::npos);
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
  EXPECT_NE(error_of(source("secret-service:x")).find("not supported by this version"), std::string::npos);
  EXPECT_NE(error_of(source("systemd-creds:x")).find("not supported by this version"), std::string::npos);
  for (const char* bad :
       {"", "env", "env:", "env:1A", "env:A=B", "file:", "file:~x/y", "command:", "vault:x", "ENV:A"}) {
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
  for (const char* protocol : {"wss", "grpc", "tcp", "ws", "ssh"}) {
    EXPECT_NE(error_of("[[grant]]\nhost = \"example.com\"\nprotocol = \"" + std::string(protocol) + "\"\n" + allow)
                  .find("not supported yet"),
              std::string::npos);
  }
  for (const std::string& later :
       {grant + "expires = \"1h\"\n" + allow, grant + "headers = []\n" + allow, grant + "body = 1\n" + allow,
        grant + allow + "headers = []\n", grant + allow + "body = {}\n",
        grant + allow + "[grant.budget]\nexpires = \"1h\"\n"}) {
    EXPECT_NE(error_of(later).find("not supported yet"), std::string::npos) << later;
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

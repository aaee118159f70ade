#include "policy/parameters.h"

#include <gtest/gtest.h>

#include "policy/profile.h"
#include "policy/test_help.h"

namespace bulkhead {
namespace {

using testing_help::load;
using testing_help::must_load;

const ParameterKind& kind(std::string_view name) {
  for (const ParameterKind& one : parameter_kinds()) {
    if (one.name == name) return one;
  }
  ADD_FAILURE() << name;
  return parameter_kinds().front();
}

// No value means more than its kind does.
TEST(Parameters, Kinds) {
  struct Case {
    const char* kind;
    std::vector<std::string> good, bad;
  };
  const Case cases[] = {
      {"owner/name",
       {"acme/app", "a/b", "Acme-2/app.js", "acme/.github", "acme/a_b"},
       {"acme",     "acme/",    "/app",     "acme/app/x",    "acme//app",    "acme/..",       "../app",    "./app",
        "acme/.",   "acme/*",   "*/app",    "acme/{x}",      "acme/app.git", "acme/app.GIT",  "acme/a b",  "acme/a%2Fb",
        "acme/a?x", "acme/a#x", "acme/a;x", "acme/${repos}", "acme\\app",    "acme/\xc3\xa4", "acme/app\n"}},
      {"name",
       {"app", "a.b-c_d", ".x"},
       {"", ".", "..", "a/b", "a*", "*", "{a}", "a b", "a%41", "a:b", std::string(101, 'a')}},
      {"package",
       {"left-pad", "@types/node", "Inflector", "a.b_c~d", "0x", "@A/b-c"},
       {"",       "-",     "@",     "@/a",    "@a/",         "@a/-",     "a/b",
        "@a/b/c", "@a/..", "..",    ".x",     "@.a/b",       "*",        "{a}",
        "a*",     "a b",   "a%2fb", "@a%2fb", "${packages}", "\xc3\xa4", std::string(215, 'a')}},
      {"ref-pattern",
       {"refs/heads/main", "refs/heads/agent/*", "refs/heads/*", "refs/tags/v*"},
       {"main", "*", "refs/*", "refs/heads/*/x", "refs/heads/..", "refs/heads/a b", "HEAD", "refs/heads/a.lock"}},
      {"channel",
       {"C0123456789", "G12345678", "D0AAAAAAA"},
       {"", "general", "#general", "C123", "c0123456789", "U0123456789", "C01234567*", "C0123456 89"}},
      {"bucket",
       {"acme-data", "abc"},
       {"", "ab", "acme.data", "Acme", "-abc", "abc-", "a/b", "a*c", "evil.com/", std::string(64, 'a')}},
      {"prefix",
       {"reports", "reports/2026", "dt=2026-01-01/x", "a_b/c.d"},
       {"", "/", "reports/", "/reports", "a//b", "a/../b", "..", ".", "a/.", "a/*", "**", "{a}", "a b", "a%2Fb", "a?b",
        "a&b"}},
      {"host-label", {"eu-central-1", "a"}, {"", "a.b", "*", "-a", "a-", "A", "a/b", "evil.com", std::string(64, 'a')}},
      {"host-name",
       {"example.com", "a.b.c-d.org"},
       {"", "example", "*.example.com", "10.0.0.1", "::1", "Example.com", "example.com.", "example.com/x", "a..b"}},
  };
  EXPECT_EQ(std::size(cases), parameter_kinds().size());
  for (const Case& one : cases) {
    EXPECT_TRUE(kind(one.kind).check(kind(one.kind).example)) << one.kind;
    for (const std::string& value : one.good) EXPECT_TRUE(kind(one.kind).check(value)) << one.kind << " " << value;
    for (const std::string& value : one.bad) EXPECT_FALSE(kind(one.kind).check(value)) << one.kind << " " << value;
  }
}

const std::string preset = R"(version = 1
[parameters.repos]
kind = "owner/name"
help = "the repositories"
[parameters.refs]
kind = "ref-pattern"
help = "the branches"
default = ["refs/heads/agent/*"]
[parameters.region]
kind = "host-label"
help = "where"
default = "eu-1"

[[grant]]
host = "git-${region}.example.com"
[[grant.allow]]
method = "GET"
path = "/${repos}/info/refs"
[[grant.allow]]
method = "POST"
path = "/${repos}.git/git-receive-pack"
content_type = "application/x-git-receive-pack-request"
git = { refs = ["${refs}", "refs/tags/nightly"] }
[[grant.allow]]
method = "GET"
path = "/about"
)";

Result<Document> filled(const std::string& text, const std::string& with) {
  const Document document = must_load("[[grant]]\npreset = \"p\"\n" + with);
  EXPECT_EQ(document.grants.size(), 1U);
  return load_preset(text, "preset.toml", "preset p", &document.grants.at(0));
}

std::string error(const std::string& text, const std::string& with) {
  auto document = filled(text, with);
  return document ? "" : document.error().message;
}

TEST(Parameters, OneRuleForEachValue) {
  const auto document =
      filled(preset,
             "with = { repos = [\"acme/app\", \"acme/lib\"], refs = [\"refs/heads/a/*\", \"refs/heads/b\"], "
             "region = [\"x\", \"y\"] }\n");
  ASSERT_TRUE(document) << document.error().message;
  ASSERT_EQ(document->grants.size(), 2U);
  EXPECT_EQ(document->grants[0].hosts.at(0), "git-x.example.com");
  EXPECT_EQ(document->grants[1].hosts.at(0), "git-y.example.com");
  for (const Grant& grant : document->grants) {
    ASSERT_EQ(grant.allow.size(), 5U);
    EXPECT_EQ(grant.allow[0].path, "/acme/app/info/refs");
    EXPECT_EQ(grant.allow[1].path, "/acme/lib/info/refs");
    EXPECT_EQ(grant.allow[2].path, "/acme/app.git/git-receive-pack");
    EXPECT_EQ(grant.allow[3].path, "/acme/lib.git/git-receive-pack");
    EXPECT_EQ(grant.allow[2].git->refs,
              (std::vector<std::string>{"refs/heads/a/*", "refs/heads/b", "refs/tags/nightly"}));
    EXPECT_EQ(grant.allow[4].path, "/about");
  }
}

TEST(Parameters, DefaultsAndSingleValues) {
  const auto document = filled(preset, "with = { repos = \"acme/app\" }\n");
  ASSERT_TRUE(document) << document.error().message;
  EXPECT_EQ(document->grants.at(0).hosts.at(0), "git-eu-1.example.com");
  EXPECT_EQ(document->grants.at(0).allow.size(), 3U);
  EXPECT_EQ(document->grants.at(0).allow.at(1).git->refs,
            (std::vector<std::string>{"refs/heads/agent/*", "refs/tags/nightly"}));
  // By itself, for whoever reads the file: with examples.
  EXPECT_TRUE(load_document(preset, "preset.toml", "preset p", DocumentKind::preset));
}

TEST(Parameters, AListOfHostsGetsOneElementForEach) {
  const auto document = filled(
      "version = 1\n[parameters.region]\nkind = \"host-label\"\nhelp = \"x\"\n[[grant]]\nhosts = [\"a.example.com\", "
      "\"${region}.example.com\"]\n[[grant.allow]]\nmethod = \"GET\"\npath = \"/\"\n",
      "with = { region = [\"x\", \"y\"] }\n");
  ASSERT_TRUE(document) << document.error().message;
  ASSERT_EQ(document->grants.size(), 1U);
  EXPECT_EQ(document->grants[0].hosts, (std::vector<std::string>{"a.example.com", "x.example.com", "y.example.com"}));
}

// Of several in one string each combination; one that is bound outside means that value inside.
TEST(Parameters, Combinations) {
  const std::string text = R"(version = 1
[parameters.bucket]
kind = "bucket"
help = "the bucket"
[parameters.prefix]
kind = "prefix"
help = "where in it"
[[grant]]
host = "${bucket}.s3.example.com"
[[grant.allow]]
method = "GET"
path = "/${bucket}/${prefix}/*"
[[grant.allow]]
method = "GET"
path = "/"
query = ["list=2", "prefix=${prefix}/*"]
)";
  const auto document = filled(text, "[grant.with]\nbucket = [\"one\", \"two\"]\nprefix = [\"a\", \"b/c\"]\n");
  ASSERT_TRUE(document) << document.error().message;
  ASSERT_EQ(document->grants.size(), 2U);
  ASSERT_EQ(document->grants[1].allow.size(), 3U);
  EXPECT_EQ(document->grants[1].allow[0].path, "/two/a/*");
  EXPECT_EQ(document->grants[1].allow[1].path, "/two/b/c/*");
  EXPECT_EQ(document->grants[1].allow[2].query, (std::vector<std::string>{"list=2", "prefix=a/*", "prefix=b/c/*"}));
}

TEST(Parameters, WhatTheGrantSaysWrong) {
  EXPECT_EQ(error(preset, ""),
            "p.toml:2: preset \"p\" needs `repos` (the repositories): write with = { repos = [\"acme/app\"] }");
  EXPECT_EQ(error(preset, "with = { repo = [\"a/b\"] }\n"),
            "p.toml:4: preset \"p\" has no parameter `repo`; did you mean `repos`?");
  EXPECT_EQ(error(preset, "with = { xyzzy = [\"a/b\"] }\n"),
            "p.toml:4: preset \"p\" has no parameter `xyzzy`; it has: refs, region, repos");
  EXPECT_EQ(error(preset, "[grant.with]\n\nrepos = [\"a/b\", \"a/..\"]\n")
                .find("p.toml:6: `repos` of preset \"p\": \"a/..\": "),
            0U);
  EXPECT_EQ(error("version = 1\n[[grant]]\nhost = \"a.example\"\nallow = [{ method = \"GET\", path = \"/\" }]\n",
                  "with = { x = \"y\" }\n"),
            "p.toml:4: preset \"p\" has no parameter `x`; it takes none: leave `with` out");
  const auto own = [](const std::string& text) { return testing_help::error_of("[[grant]]\n" + text); };
  EXPECT_NE(own("preset = \"p\"\nwith = { repos = [] }\n").find("p.toml:4: `repos` in `with`: an empty list"),
            std::string::npos);
  EXPECT_NE(own("preset = \"p\"\nwith = { repos = 1 }\n").find("must be an array of strings"), std::string::npos);
  EXPECT_NE(own("preset = \"p\"\nwith = [\"a\"]\n").find("must be a table"), std::string::npos);
  EXPECT_NE(own("preset = \"p\"\nwit = {}\n").find("did you mean `with`?"), std::string::npos);
  EXPECT_NE(own("host = \"a.example\"\nwith = { a = \"b\" }\nallow = [{ method = \"GET\", path = \"/\" }]\n")
                .find("only a preset has parameters"),
            std::string::npos);
}

TEST(Parameters, WhatThePresetSaysWrong) {
  const std::string head = "version = 1\n[parameters.repos]\nkind = \"owner/name\"\nhelp = \"x\"\n";
  const auto with_grant = [&](const std::string& grant) {
    return error(head + "[[grant]]\nhost = \"a.example\"\n" + grant, "with = { repos = \"a/b\" }\n");
  };
  EXPECT_EQ(with_grant("allow = [{ method = \"GET\", path = \"/${repos}\" }]\n"), "");
  EXPECT_EQ(with_grant("allow = [{ method = \"GET\", path = \"/\", query = [\"scope=r:${repos}:pull\"] }]\n"), "");
  EXPECT_NE(with_grant("allow = [{ method = \"GET\", path = \"/${repo}\" }]\n")
                .find("preset.toml:7: \"/${repo}\": there is no [parameters.repo]; did you mean `repos`?"),
            std::string::npos);
  EXPECT_NE(with_grant("allow = [{ method = \"GET\", path = \"/x${\" }]\n").find("there is no [parameters.]"),
            std::string::npos);
  EXPECT_NE(with_grant("allow = [{ method = \"GET\", path = \"/\" }]\n").find("is used nowhere"), std::string::npos);
  // In places that are no values of a rule, or of another kind.
  for (const char* grant : {"port = 443\nallow = [{ method = \"${repos}\", path = \"/\" }]\n",
                            "allow = [{ method = \"GET\", path = \"/${repos}\", query = [\"${repos}\"] }]\n",
                            "allow = [{ method = \"GET\", path = \"/${repos}\", headers = [\"${repos}\"] }]\n",
                            "allow = [{ method = \"POST\", path = \"/\", max_body = 1, content_type = "
                            "\"application/json\", json = { require = { a = [\"${repos}\"] } } }]\n",
                            "allow = [{ method = \"GET\", path = \"/${repos}\", content_type = \"${repos}\" }]\n",
                            "protocol = \"${repos}\"\nallow = [{ method = \"GET\", path = \"/\" }]\n",
                            "allow = [{ method = \"POST\", path = \"/\", max_body = 1, content_type = "
                            "\"application/json\", json = { deny_keys = [\"${repos}\"] } }]\n"}) {
    EXPECT_NE(with_grant(grant).find("can't stand in"), std::string::npos) << grant << with_grant(grant);
  }
  EXPECT_NE(error("version = 1\n[parameters.x]\nkind = \"owner\"\nhelp = \"x\"\n", "").find("is no kind"),
            std::string::npos);
  EXPECT_NE(error("version = 1\n[parameters.x]\nkind = \"name\"\n", "").find("have to be there"), std::string::npos);
  EXPECT_NE(
      error("version = 1\n[parameters.x]\nkind = \"name\"\nhelp = \"x\"\ndefault = \"..\"\n", "").find("`default`"),
      std::string::npos);
  EXPECT_NE(error("version = 1\n[parameters.X]\nkind = \"name\"\nhelp = \"x\"\n", "").find("a name is a-z"),
            std::string::npos);
  EXPECT_NE(error("version = 1\n[parameters.x]\nkind = \"name\"\nhelp = \"x\\n\"\n", "").find("one line"),
            std::string::npos);
  EXPECT_NE(error("version = 1\nparameters = 1\n", "").find("must be a table"), std::string::npos);
  // A parameter is a preset's only.
  EXPECT_NE(testing_help::error_of("[parameters.x]\nkind = \"name\"\nhelp = \"x\"\n").find("unknown key `parameters`"),
            std::string::npos);
  EXPECT_NE(
      testing_help::error_of("[[grant]]\nhost = \"a.example\"\nallow = [{ method = \"GET\", path = \"/${x}\" }]\n"),
      "");
}

const std::string registry =
    "version = 1\n[parameters.packages]\nkind = \"package\"\nhelp = \"x\"\noptional = true\n[[grant]]\nhost = "
    "\"registry.example\"\n[[grant.allow]]\nmethod = \"GET\"\npath = \"/{package}\"\npackages = [\"${packages}\"]\n";

TEST(Parameters, OneThatNarrowsMayBeLeftOut) {
  const auto packages = [](const std::string& with) {
    const auto document = filled(registry, with);
    EXPECT_TRUE(document) << document.error().message;
    return document->grants.at(0).allow.at(0).packages;
  };
  EXPECT_EQ(packages(""), std::vector<std::string>{});
  EXPECT_EQ(packages("with = { packages = [\"Left-Pad\", \"@types/node\"] }\n"),
            (std::vector<std::string>{"left-pad", "@types/node"}));
  EXPECT_NE(testing_help::error_of("[[grant]]\npreset = \"p\"\nwith = { packages = [] }\n").find("an empty list"),
            std::string::npos)
      << "never any";
  EXPECT_NE(error(registry, "with = { packages = [\"*\"] }\n").find("a package is"), std::string::npos);
  std::string many;
  for (int i = 0; i < 3000; ++i) many += (i ? ", " : "") + std::string("\"p") + std::to_string(i) + "\"";
  EXPECT_EQ(packages("with = { packages = [" + many + "] }\n").size(), 3000U);
  // What opens can't be left out, nor can what has a default.
  std::string text = registry;
  text.replace(text.find("\"package\""), 9, "\"name\"");
  EXPECT_NE(error(text, "").find("only what narrows"), std::string::npos) << error(text, "");
  text = registry;
  text.replace(text.find("optional"), 8, "default = \"a\"\noptional");
  EXPECT_NE(error(text, "").find("only what narrows"), std::string::npos);
  // It stands in no other place, and its list in no rule without what it narrows.
  text = registry;
  text.replace(text.find("/{package}"), 10, "/${packages}");
  EXPECT_NE(error(text, "").find("can't stand in"), std::string::npos);
  text = registry;
  text.replace(text.find("[\"${packages}\"]"), 15, "\"${packages}\"");
  EXPECT_NE(error(text, "").find("it stands in an array"), std::string::npos) << error(text, "");
  text = registry;
  text.insert(text.find("[\"${packages}\"]") + 1, "\"left-pad\", ");
  EXPECT_NE(error(text, "").find("it stands in an array, alone"), std::string::npos) << "or left-pad would become any";
  EXPECT_EQ(filled(text, "with = { packages = \"x\" }\n")->grants.at(0).allow.at(0).packages,
            (std::vector<std::string>{"left-pad", "x"}));
  text = registry;
  text.replace(text.find("/{package}"), 10, "/{name}");
  EXPECT_NE(error(text, "with = { packages = [\"a\"] }\n").find("has to have it once"), std::string::npos);
}

TEST(Parameters, AValueIsNotLookedAtAgain) {
  const std::string text =
      "version = 1\n[parameters.a]\nkind = \"ref-pattern\"\nhelp = \"x\"\n[[grant]]\nhost = "
      "\"a.example\"\n[[grant.allow]]\nmethod = \"POST\"\n"
      "path = \"/x/git-receive-pack\"\ncontent_type = \"application/x-git-receive-pack-request\"\ngit = { refs = "
      "[\"${a}\"] }\n";
  const auto document = filled(text, "with = { a = \"refs/heads/${a}\" }\n");
  ASSERT_TRUE(document) << document.error().message;
  EXPECT_EQ(document->grants.at(0).allow.at(0).git->refs.at(0), "refs/heads/${a}");
}

TEST(Parameters, ManyCombinationsAreRefused) {
  std::string repos;
  for (int i = 0; i < 1200; ++i) repos += (i ? ", " : "") + std::string("\"a/r") + std::to_string(i) + "\"";
  EXPECT_NE(error(preset, "with = { repos = [" + repos + "] }\n").find("more than 1000 rules"), std::string::npos);
}

}  // namespace
}  // namespace bulkhead

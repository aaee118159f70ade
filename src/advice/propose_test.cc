#include "advice/propose.h"

#include "advice/advice.h"
#include "advice/lint.h"
#include "advice/test_help.h"
#include "base/text.h"

namespace bulkhead::advice {
namespace {

using testing_help::line_of;
using testing_help::place;
using testing_help::policy_of;
using testing_help::request_line;
using testing_help::source_dir;

const std::string no_body = R"("body":"none")";

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

// The proposal for those lines, known to load, to merge, and to be safe to print.
std::string proposed(const std::vector<std::string>& lines, const Known& known = {}) {
  Learner learner;
  for (const std::string& line : lines) {
    const auto event = read_event(line);
    EXPECT_TRUE(event) << line;
    if (event) learner.see(*event);
  }
  const auto text = learner.proposal("aaaaaaaaaaaa", known);
  EXPECT_TRUE(text) << (text ? "" : text.error().message);
  if (!text) return {};
  for (const std::string& line : split(*text, '\n')) {
    EXPECT_EQ(escape_for_terminal(line, line.size() + 1), line);
  }
  return *text;
}
Policy loaded(const std::string& text) {
  auto document = load_document(text, "proposal", "user");
  EXPECT_TRUE(document) << (document ? text : document.error().message);
  if (!document) return {};
  EXPECT_TRUE(expand_presets(source_dir, *document));
  auto policy = merge_layers({*document}, place);
  EXPECT_TRUE(policy) << (policy ? "" : policy.error().message);
  return policy ? *policy : Policy{};
}
Policy policy_for(const std::vector<std::string>& lines, const Known& known = {}) {
  return loaded(proposed(lines, known));
}

Known known_presets() {
  Known known;
  for (const std::string& name : preset_names(source_dir)) {
    Document document;
    document.grants.emplace_back();
    document.grants.back().preset = name;
    if (expand_presets(source_dir, document)) known.presets.emplace_back(name, document.grants);
  }
  return known;
}

std::vector<std::string> rules(const Policy& policy) {
  std::vector<std::string> out;
  for (const Grant& grant : policy.grants) {
    for (const Rule& rule : grant.allow) out.push_back(join(rule.methods, ",") + " " + grant.hosts.at(0) + rule.path);
  }
  return out;
}
using Lines = std::vector<std::string>;

TEST(Propose, OneGrantForEachPlaceOneRuleForEachFunction) {
  const Policy policy = policy_for({
      request_line({.path = "/v1/a?page=1", .allowed = true, .grant = "1", .more = no_body}),
      request_line({.path = "/v1/a?limit=2", .more = no_body}),
      request_line({.method = "HEAD", .path = "/v1/a", .more = no_body}),
      request_line({.path = "/v1/b", .more = no_body}),
      request_line({.host = "other.example", .path = "/x/", .more = no_body}),
  });
  EXPECT_EQ(rules(policy),
            (Lines{"GET,HEAD api.example.com/v1/a", "GET api.example.com/v1/b", "GET other.example/x/"}));
  EXPECT_EQ(policy.grants[0].allow[0].query, (Lines{"limit", "page"}));
  EXPECT_TRUE(policy.grants[0].allow[1].query.empty());
  EXPECT_EQ(policy.grants[0].budget.requests, 20U);
}

TEST(Propose, WhatItProposesRaisesNoWarning) {
  const Policy policy = policy_for({
      request_line({.path = "/v1/a?page=1", .more = no_body}),
      request_line({.method = "POST", .path = "/v1/a", .more = R"("body":"length","length":70000)"}),
  });
  for (const Finding& finding : lint(policy, place))
    EXPECT_EQ(finding.severity, Severity::note) << finding_line(finding);
}

TEST(Propose, MadeUpSegmentsBecomeOneOnlyWhenSeveralWereSeen) {
  const auto items = [](const Lines& ids) {
    Lines lines;
    for (const std::string& id : ids) lines.push_back(request_line({.path = "/items/" + id + "/x", .more = no_body}));
    return rules(policy_for(lines));
  };
  EXPECT_EQ(items({"1"}), Lines{"GET api.example.com/items/1/x"});
  EXPECT_EQ(items({"1", "2"}), (Lines{"GET api.example.com/items/1/x", "GET api.example.com/items/2/x"}));
  EXPECT_EQ(items({"1", "2", "3"}), Lines{"GET api.example.com/items/{id}/x"});
  // Names are names, however many.
  EXPECT_EQ(items({"a", "b", "c", "d"}).size(), 4U);
  EXPECT_EQ(items({"1", "2", "3", "me"}),
            (Lines{"GET api.example.com/items/me/x", "GET api.example.com/items/{id}/x"}));
  EXPECT_EQ(items({"0b1c2d3e-0000-4000-8000-aabbccddeeff", "1b1c2d3e-0000-4000-8000-aabbccddeeff",
                   "2b1c2d3e-0000-4000-8000-aabbccddeeff"}),
            Lines{"GET api.example.com/items/{id}/x"});
}

TEST(Propose, WhatLooksMadeUp) {
  for (const char* yes : {"0", "12345", "d41d8cd98f00b204e9800998ecf8427e", "deadbe1", "msg_01AbCdEf0123456789xy",
                          "0b1c2d3e-0000-4000-8000-aabbccddeeff"}) {
    EXPECT_TRUE(looks_made_up(yes)) << yes;
  }
  for (const char* no : {"", "v1", "messages", "deadbeef", "lodash-4.17.21.tgz", "count_tokens", "s3", "2024-report",
                         "a-name-that-is-long-but-plain"}) {
    EXPECT_FALSE(looks_made_up(no)) << no;
  }
}

TEST(Propose, HeadersThatHaveToBeListedAre) {
  const Policy policy = policy_for({request_line({.path = "/a", .more = R"("body":"none","headers":["x-app","x-b"])"}),
                                    request_line({.path = "/a", .more = R"("body":"none","headers":["x-c"])"}),
                                    request_line({.path = "/a", .more = no_body})});
  EXPECT_EQ(policy.grants.at(0).allow.at(0).headers, (Lines{"x-app", "x-b", "x-c"}));
  // Whoever asks may not choose a wildcard, or what no list lets through.
  for (const char* bad : {"x-*", "*", "authorization", "X-Upper", "x y", "x-a\\n", "accept"}) {
    const std::string text =
        proposed({request_line({.path = "/a", .more = R"("body":"none","headers":[")" + std::string(bad) + "\"]"})});
    EXPECT_TRUE(loaded(text).grants.empty()) << bad;
    EXPECT_TRUE(contains(text, "no grant can name one of its headers")) << bad;
  }
}

TEST(Propose, GrpcIsGrantedByMethod) {
  const auto call = [](const std::string& http, const std::string& path) {
    return request_line(
        {.method = "POST",
         .path = path,
         .allowed = true,
         .grant = "1",
         .more = R"("http":")" + http +
                 R"(","body":"streamed","content_type":"application/grpc+proto","headers":["grpc-timeout","x-a"])",
         .up = 9});
  };
  const Policy policy = policy_for({call("2", "/pkg.Service/Method")});
  ASSERT_EQ(policy.grants.size(), 1U);
  EXPECT_EQ(policy.grants[0].protocol, Protocol::grpc);
  EXPECT_EQ(policy.grants[0].allow.at(0).path, "/pkg.Service/Method");
  EXPECT_EQ(policy.grants[0].allow[0].headers, Lines{"x-a"});
  // Over HTTP/1.1, or at another kind of path, it is a request like any other.
  EXPECT_EQ(policy_for({call("1.1", "/pkg.Service/Method")}).grants.at(0).protocol, Protocol::https);
  EXPECT_EQ(policy_for({call("2", "/only-one")}).grants.at(0).protocol, Protocol::https);
}

TEST(Propose, WebSocketsAreGrantedAsSuch) {
  const std::string text = proposed(
      {request_line(
           {.path = "/feed?channel=a", .more = no_body + R"(,"headers":["sec-websocket-protocol"])", .scheme = "wss"}),
       request_line(
           {.path = "/feed?channel=b", .allowed = true, .grant = "1", .more = no_body, .up = 5000, .scheme = "wss"}),
       request_line({.path = "/key",
                     .rule = "foreign-credential",
                     .more = no_body + R"(,"credentials":["sec-websocket-protocol"])",
                     .scheme = "wss"}),
       request_line({.path = "/feed", .allowed = true, .grant = "1", .more = no_body})});
  EXPECT_TRUE(contains(text, "with a key in sec-websocket-protocol")) << text;
  const Policy policy = loaded(text);
  ASSERT_EQ(policy.grants.size(), 2U) << text;
  const Grant& grant = policy.grants[1];
  EXPECT_EQ(policy.grants[0].protocol, Protocol::https);
  EXPECT_EQ(grant.protocol, Protocol::wss);
  EXPECT_EQ(grant.port, 443);
  ASSERT_EQ(grant.allow.size(), 1U);
  EXPECT_EQ(grant.allow[0].path, "/feed");
  EXPECT_EQ(grant.allow[0].query, Lines{"channel"});
  EXPECT_EQ(grant.allow[0].headers, Lines{"sec-websocket-protocol"});
  EXPECT_EQ(grant.budget.bytes_up, 20'000U);
}

TEST(Propose, OpaqueConnections) {
  const auto tunnel = [](const std::string& host, int port) {
    return line_of("net.tunnel", R"("grant":"1","host":")" + host + R"(","port":)" + std::to_string(port) +
                                     R"(,"rule":"","bytes_up":200000,"bytes_down":1,"ms":5)");
  };
  const std::string text = proposed(
      {tunnel("db.example", 5432), tunnel("db.example", 5432), tunnel("10.0.0.1", 22), tunnel("x\\n[[grant]]", 22)});
  const Policy policy = loaded(text);
  ASSERT_EQ(policy.grants.size(), 1U);
  EXPECT_EQ(policy.grants[0].hosts, Lines{"db.example"});
  EXPECT_EQ(policy.grants[0].protocol, Protocol::tcp);
  EXPECT_EQ(policy.grants[0].port, 5432);
  EXPECT_EQ(policy.grants[0].budget.requests, 10U);
  EXPECT_EQ(policy.grants[0].budget.bytes_up, 2'000'000U);
  EXPECT_TRUE(contains(text, "address of the inside"));
  EXPECT_TRUE(contains(text, "Bulkhead cannot see inside"));
}

TEST(Propose, BodiesAreBounded) {
  const Policy policy = policy_for({
      request_line({.method = "POST",
                    .path = "/a",
                    .allowed = true,
                    .grant = "1",
                    .more = R"("body":"length","length":70000,"content_type":"application/json; charset=utf-8")",
                    .up = 70000}),
      request_line({.method = "POST", .path = "/b", .more = R"("body":"streamed","content_type":"text/plain")"}),
      request_line({.method = "DELETE", .path = "/c", .more = no_body}),
  });
  const auto& allow = policy.grants.at(0).allow;
  ASSERT_EQ(allow.size(), 3U);
  EXPECT_EQ(allow[0].content_type, "application/json");
  EXPECT_EQ(allow[0].max_body, 200'000U);
  EXPECT_EQ(allow[1].max_body, 1'000'000U);
  EXPECT_EQ(allow[2].max_body, 0U);
  EXPECT_EQ(policy.grants[0].budget.bytes_up, 5'000'000U);
}

TEST(Propose, WhatNoPolicyShouldGrantIsOnlyTold) {
  const auto only_told = [](const Lines& lines, const std::string& word) {
    const std::string text = proposed(lines);
    EXPECT_TRUE(contains(text, "Never granted")) << text;
    EXPECT_TRUE(contains(text, word)) << text;
    return loaded(text).grants.empty();
  };
  EXPECT_TRUE(only_told({request_line({.more = R"("body":"none","credentials":["authorization"])"})},
                        "GET api.example.com:443 with a key in authorization (1): only the session's own token"));
  EXPECT_TRUE(only_told({request_line({.rule = "foreign-credential"})}, "only the session's own token"));
  EXPECT_TRUE(only_told({request_line({.path = "/x?api_key=1", .more = no_body})}, "with a key in the query"));
  EXPECT_TRUE(only_told({request_line({.host = "169.254.169.254", .more = no_body})}, "address of the inside"));
  EXPECT_TRUE(only_told({request_line({.host = "[::1]", .more = no_body})}, "address of the inside"));
  EXPECT_TRUE(only_told({request_line({.path = "/a/../b", .rule = "non-canonical", .more = no_body, .status = 400})},
                        "means one thing"));
  EXPECT_TRUE(only_told({request_line({.path = "/a//b", .more = no_body})}, "means one thing"));
  EXPECT_TRUE(only_told({request_line({.rule = "host-mismatch", .more = no_body, .status = 421})}, "another host"));
  EXPECT_TRUE(only_told({request_line({.method = "CONNECT", .more = no_body})}, "no grant can name its method"));
  EXPECT_TRUE(only_told({request_line({.path = "/x?_method=DELETE", .more = no_body})}, "other than what was judged"));
  EXPECT_TRUE(only_told({request_line({.path = "/" + std::string(3000, 'a'), .more = no_body})}, "longer than"));
  EXPECT_TRUE(only_told({request_line({.host = "exa mple", .more = no_body})}, "no canonical name"));
  EXPECT_TRUE(
      only_told({line_of("net.refused", R"("port":22,"address":"198.18.0.1","name":"github.com","what":"SSH")")},
                "SSH to github.com:22"));
  EXPECT_TRUE(only_told({request_line({.host = "inside.example", .rule = "address", .more = no_body})},
                        "dialled only where a grant names it"));
  EXPECT_TRUE(only_told(
      {line_of(
           "session.policy",
           R"("policy":{"grants":[{"id":"1","hosts":["models.internal"],"address":"127.0.0.1","allow":["GET /x"]}]})",
           "supervisor"),
       request_line({.host = "models.internal", .path = "/x", .allowed = true, .grant = "1", .more = no_body})},
      "copy that grant"));
  // A name that led inside, by what egress found.
  EXPECT_TRUE(
      only_told({request_line({.host = "inside.example", .allowed = true, .grant = "1", .more = no_body}),
                 line_of("upstream.failure",
                         R"("grant":"1","host":"inside.example","port":443,"reason":"address","text":"x")", "egress:")},
                "its name led to an address of the inside"));
}

TEST(Propose, ACleanRequestBesideARefusedOneIsProposed) {
  const Policy policy = policy_for({request_line({.more = R"("body":"none","credentials":["cookie"])"}),
                                    request_line({.path = "/clean", .more = no_body})});
  EXPECT_EQ(rules(policy), Lines{"GET api.example.com/clean"});
}

TEST(Propose, HostileTextReachesNoToml) {
  // What a workload can put into a record: JSON escapes become the bytes they stand for.
  for (const char* bad : {R"(x\"\n[[grant]]\nhost = \"evil.example)", R"(\u001b[2J)", R"(a\u202eb)", R"(\u0000)",
                          R"(a\nb)", R"('''\"\"\")", R"(# \r\n [[grant]])", R"(\\u0022)"}) {
    for (const char* field : {"host", "path", "method", "rule", "scheme"}) {
      std::string line = request_line({.path = "/x", .more = no_body});
      const std::string head = std::string("\"") + field + "\":\"";
      line.insert(line.find(head) + head.size(), bad);
      const Policy policy = policy_for({line, request_line({.path = "/fine", .more = no_body})});
      for (const Grant& grant : policy.grants) {
        EXPECT_EQ(grant.hosts.at(0), "api.example.com") << field << " " << bad;
        for (const Rule& rule : grant.allow) {
          EXPECT_TRUE(rule.path == "/fine" || rule.path == "/x" || std::string(field) == "path") << rule.path;
        }
      }
    }
    const std::string refused =
        line_of("net.refused", std::string(R"("port":22,"name":")") + bad + R"(","what":")" + bad + "\"");
    const std::string start =
        line_of("session.start", std::string(R"("profile":")") + bad + R"(","command":[")" + bad + "\"]", "supervisor");
    EXPECT_TRUE(policy_for({start, refused}).grants.empty());
  }
  // Words of TOML and of templates that are plain text in a request.
  const Policy policy = policy_for({request_line({.path = "/a/**", .more = no_body}),
                                    request_line({.path = "/x?q%22=1", .more = no_body}),
                                    request_line({.path = "/x?*=1", .more = no_body})});
  for (const Grant& grant : policy.grants) {
    for (const Rule& rule : grant.allow) {
      EXPECT_NE(rule.path, "/a/**");
      EXPECT_NE(rule.query, Lines{"*"});
    }
  }
}

const std::string start_claude =
    line_of("session.start", R"("profile":"claude","command":["claude","-p","hello"])", "supervisor");
const std::string granted_key = line_of(
    "session.policy",
    R"("policy":{"grants":[{"id":"1","host":"api.example.com","credential":"k","allow":["GET /x"]}]})", "supervisor");
const std::string with_slot = R"("body":"none","credentials":["x-api-key"],"slot":true)";

TEST(Propose, CredentialsAreNamedWhereTheyAreDefined) {
  const Lines lines{granted_key, request_line({.path = "/x", .allowed = true, .grant = "1", .more = with_slot})};
  Known known;
  known.credentials = policy_of("[credential.k]\nsource = \"env:K\"\ncarry = { header = \"x-api-key\" }\n").credentials;
  const Policy policy = policy_for(lines, known);
  ASSERT_EQ(policy.grants.size(), 1U);
  EXPECT_EQ(policy.grants[0].credential, "k");
  EXPECT_EQ(policy.credentials.at("k").source_value, "K");
  // Nobody defines it any more: the grant is proposed without, and it is said.
  const std::string text = proposed(lines);
  EXPECT_TRUE(contains(text, "your policy does not define now"));
  EXPECT_EQ(loaded(text).grants.at(0).credential, "");
}

TEST(Propose, ACredentialsNameFromTheRecordIsNoToml) {
  const std::string hostile = line_of(
      "session.policy",
      R"("policy":{"grants":[{"id":"1","host":"h","credential":"k\"\n[[grant]]\nhost=\"evil","allow":["GET /x"]}]})",
      "supervisor");
  const Policy policy =
      policy_for({hostile, request_line({.path = "/x", .allowed = true, .grant = "1", .more = with_slot})});
  EXPECT_EQ(rules(policy), Lines{"GET api.example.com/x"});
}

TEST(Propose, WhatTheProfileAllowsIsNotRepeated) {
  Known known;
  known.profile = "claude";
  const Policy profile = testing_help::profile_policy("claude");
  known.profile_grants = profile.grants;
  known.credentials = profile.credentials;
  const std::string policy_line = line_of(
      "session.policy",
      R"("policy":{"grants":[{"id":"1","host":"api.anthropic.com","credential":"anthropic","allow":["POST /v1/messages"]}]})",
      "supervisor");
  const std::string text = proposed(
      {start_claude, policy_line,
       request_line(
           {.method = "POST",
            .host = "api.anthropic.com",
            .path = "/v1/messages?beta=true",
            .allowed = true,
            .grant = "1",
            .more =
                R"("body":"length","length":9,"content_type":"application/json","credentials":["x-api-key"],"slot":true)",
            .up = 9}),
       request_line({.host = "api.anthropic.com", .path = "/api/hello", .more = no_body})},
      known);
  EXPECT_TRUE(contains(text, "profile = \"claude\""));
  EXPECT_TRUE(contains(text, "The profile claude allows all of it."));
  EXPECT_TRUE(contains(text, "The session ran: claude -p hello (profile claude)"));
  auto document = load_document(text, "proposal", "user");
  ASSERT_TRUE(document);
  ASSERT_EQ(document->grants.size(), 1U);
  EXPECT_EQ(document->grants[0].allow.at(0).path, "/api/hello");
}

TEST(Propose, APresetWhereItJudgesBodiesOrSavesReading) {
  const Known known = known_presets();
  const std::string message = request_line({.method = "POST",
                                            .host = "api.anthropic.com",
                                            .path = "/v1/messages",
                                            .more = R"("body":"length","length":9,"content_type":"application/json")"});
  EXPECT_TRUE(contains(proposed({message}, known), "preset = \"anthropic-messages\"\n"));
  EXPECT_TRUE(contains(proposed({message}), "path = \"/v1/messages\""));

  Lines few, many;
  for (int i = 0; i < 30; ++i) {
    const std::string path =
        "/package" + std::string(1, static_cast<char>('a' + i % 26)) + std::string(1 + i / 26, 'x');
    many.push_back(request_line({.host = "registry.npmjs.org", .path = path, .more = no_body}));
  }
  few.assign(many.begin(), many.begin() + 3);
  const std::string short_one = proposed(few, known);
  EXPECT_TRUE(contains(short_one, "# Preset npm-install allows all of this, and more"));
  EXPECT_EQ(loaded(short_one).grants.at(0).allow.size(), 3U);
  const std::string long_one = proposed(many, known);
  EXPECT_TRUE(contains(long_one, "[[grant]]\npreset = \"npm-install\"\n"));
}

TEST(Propose, APresetOfSeveralHostsIsUsedOnce) {
  Lines lines;
  for (int i = 0; i < 30; ++i) {
    const std::string name = "/" + std::string(1, static_cast<char>('a' + i % 26)) + std::string(1 + i / 26, 'x');
    lines.push_back(request_line({.host = "pypi.org", .path = "/simple" + name + "/", .more = no_body}));
    lines.push_back(
        request_line({.host = "files.pythonhosted.org", .path = "/packages/ab/cd/hash" + name, .more = no_body}));
  }
  const std::string text = proposed(lines, known_presets());
  EXPECT_EQ(text.find("preset = \"pypi-install\""), text.rfind("preset = \"pypi-install\""));
  EXPECT_TRUE(contains(text, "It is used above."));
  EXPECT_EQ(loaded(text).grants.size(), 2U);
}

TEST(Propose, AFloodIsBoundedAndSaidToBe) {
  Learner learner;
  for (int host = 0; host < 300; ++host) {
    for (int i = 0; i < 100; ++i) {
      const std::string path =
          "/" + std::string(1500, static_cast<char>('a' + i % 26)) + "/p" + std::string(1 + i / 26, 'z');
      learner.see(
          *read_event(request_line({.host = "h" + std::to_string(host) + ".example", .path = path, .more = no_body})));
    }
  }
  const auto text = learner.proposal("aaaaaaaaaaaa", {});
  ASSERT_TRUE(text) << text.error().message;
  EXPECT_LT(text->size(), 256U * 1024);
  EXPECT_TRUE(contains(*text, "left out"));
  EXPECT_FALSE(loaded(*text).grants.empty());
}

TEST(Propose, NoNumberOfIdsIsTooMany) {
  Learner learner;
  for (int i = 0; i < 30'000; ++i) {
    learner.see(*read_event(request_line({.path = "/items/" + std::to_string(i) + "/x", .more = no_body})));
  }
  const auto text = learner.proposal("aaaaaaaaaaaa", {});
  ASSERT_TRUE(text) << text.error().message;
  EXPECT_FALSE(contains(*text, "left out"));
  EXPECT_TRUE(contains(*text, "# asked 30000 times, always denied"));
  EXPECT_EQ(rules(loaded(*text)), Lines{"GET api.example.com/items/{id}/x"});
}

TEST(Propose, DeniedPlacesStandApart) {
  const std::string text =
      proposed({request_line({.host = "a-denied.example", .more = no_body}),
                request_line({.host = "used.example", .allowed = true, .grant = "1", .more = no_body})});
  const auto at = [&](const std::string& part) { return text.find(part); };
  EXPECT_LT(at("https://used.example"), at("All of what follows was denied"));
  EXPECT_LT(at("All of what follows was denied"), at("https://a-denied.example"));
}

TEST(Propose, AnEmptySessionAsksForNothing) {
  const std::string text = proposed({});
  EXPECT_TRUE(contains(text, "asked for nothing"));
  EXPECT_TRUE(loaded(text).grants.empty());
}

TEST(Propose, TheStartingPolicyLoadsCommentedAndUncommented) {
  EXPECT_TRUE(loaded(starting_policy()).grants.empty());
  std::string uncommented;
  for (const std::string& line : split(starting_policy(), '\n')) {
    // Its keys are written `# key = …` and `# [table]`; its prose is not.
    const bool toml =
        line.starts_with("# [") || (line.starts_with("# ") && contains(line, " = ") && !contains(line, "`"));
    uncommented += (toml ? line.substr(2) : line) + "\n";
  }
  const Policy policy = loaded(uncommented);
  EXPECT_GE(policy.grants.size(), 2U);
  EXPECT_EQ(policy.credentials.size(), 1U);
}

}  // namespace
}  // namespace bulkhead::advice

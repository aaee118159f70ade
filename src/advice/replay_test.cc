#include "advice/replay.h"

#include <nlohmann/json.hpp>

#include "advice/test_help.h"
#include "base/text.h"
#include "policy/json.h"

namespace bulkhead::advice {
namespace {

using testing_help::Asked;
using testing_help::line_of;
using testing_help::policy_of;
using testing_help::request_line;

const std::string key = "[credential.k]\nsource = \"env:K\"\ncarry = { header = \"x-api-key\" }\n";
const std::string get_v1 =
    "[[grant]]\nhost = \"api.example.com\"\n[[grant.allow]]\nmethod = \"GET\"\npath = \"/v1/{id}\"\nquery = "
    "[\"page\"]\n";
const std::string no_body = R"("body":"none")";

// session.policy as the supervisor would record `policy`.
std::string policy_line(const Policy& policy) {
  nlohmann::json grants = nlohmann::json::array();
  for (const Grant& grant : policy.grants) {
    nlohmann::json rules = nlohmann::json::array(), prints = nlohmann::json::array();
    for (const Rule& rule : grant.allow) {
      rules.push_back(join(rule.methods, ",") + " " + rule.path);
      prints.push_back(fingerprint(rule));
    }
    grants.push_back({{"id", grant.id},
                      {"hosts", grant.hosts},
                      {"credential", grant.credential},
                      {"allow", rules},
                      {"fingerprints", prints},
                      {"fingerprint", fingerprint(grant)}});
  }
  const nlohmann::json fields{{"policy", {{"grants", grants}}}};
  const std::string text = fields.dump();
  return line_of("session.policy", text.substr(1, text.size() - 2), "supervisor");
}

Change judged(const Policy& now, const Asked& asked, const Policy* before = nullptr) {
  Replay replay;
  replay.begin("aaaaaaaaaaaa");
  replay.judge_by(now);
  if (before != nullptr) replay.see(*read_event(policy_line(*before)));
  const auto event = read_event(request_line(asked));
  EXPECT_TRUE(event);
  if (event) replay.see(*event);
  EXPECT_EQ(replay.requests(), 1U);
  for (const Change change :
       {Change::same_allowed, Change::same_denied, Change::blocked, Change::opened, Change::unknown}) {
    if (replay.count(change) == 1) return change;
  }
  return Change::unknown;
}
Change judged(const std::string& now, const Asked& asked) {
  return judged(policy_of(now), asked);
}

TEST(Replay, HeadsAreJudgedAgain) {
  const Asked was_allowed{.path = "/v1/7?page=2", .allowed = true, .grant = "1", .more = no_body};
  const Asked was_denied{.path = "/v1/7?page=2", .more = no_body};
  EXPECT_EQ(judged(get_v1, was_allowed), Change::same_allowed);
  EXPECT_EQ(judged(get_v1, was_denied), Change::opened);
  EXPECT_EQ(judged("", was_allowed), Change::blocked);
  EXPECT_EQ(judged("", was_denied), Change::same_denied);
  EXPECT_EQ(judged(get_v1, {.path = "/v2/7", .allowed = true, .grant = "1", .more = no_body}), Change::blocked);
  EXPECT_EQ(judged(get_v1, {.path = "/v1/7?limit=2", .allowed = true, .grant = "1", .more = no_body}), Change::blocked);
  EXPECT_EQ(judged(get_v1, {.method = "DELETE", .path = "/v1/7", .allowed = true, .grant = "1", .more = no_body}),
            Change::blocked);
  EXPECT_EQ(
      judged(get_v1, {.host = "other.example.com", .path = "/v1/7", .allowed = true, .grant = "1", .more = no_body}),
      Change::blocked);
}

TEST(Replay, WebSocketsAreJudgedAsWhatTheyAre) {
  const std::string wss =
      "[[grant]]\nhost = \"api.example.com\"\nprotocol = \"wss\"\n[[grant.allow]]\npath = \"/feed\"\n"
      "headers = [\"sec-websocket-protocol\"]\n";
  const Asked opened{
      .path = "/feed", .allowed = true, .grant = "1", .more = no_body, .status = 101, .up = 500, .scheme = "wss"};
  const Asked refused{.path = "/feed", .more = no_body, .scheme = "wss"};
  EXPECT_EQ(judged(wss, opened), Change::same_allowed);
  EXPECT_EQ(judged(wss, refused), Change::opened);
  EXPECT_EQ(judged(get_v1, opened), Change::blocked);
  EXPECT_EQ(judged(wss, {.path = "/feed", .allowed = true, .grant = "1", .more = no_body}), Change::blocked);
  EXPECT_EQ(judged(wss, {.path = "/feed", .more = no_body, .scheme = "ws"}), Change::same_denied);
  const Asked chat{.path = "/feed", .more = no_body + R"(,"headers":["sec-websocket-protocol"])", .scheme = "wss"};
  EXPECT_EQ(judged(wss, chat), Change::opened);
  const Asked with_key{.path = "/feed",
                       .rule = "foreign-credential",
                       .more = no_body + R"(,"credentials":["sec-websocket-protocol"])",
                       .scheme = "wss"};
  EXPECT_EQ(judged(wss, with_key), Change::same_denied);
}

TEST(Replay, WhatNoPolicyAllowsStaysDenied) {
  for (const char* rule : {"host-mismatch", "override", "non-canonical", "carrier", "address"}) {
    EXPECT_EQ(judged(get_v1, {.path = "/v1/7", .rule = rule, .more = no_body}), Change::same_denied) << rule;
  }
  EXPECT_EQ(judged(get_v1, {.path = "/v1/7", .rule = "foreign-credential", .more = no_body, .status = 400}),
            Change::same_denied);
  Replay replay;
  const Policy policy = policy_of(get_v1);
  replay.begin("aaaaaaaaaaaa");
  replay.judge_by(policy);
  replay.see(*read_event(
      line_of("http.request", R"("host":"api.example.com","port":443,"decision":"deny","rule":"gate","status":400)")));
  EXPECT_EQ(replay.count(Change::same_denied), 1U);
}

TEST(Replay, ANameThatLedInsideOnlyWhereAGrantSaysSo) {
  const Asked inside{.host = "models.internal", .path = "/v1/7", .rule = "address", .grant = "1", .more = no_body};
  const std::string rest = "[[grant.allow]]\nmethod = \"GET\"\npath = \"/v1/{id}\"\n";
  EXPECT_EQ(judged("[[grant]]\nhost = \"models.internal\"\n" + rest, inside), Change::same_denied);
  EXPECT_EQ(judged("[[grant]]\nhost = \"models.internal\"\naddress = \"10.0.0.1\"\n" + rest, inside), Change::opened);
}

TEST(Replay, ADenialForAnUnknownReasonIsNotTurnedIntoPermission) {
  EXPECT_EQ(judged(get_v1, {.path = "/v1/7", .rule = "something-new", .more = no_body}), Change::unknown);
  EXPECT_EQ(judged("", {.path = "/v1/7", .rule = "something-new", .more = no_body}), Change::same_denied);
}

const std::string post = "[[grant]]\nhost = \"api.example.com\"\n[[grant.allow]]\nmethod = \"POST\"\npath = \"/x\"\n";

TEST(Replay, TypesAndSizesOfBodies) {
  const std::string limited = post + "content_type = \"application/json\"\nmax_body = 100\n";
  const auto body = [](int length, const std::string& type) {
    return R"("body":"length","length":)" + std::to_string(length) + R"(,"content_type":")" + type + "\"";
  };
  const auto sent = [&](int length, const std::string& type) {
    return Asked{.method = "POST",
                 .path = "/x",
                 .allowed = true,
                 .grant = "1",
                 .more = body(length, type),
                 .up = static_cast<std::uint64_t>(length)};
  };
  EXPECT_EQ(judged(limited, sent(100, "application/json; charset=utf-8")), Change::same_allowed);
  EXPECT_EQ(judged(limited, sent(101, "application/json")), Change::blocked);
  EXPECT_EQ(judged(limited, sent(10, "text/plain")), Change::blocked);
  EXPECT_EQ(judged(limited, {.method = "POST", .path = "/x", .more = body(10, "application/json")}), Change::opened);
  EXPECT_EQ(judged(limited, {.method = "POST", .path = "/x", .more = body(1000, "application/json")}),
            Change::same_denied);
  // A body that was streamed: only when it was let through is it known how large it was.
  const std::string streamed = R"("body":"streamed","content_type":"application/json")";
  EXPECT_EQ(
      judged(limited, {.method = "POST", .path = "/x", .allowed = true, .grant = "1", .more = streamed, .up = 99}),
      Change::same_allowed);
  EXPECT_EQ(
      judged(limited, {.method = "POST", .path = "/x", .allowed = true, .grant = "1", .more = streamed, .up = 200}),
      Change::blocked);
  EXPECT_EQ(judged(limited, {.method = "POST", .path = "/x", .more = streamed}), Change::unknown);
}

TEST(Replay, OlderEvidenceIsJudgedAsFarAsItGoes) {
  const std::string limited = post + "content_type = \"application/json\"\nmax_body = 100\n";
  // Which headers a request had is not on record there.
  EXPECT_EQ(judged(post, {.method = "POST", .path = "/x", .allowed = true, .grant = "1", .up = 9}), Change::unknown);
  EXPECT_EQ(
      judged(post + "headers = [\"*\"]\n", {.method = "POST", .path = "/x", .allowed = true, .grant = "1", .up = 9}),
      Change::same_allowed);
  EXPECT_EQ(judged(limited, {.method = "POST", .path = "/x", .allowed = true, .grant = "1", .up = 9}), Change::unknown);
  EXPECT_EQ(judged(limited, {.method = "POST", .path = "/y", .allowed = true, .grant = "1", .up = 9}), Change::blocked);
  const Policy same = policy_of(limited);
  EXPECT_EQ(judged(same, {.method = "POST", .path = "/x", .allowed = true, .grant = "1", .up = 9}, &same),
            Change::same_allowed);
}

TEST(Replay, WhatABodySaysCannotBeJudgedAgain) {
  const std::string judges =
      post + "content_type = \"application/json\"\nmax_body = 100\njson = { deny_keys = [\"tools\"] }\n";
  const std::string more = R"("body":"length","length":9,"content_type":"application/json")";
  const Asked asked{.method = "POST", .path = "/x", .allowed = true, .grant = "1", .more = more, .up = 9};
  const Asked refused{.method = "POST", .path = "/x", .rule = "json", .grant = "1", .more = more};
  EXPECT_EQ(judged(judges, asked), Change::unknown);
  // The same rule would say the same again.
  const Policy same = policy_of(judges);
  EXPECT_EQ(judged(same, asked, &same), Change::same_allowed);
  EXPECT_EQ(judged(same, refused, &same), Change::same_denied);
  const Policy other =
      policy_of(post + "content_type = \"application/json\"\nmax_body = 100\njson = { deny_keys = [\"others\"] }\n");
  EXPECT_EQ(judged(same, asked, &other), Change::unknown);
  EXPECT_EQ(judged(same, refused, &other), Change::unknown);
  // Without that rule it is clear that it would pass, but not what else it would have met.
  EXPECT_EQ(judged(policy_of(post), refused, &same), Change::unknown);
}

TEST(Replay, Credentials) {
  const std::string with_key = key +
                               "[[grant]]\nhost = \"api.example.com\"\ncredential = \"k\"\n"
                               "[[grant.allow]]\nmethod = \"GET\"\npath = \"/x\"\n";
  const std::string without =
      "[[grant]]\nhost = \"api.example.com\"\n[[grant.allow]]\nmethod = \"GET\"\npath = \"/x\"\n";
  const Policy before = policy_of(with_key);
  const Asked used{
      .path = "/x", .allowed = true, .grant = "1", .more = R"("body":"none","credentials":["x-api-key"],"slot":true)"};
  EXPECT_EQ(judged(before, used, &before), Change::same_allowed);
  EXPECT_EQ(judged(policy_of(without), used, &before), Change::blocked);
  // The slot moved: the workload would have found its token all the same, but would it have put it there?
  const std::string moved =
      "[credential.k]\nsource = \"env:K\"\ncarry = { bearer = true }\n" + with_key.substr(key.size());
  EXPECT_EQ(judged(policy_of(moved), used, &before), Change::blocked);
  // Another credential in the same place: the workload might have held its token.
  std::string renamed = with_key;
  for (std::size_t at = renamed.find("credential.k"); at != std::string::npos;) {
    renamed.replace(at, 12, "credential.n");
    break;
  }
  renamed.replace(renamed.find("credential = \"k\""), 16, "credential = \"n\"");
  EXPECT_EQ(judged(policy_of(renamed), used, &before), Change::unknown);
  // A key of the workload's own stays one.
  const Asked own{
      .path = "/x", .rule = "foreign-credential", .more = R"("body":"none","credentials":["authorization"])"};
  EXPECT_EQ(judged(before, own, &before), Change::same_denied);
  EXPECT_EQ(judged(policy_of(without), own), Change::same_denied);
  const Asked in_slot{
      .path = "/x", .rule = "foreign-credential", .more = R"("body":"none","credentials":["x-api-key"])"};
  EXPECT_EQ(judged(before, in_slot), Change::unknown);
}

TEST(Replay, SignaturesThatWereRightStayRight) {
  const Policy policy = policy_of(
      "[credential.k]\nsource = \"env:K\"\nexpose = { env = \"A\", secret_env = \"B\" }\n"
      "carry = { sigv4 = { region = \"eu-west-1\", service = \"s3\" } }\n"
      "[[grant]]\nhost = \"mine.s3.eu-west-1.amazonaws.com\"\ncredential = \"k\"\n"
      "[[grant.allow]]\nmethod = \"GET\"\npath = \"/x\"\n");
  Asked used{
      .host = "mine.s3.eu-west-1.amazonaws.com",
      .path = "/x",
      .allowed = true,
      .grant = "1",
      .more =
          R"("body":"none","credentials":["authorization"],"slot":true,"headers":["x-amz-date","x-amz-content-sha256"])"};
  EXPECT_EQ(judged(policy, used, &policy), Change::same_allowed);
  used.more = R"("body":"none","credentials":["authorization"],"slot":true,"headers":["x-amz-date","x-other"])";
  EXPECT_EQ(judged(policy, used, &policy), Change::blocked);
}

TEST(Replay, BasicAndBearerSlots) {
  for (const char* carry : {"{ bearer = true }", "{ basic = \"me\" }"}) {
    const Policy policy = policy_of("[credential.k]\nsource = \"env:K\"\ncarry = " + std::string(carry) +
                                    "\n[[grant]]\nhost = \"api.example.com\"\ncredential = \"k\"\n"
                                    "[[grant.allow]]\nmethod = \"GET\"\npath = \"/x\"\n");
    const Asked used{.path = "/x",
                     .allowed = true,
                     .grant = "1",
                     .more = R"("body":"none","credentials":["authorization"],"slot":true)"};
    EXPECT_EQ(judged(policy, used, &policy), Change::same_allowed) << carry;
  }
}

TEST(Replay, BudgetsByTheRecordsOwnTimes) {
  const Policy few = policy_of(get_v1 + "[grant.budget]\nrequests = 3\n");
  Replay replay;
  replay.begin("aaaaaaaaaaaa");
  replay.judge_by(few);
  const auto event = *read_event(request_line({.path = "/v1/7", .allowed = true, .grant = "1", .more = no_body}));
  for (int i = 0; i < 5; ++i) replay.see(event);
  EXPECT_EQ(replay.count(Change::same_allowed), 3U);
  EXPECT_EQ(replay.count(Change::unknown), 2U);
  EXPECT_FALSE(replay.differs());
  replay.begin("bbbbbbbbbbbb");
  replay.judge_by(few);  // another session has its own
  replay.see(event);
  EXPECT_EQ(replay.count(Change::same_allowed), 4U);
  // The very grant that was in force says what it said.
  Replay same;
  same.begin("aaaaaaaaaaaa");
  same.judge_by(few);
  same.see(*read_event(policy_line(few)));
  for (int i = 0; i < 5; ++i) same.see(event);
  EXPECT_EQ(same.count(Change::same_allowed), 5U);
  const Asked over{.path = "/v1/7", .rule = "budget", .grant = "1", .more = no_body, .status = 429};
  EXPECT_EQ(judged(few, over, &few), Change::same_denied);
  const Policy many = policy_of(get_v1);
  EXPECT_EQ(judged(many, over, &few), Change::unknown);
}

TEST(Replay, HeadersThatHaveToBeListed) {
  const std::string listed = get_v1 + "headers = [\"x-app-*\"]\n";
  const auto with = [](const std::string& more) {
    return Asked{.path = "/v1/7", .allowed = true, .grant = "1", .more = R"("body":"none","headers":)" + more};
  };
  EXPECT_EQ(judged(listed, with(R"(["x-app-version"])")), Change::same_allowed);
  EXPECT_EQ(judged(listed, with(R"(["x-app-version","x-other"])")), Change::blocked);
  EXPECT_EQ(judged(get_v1, with(R"(["x-app-version"])")), Change::blocked);
  EXPECT_EQ(judged(listed, with(R"(["x-app-version"],"headers_cut":true)")), Change::unknown);
  EXPECT_EQ(judged(get_v1 + "headers = [\"*\"]\n", with(R"(["x-app-version"],"headers_cut":true)")),
            Change::same_allowed);
  EXPECT_EQ(judged(listed, {.path = "/v1/7", .rule = "header", .more = R"("body":"none","headers":["x-app-a"])"}),
            Change::opened);
}

TEST(Replay, ExpiryAndNamesByTheRecord) {
  const auto start = [](const std::string& time) {
    std::string line = line_of("session.start", R"("profile":"","command":[])", "supervisor");
    return line.replace(line.find("2026-01-02T03:04:05"), 19, time);
  };
  const auto count = [&](const Policy& policy, const std::string& began, const std::vector<Asked>& all, Change change) {
    Replay replay;
    replay.begin("aaaaaaaaaaaa");
    replay.see(*read_event(start(began)));
    replay.judge_by(policy);
    for (const Asked& asked : all) replay.see(*read_event(request_line(asked)));
    return replay.count(change);
  };
  const std::string head = "[[grant]]\nhost = \"*.example.com\"\nlabels = 2\nexpires = \"1h\"\n";
  const Policy policy = policy_of(head + "[[grant.allow]]\nmethod = \"GET\"\npath = \"/\"\n");
  const auto asked = [](const std::string& host) {
    return Asked{.host = host + ".example.com", .allowed = true, .grant = "1", .more = no_body};
  };
  EXPECT_EQ(count(policy, "2026-01-02T02:04:06", {asked("a")}, Change::same_allowed), 1U);
  EXPECT_EQ(count(policy, "2026-01-02T02:04:04", {asked("a")}, Change::unknown), 1U);
  EXPECT_EQ(count(policy, "2026-01-02T03:00:00", {asked("a"), asked("b"), asked("a"), asked("c")}, Change::unknown),
            1U);
  EXPECT_EQ(count(policy, "2026-01-02T03:00:00", {asked("a"), asked("b"), asked("a")}, Change::unknown), 0U);
}

TEST(Replay, OpaqueConnections) {
  const Policy tcp = policy_of("[[grant]]\nhost = \"db.example\"\nport = 22\nprotocol = \"tcp\"\n"),
               none = policy_of("");
  const auto change = [](const Policy& policy, const std::string& line) {
    Replay replay;
    replay.begin("aaaaaaaaaaaa");
    replay.judge_by(policy);
    replay.see(*read_event(line));
    EXPECT_EQ(replay.requests(), 1U);
    for (const Change one : {Change::same_allowed, Change::same_denied, Change::blocked, Change::opened}) {
      if (replay.count(one) == 1) return one;
    }
    return Change::unknown;
  };
  const std::string tunnel =
      line_of("net.tunnel", R"("grant":"1","host":"db.example","port":22,"rule":"","bytes_up":1,"bytes_down":1)");
  const std::string refused =
      line_of("net.refused", R"("port":22,"address":"198.18.0.9","name":"db.example","what":"SSH")");
  EXPECT_EQ(change(tcp, tunnel), Change::same_allowed);
  EXPECT_EQ(change(none, tunnel), Change::blocked);
  EXPECT_EQ(change(tcp, refused), Change::opened);
  EXPECT_EQ(change(none, refused), Change::same_denied);
}

TEST(Replay, ACutPathSaysNothingCertain) {
  const std::string open = "[[grant]]\nhost = \"api.example.com\"\n[[grant.allow]]\nmethod = \"GET\"\npath = \"/**\"\n";
  const Asked asked{.path = "/" + std::string(2047, 'a'), .more = no_body};
  EXPECT_EQ(judged(open, asked), Change::unknown);
  EXPECT_EQ(judged("", asked), Change::same_denied);
}

TEST(Replay, KindsAreCountedAndBounded) {
  const Policy none = policy_of("");
  Replay replay;
  replay.begin("aaaaaaaaaaaa");
  replay.judge_by(none);
  for (int i = 0; i < 5000; ++i) {
    const std::string path = i < 100 ? "/often" : "/v1/" + std::to_string(i);
    replay.see(*read_event(request_line({.path = path, .allowed = true, .grant = "1", .more = no_body})));
  }
  EXPECT_EQ(replay.count(Change::blocked), 5000U);
  const auto kinds = replay.kinds(10);
  ASSERT_EQ(kinds.size(), 2U);  // paths that differ in numbers only are one kind
  EXPECT_EQ(kinds[0].count, 4900U);
  EXPECT_EQ(kinds[0].what, "GET https://api.example.com/v1/100");
  EXPECT_TRUE(kinds[0].alike);
  EXPECT_EQ(kinds[1].count, 100U);
  EXPECT_EQ(kinds[1].what, "GET https://api.example.com/often");
  EXPECT_EQ(kinds[1].reason, "no-grant");
  EXPECT_FALSE(kinds[1].alike);
  EXPECT_TRUE(replay.differs());
}

TEST(Replay, MoreKindsThanCanBeListedAreCounted) {
  const Policy none = policy_of("");
  Replay replay;
  replay.begin("aaaaaaaaaaaa");
  replay.judge_by(none);
  const auto word = [](int i) {
    std::string out;
    for (; i > 0; i /= 26) out += static_cast<char>('a' + i % 26);
    return out;
  };
  for (int i = 0; i < 5000; ++i) {
    replay.see(*read_event(request_line({.path = "/" + word(i), .allowed = true, .grant = "1", .more = no_body})));
  }
  EXPECT_EQ(replay.count(Change::blocked), 5000U);
  EXPECT_EQ(replay.unlisted(), 3000U);
}

}  // namespace
}  // namespace bulkhead::advice

#include "advice/explain.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "advice/test_help.h"
#include "base/text.h"

namespace bulkhead::advice {
namespace {

using testing_help::policy_of;
using testing_help::profile_policy;

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

std::vector<std::string> codes(const ExplainedGrant& grant) {
  std::vector<std::string> out;
  for (const Remaining& remains : grant.remains) out.push_back(remains.code);
  return out;
}
bool has(const std::vector<std::string>& words, const std::string& word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

ExplainedGrant one(const std::string& body) {
  const Explanation all = explain(policy_of(body));
  EXPECT_EQ(all.grants.size(), 1U);
  return all.grants.empty() ? ExplainedGrant{} : all.grants[0];
}

TEST(Explain, SaysWhatAFunctionDoes) {
  const auto does = [](const std::string& rule) {
    return one("[[grant]]\nhost = \"example.com\"\n[[grant.allow]]\n" + rule).functions.at(0).does;
  };
  EXPECT_EQ(does("method = \"GET\"\npath = \"/\""), "read");
  EXPECT_EQ(does("method = [\"GET\", \"HEAD\"]\npath = \"/a/**\""), "read, ask about; everything below /a/");
  EXPECT_EQ(does("method = \"POST\"\npath = \"/x\"\ncontent_type = \"application/json\"\nmax_body = \"32MB\""),
            "send JSON up to 32 MB");
  EXPECT_EQ(does("method = \"PUT\"\npath = \"/x/{id}\"\nquery = [\"a\", \"b\"]"),
            "write, with a body of any type of any size; any {id}; query keys: a, b");
  EXPECT_EQ(does("method = \"GET\"\npath = \"/x\"\nquery = [\"*\"]"), "read; any query");
  EXPECT_EQ(does("method = \"GET\"\npath = \"/{package}/{version}\"\npackages = [\"a\", \"@b/c\"]"),
            "read; any {version}; {package} only a, @b/c");
}

TEST(Explain, AWebSocketInWords) {
  const ExplainedGrant grant =
      one("[[grant]]\nhost = \"feed.example.com\"\nprotocol = \"wss\"\n[[grant.allow]]\npath = \"/v1/{id}\"\n"
          "max_body = \"64KB\"\n[grant.response]\nmax_body = \"1MB\"\n[grant.budget]\nrequests = 3\n");
  EXPECT_EQ(grant.where, std::vector<std::string>{"wss://feed.example.com"});
  EXPECT_EQ(grant.functions.at(0).does,
            "open a WebSocket, and send and get messages in it, each of at most 64 KB up; any {id}");
  EXPECT_EQ(grant.budget, "3 connections a session");
  EXPECT_EQ(grant.answers, "messages of up to 1 MB");
  EXPECT_TRUE(has(codes(grant), "messages"));
  EXPECT_TRUE(has(codes(grant), "body-to-host"));
  EXPECT_FALSE(has(codes(grant), "plain"));
  const ExplainedGrant plain =
      one("[[grant]]\nhost = \"feed.example.com\"\nprotocol = \"ws\"\n[[grant.allow]]\npath = \"/\"\n");
  EXPECT_EQ(plain.where, std::vector<std::string>{"ws://feed.example.com"});
  EXPECT_TRUE(has(codes(plain), "plain"));
}

TEST(Explain, TheClaudeProfileInWords) {
  const Explanation all = explain(profile_policy("claude"));
  ASSERT_EQ(all.grants.size(), 3U);
  EXPECT_EQ(all.grants[0].credential, "claude-login");
  EXPECT_EQ(all.grants[1].where, std::vector<std::string>{"https://platform.claude.com"});
  const ExplainedGrant& grant = all.grants[2];
  EXPECT_EQ(grant.where, std::vector<std::string>{"https://api.anthropic.com"});
  EXPECT_EQ(grant.preset, "anthropic-messages");
  EXPECT_EQ(grant.functions.at(0).call, "POST /v1/messages");
  EXPECT_TRUE(contains(grant.functions[0].does, "send JSON up to 32 MB; query keys: beta; headers: anthropic-*"));
  EXPECT_TRUE(contains(grant.functions[0].does, "; nothing at mcp_servers, container"));
  EXPECT_TRUE(contains(grant.functions[0].does, "tools.*.type only custom"));
  EXPECT_EQ(grant.functions[0].origin.layer, "preset anthropic-messages");
  EXPECT_GT(grant.functions[0].origin.line, 0);
  EXPECT_TRUE(contains(grant.slot, "the variable ANTHROPIC_API_KEY"));
  EXPECT_TRUE(contains(grant.slot, "only in the header x-api-key"));
  EXPECT_EQ(grant.budget, "4 GB up a session; 300 requests a minute");
  EXPECT_TRUE(has(codes(grant), "body-to-account"));
  EXPECT_FALSE(has(codes(grant), "unjudged-body"));
}

TEST(Explain, WhatRemainsIsSaidWhereItDoes) {
  const std::string head = "[[grant]]\nhost = \"";
  const auto remains = [&](const std::string& host, const std::string& rule) {
    return codes(one(head + host + "\"\n" + rule));
  };
  const std::string get = "[[grant.allow]]\nmethod = \"GET\"\npath = \"/x\"\n";
  const std::string bounded = "[grant.budget]\nrequests = 5\n";
  EXPECT_EQ(remains("example.com", get + bounded), (std::vector<std::string>{"answers", "timing"}));
  EXPECT_TRUE(has(remains("example.com", get), "unbounded"));
  EXPECT_TRUE(has(remains("*.example.com", get), "labels"));
  EXPECT_TRUE(has(remains("example.com", "protocol = \"http\"\n" + get), "plain"));
  EXPECT_TRUE(has(remains("github.com", "[[grant.allow]]\nmethod = \"GET\"\npath = \"/{owner}/x\"\n"), "shared"));
  EXPECT_FALSE(has(remains("github.com", "[[grant.allow]]\nmethod = \"GET\"\npath = \"/me/x\"\n"), "shared"));
  EXPECT_TRUE(has(remains("example.com", "[[grant.allow]]\nmethod = \"GET\"\npath = \"/{id}\"\n"), "names"));
  EXPECT_TRUE(has(remains("example.com", get + "query = [\"url\"]\n"), "fetch"));
  EXPECT_TRUE(has(remains("pastebin.com", get), "drop"));
  const auto post = remains("example.com", "[[grant.allow]]\nmethod = \"POST\"\npath = \"/x\"\n");
  EXPECT_TRUE(has(post, "body-to-host"));
  EXPECT_TRUE(has(post, "unjudged-body"));
  EXPECT_FALSE(has(post, "body-to-account"));
}

TEST(Explain, WhatBeyondRulesBoundsAGrant) {
  const ExplainedGrant grant =
      one("[[grant]]\nhosts = [\"a.example\", \"*.b.example\"]\nlabels = 3\nexpires = \"2h\"\nport = 8443\n"
          "[[grant.allow]]\nmethod = \"GET\"\npath = \"/\"\nheaders = [\"x-a-*\", \"x-b\"]\n"
          "[grant.budget]\nrequests = 5\nbytes_up_per_minute = \"1MB\"\n"
          "[grant.response]\nmax_body = \"2MB\"\ncontent_type = [\"application/json\"]\nredact = [\"**.email\"]\n");
  EXPECT_EQ(grant.where, (std::vector<std::string>{"https://a.example:8443", "https://*.b.example:8443"}));
  EXPECT_EQ(grant.functions.at(0).does, "read; headers: x-a-*, x-b");
  EXPECT_EQ(grant.budget, "5 requests a session; 1 MB up a minute; ends 2h after the session's start");
  EXPECT_EQ(grant.answers,
            "up to 2 MB; only application/json; held until they are whole; without the values at **.email");
  EXPECT_TRUE(has(codes(grant), "labels"));

  const ExplainedGrant issuing =
      one("[credential.c]\nsource = \"answer\"\ncarry = { bearer = true }\n"
          "[[grant]]\nhost = \"a.example\"\ncredential = \"c\"\n[[grant.allow]]\nmethod = \"GET\"\npath = \"/\"\n"
          "[grant.response]\nmax_body = \"2MB\"\nissue = [\"token\"]\nfollow = [\"cdn.example\"]\n");
  EXPECT_EQ(issuing.slot,
            "handed out by servers while the session runs; the values stay in the gateway, and the workload gets a "
            "numbered token for each, exchanged only in Authorization: Bearer");
  EXPECT_EQ(issuing.answers,
            "up to 2 MB; held until they are whole; with tokens in place of what is handed out at token; redirects "
            "followed by the gateway to cdn.example");
  EXPECT_TRUE(contains(explanation_text(explain(policy_of("")), 80), "No host"));
}

TEST(Explain, GrpcAndNamedAddresses) {
  const ExplainedGrant grant =
      one("[[grant]]\nhost = \"models.internal\"\naddress = \"127.0.0.1\"\nprotocol = \"grpc\"\n"
          "[[grant.allow]]\npath = \"/a.B/C\"\nmax_body = \"1MB\"\nheaders = [\"x-a\"]\n");
  EXPECT_EQ(grant.where, std::vector<std::string>{"grpc://models.internal at 127.0.0.1"});
  EXPECT_EQ(grant.functions.at(0).call, "POST /a.B/C");
  EXPECT_EQ(grant.functions.at(0).does, "call it, each message stream up to 1 MB; metadata: x-a");
}

TEST(Explain, OpaqueConnectionsAreSaidToBe) {
  const ExplainedGrant grant = one("[[grant]]\nhost = \"db.example\"\nport = 5432\nprotocol = \"tcp\"\n");
  EXPECT_EQ(grant.where, std::vector<std::string>{"tcp://db.example:5432"});
  EXPECT_EQ(grant.functions.at(0).does, "Bulkhead cannot see inside this");
  EXPECT_TRUE(has(codes(grant), "opaque"));
  EXPECT_TRUE(has(codes(grant), "unbounded"));
  EXPECT_FALSE(has(codes(grant), "body-to-host"));
}

TEST(Explain, SlotsOfEveryKind) {
  const std::string rest =
      "[[grant]]\nhost = \"example.com\"\ncredential = \"k\"\n[[grant.allow]]\nmethod = \"GET\"\npath = \"/\"\n";
  const auto slot = [&](const std::string& source, const std::string& carry) {
    return one("[credential.k]\nsource = \"" + source + "\"\ncarry = " + carry + "\noptional = true\n" + rest).slot;
  };
  EXPECT_EQ(slot("file:~/k", "{ bearer = true }"),
            "read on the host from the file ~/k; no variable of the workload's holds a token for it, exchanged only in "
            "Authorization: "
            "Bearer; where it is not set, these functions are closed");
  EXPECT_TRUE(contains(slot("command:pass k", "{ basic = \"me\" }"), "the output of `pass k`"));
  EXPECT_TRUE(contains(slot("command:pass k", "{ basic = \"me\" }"), "Authorization: Basic, user me"));
  EXPECT_TRUE(contains(slot("systemd-creds:k", "{ bearer = true }"), "from systemd-creds, k"));
}

TEST(Explain, SaysThatSomebodyIsAsked) {
  const auto text = [](const std::string& body) { return explanation_text(explain(policy_of(body)), 400); };
  EXPECT_NE(text("ask = true\n").find("is asked about requests that only lack a grant"), std::string::npos);
  EXPECT_EQ(text("").find("asked about"), std::string::npos);
  EXPECT_EQ(to_json(explain(policy_of("ask = true\n"))).at("ask"), true);
}

TEST(Explain, TextFitsTheWidth) {
  for (const std::string& name : profile_names(testing_help::source_dir)) {
    for (const std::size_t width : {60U, 80U, 120U}) {
      const std::string text = explanation_text(explain(profile_policy(name)), width);
      for (const std::string& line : split(text, '\n')) {
        // A single word may be longer (a path of the source tree).
        if (line.find_last_of(' ') == std::string::npos || line.find_last_of(' ') < 16) continue;
        EXPECT_LE(line.size(), width) << name << ": " << line;
      }
      EXPECT_EQ(text.find('\x1b'), std::string::npos);
      EXPECT_TRUE(contains(text, "Everything else is refused"));
    }
  }
  EXPECT_TRUE(contains(explanation_text(explain(policy_of("")), 80), "No host is granted"));
}

TEST(Explain, TheWayOutAndTheWaysIn) {
  const Policy policy = policy_of(
      "publish = [\"8080:80\", \"0.0.0.0:9090\"]\n[upstream]\nproxy = \"http://proxy.example.com:3128\"\n"
      "no_proxy = [\"*.corp.example\"]\nresolve = \"proxy\"\n"
      "[[grant]]\nhost = \"example.com\"\n[[grant.allow]]\nmethod = \"GET\"\npath = \"/\"\n");
  const std::string text = explanation_text(explain(policy), 1000);
  EXPECT_TRUE(contains(text, "through the proxy http://proxy.example.com:3128, but for *.corp.example: it sees"));
  EXPECT_TRUE(contains(text, "nobody checks"));
  EXPECT_TRUE(contains(text, "Port 8080 at 127.0.0.1 leads to port 80 inside: what answers"));
  EXPECT_TRUE(contains(text, "Port 9090 at 0.0.0.0 leads to port 9090 inside, from other machines, too"));
  EXPECT_EQ(to_json(explain(policy))["around"].size(), 5U);
}

TEST(Explain, WhatLiveFoldersMean) {
  const auto said = [](const std::string& mount, const std::vector<std::string>& allowed = {}) {
    Policy policy = policy_of("[[mount]]\npath = \".\"\n" + mount);
    policy.mounts[0].allow_control = allowed;
    const Explanation all = explain(policy);
    return all.around.empty() ? std::string() : all.around[0].code + ": " + all.around[0].text;
  };
  EXPECT_EQ(said(""), "");
  EXPECT_EQ(said("mode = \"review\""), "");
  EXPECT_EQ(said("copy = true"), "");
  EXPECT_TRUE(said("mode = \"rw\"").starts_with("live: What the session writes in . the host has at once"));
  const std::string protect = said("mode = \"rw\"\nprotect = true", {".envrc", "a\x1b"});
  EXPECT_TRUE(protect.starts_with("protected: In . nothing that the host's tools run")) << protect;
  EXPECT_TRUE(contains(protect, "removed, but for .envrc, a\\x1b; build inputs")) << protect;
  EXPECT_FALSE(contains(protect, "original"));
  EXPECT_TRUE(contains(said("mode = \"rw-no-delete\""), "an original is kept"));
}

TEST(Explain, ALoginInWords) {
  const ExplainedGrant grant = explain(profile_policy("codex-login")).grants.at(0);
  EXPECT_TRUE(contains(grant.slot, "the agent's login in ~/.codex/auth.json; the workload finds a file of that shape"));
  const Explanation all = explain(profile_policy("codex-login"));
  EXPECT_TRUE(std::ranges::any_of(all.grants, [](const ExplainedGrant& one) {
    return std::ranges::any_of(one.functions, [](const Function& function) {
      return contains(function.does, "nothing but a refresh of the login");
    });
  }));
}

TEST(Explain, Wrapping) {
  EXPECT_EQ(wrapped("aa bb cc", 5, "", 0), "aa bb\ncc\n");
  EXPECT_EQ(wrapped("aa bb cc", 8, "x: ", 3), "x: aa bb\n   cc\n");
  EXPECT_EQ(wrapped("aaaaaaaa b", 4, "", 2), "aaaaaaaa\n  b\n");
  EXPECT_EQ(wrapped("äää bb", 6, "", 0), "äää bb\n");
}

TEST(Explain, HostileTextIsEscaped) {
  Policy policy = policy_of("[[grant]]\nhost = \"example.com\"\n[[grant.allow]]\nmethod = \"GET\"\npath = \"/\"\n");
  policy.grants[0].origin.file = "a\x1b[2J\nb";
  policy.sources = {"a\nb"};
  const std::string text = explanation_text(explain(policy), 80);
  EXPECT_EQ(text.find('\x1b'), std::string::npos);
  EXPECT_TRUE(contains(text, "\\x1b"));
}

TEST(Explain, Json) {
  const auto object = to_json(explain(profile_policy("claude")));
  EXPECT_EQ(object["grants"][0]["functions"][0]["call"], "POST /v1/messages");
  EXPECT_EQ(object["grants"][0]["credential"], "claude-login");
  EXPECT_EQ(object["grants"][2]["credential"], "anthropic");
  EXPECT_EQ(object["grants"][0]["from"]["layer"], "profile claude");
  EXPECT_TRUE(object["grants"][0]["remains"].is_array());
}

}  // namespace
}  // namespace bulkhead::advice

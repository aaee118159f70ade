#include "gateway/grant/git_push.h"

#include <gtest/gtest.h>

namespace bulkhead::grant {
namespace {

using namespace std::string_literals;

const std::string a(40, 'a'), b(40, 'b'), none(40, '0');
const std::string caps = "\0 report-status-v2 side-band-64k object-format=sha1 agent=git/2.39.5"s;
const std::string pack = "PACK\0\0\0\2\0\0\0\1"s + "whatever is in it";

std::string line(const std::string& data) {
  char length[5];
  std::snprintf(length, sizeof length, "%04zx", data.size() + 4);
  return length + data;
}
std::string first(const std::string& before, const std::string& after, const std::string& ref,
                  const std::string& c = caps) {
  return line(before + " " + after + " " + ref + c);
}
std::string next(const std::string& before, const std::string& after, const std::string& ref) {
  return line(before + " " + after + " " + ref);
}

const GitRules branches{.refs = {"refs/heads/agent/*", "refs/tags/nightly"}};

// "" when it may go up. Fed whole, byte by byte, and in two pieces cut anywhere near the beginning: all must agree.
std::string judge(const std::string& body, const GitRules& rules = branches) {
  const auto run = [&](const std::vector<std::string_view>& pieces) {
    PushJudge one(rules);
    for (const std::string_view piece : pieces) one.feed(piece);
    one.finish();
    EXPECT_NE(one.state(), PushJudge::State::judging);
    EXPECT_EQ(one.state() == PushJudge::State::refused, !one.why().empty());
    EXPECT_EQ(one.why().find('\n'), std::string::npos);
    return one.why();
  };
  const std::string whole = run({body});
  std::vector<std::string_view> bytes;
  for (std::size_t i = 0; i < body.size(); ++i) bytes.push_back(std::string_view(body).substr(i, 1));
  EXPECT_EQ(run(bytes), whole);
  for (std::size_t cut = 0; cut < std::min<std::size_t>(body.size(), 300); ++cut) {
    EXPECT_EQ(run({std::string_view(body).substr(0, cut), std::string_view(body).substr(cut)}), whole) << cut;
  }
  return whole;
}

TEST(GitPush, WhatTheRuleAllowsPasses) {
  const std::string create = first(none, a, "refs/heads/agent/fix");
  for (const std::string& body : {
           create + "0000" + pack, first(a, b, "refs/heads/agent/a/b/c") + "0000" + pack,
           create + next(a, b, "refs/tags/nightly") + "0000" + pack,
           first(none, a, "refs/heads/agent/fix", "\0"s) + "0000" + pack,
           first(none, a, "refs/heads/agent/fix", "\0 atomic report-status quiet\n"s) + "0000" + pack,
           line("shallow " + b) + line("shallow " + a + "\n") + create + "0000" + pack,
           create + line(a + " " + b + " refs/tags/nightly\n") + "0000" + pack,
           "0000"s,  // may I?
       }) {
    EXPECT_EQ(judge(body), "") << body;
  }
  const std::string zero64(64, '0'), c64(64, 'c');
  EXPECT_EQ(judge(line(zero64 + " " + c64 + " refs/heads/agent/x" + "\0 object-format=sha256"s) + "0000" + pack), "");
}

TEST(GitPush, RefsOutsideTheGrant) {  // A06
  const std::string good = first(none, a, "refs/heads/agent/fix");
  struct Case {
    std::string why, body;
  };
  const std::vector<Case> cases{
      {"not granted", first(a, b, "refs/heads/main") + "0000" + pack},
      {"not granted", good + next(a, b, "refs/heads/main") + "0000" + pack},
      {"not granted", first(none, a, "refs/heads/agents/x") + "0000" + pack},
      {"not granted", first(none, a, "refs/heads/Agent/x") + "0000" + pack},
      {"not granted", first(none, a, "refs/tags/v1") + "0000" + pack},
      {"not granted", first(none, a, "refs/tags/nightly2") + "0000" + pack},
      {"not granted", first(none, a, "refs/for/main") + "0000" + pack},
      {"not granted", first(a, none, "refs/heads/main") + "0000"},
      {"empty part", first(none, a, "refs/heads/agent/") + "0000" + pack},
      {"`..`", first(none, a, "refs/heads/agent/../main") + "0000" + pack},
      {"full name", first(none, a, "HEAD") + "0000" + pack},
      {"full name", first(none, a, "main") + "0000" + pack},
      {"character", first(none, a, "refs/heads/agent/x refs/heads/main") + "0000" + pack},
      {"character", first(none, a, "refs/heads/agent/x\nrefs/heads/main") + "0000" + pack},
      {"UTF-8", first(none, a, "refs/heads/agent/\xff") + "0000" + pack},
      {"twice", good + next(a, b, "refs/heads/agent/fix") + "0000" + pack},
      {"deleting", first(a, none, "refs/heads/agent/fix") + "0000"},
      {"deleting", good + next(a, none, "refs/tags/nightly") + "0000" + pack},
      {"changes nothing", first(none, none, "refs/heads/agent/fix") + "0000"},
  };
  for (const Case& one : cases) {
    const std::string said = judge(one.body);
    EXPECT_NE(said.find(one.why), std::string::npos) << one.body << "\n  said: " << said;
  }
  // The server would read one name, and this another.
  EXPECT_NE(judge(good + line(a + " " + b + " refs/heads/agent/x\0refs/heads/main"s) + "0000" + pack), "");
}

TEST(GitPush, DeletingWhereItIsGranted) {
  const GitRules rules{.refs = {"refs/heads/agent/*"}, .remove = true};
  EXPECT_EQ(judge(first(a, none, "refs/heads/agent/fix") + "0000", rules), "");
  EXPECT_EQ(judge(first(a, none, "refs/heads/agent/fix") + next(a, b, "refs/heads/agent/x") + "0000" + pack, rules),
            "");
  EXPECT_NE(judge(first(a, none, "refs/heads/agent/fix") + "0000" + pack, rules), "");
  EXPECT_NE(judge(first(a, none, "refs/heads/main") + "0000", rules), "");
}

TEST(GitPush, PushOptions) {
  const std::string command = first(none, a, "refs/heads/agent/fix", "\0 report-status push-options"s) + "0000";
  const GitRules rules{.refs = {"refs/heads/agent/*"}, .remove = false, .push_options = {"ci.skip", "topic=*"}};
  EXPECT_EQ(judge(command + "0000" + pack), "");
  EXPECT_NE(judge(command + line("merge_request.create") + "0000" + pack).find("not granted"), std::string::npos);
  EXPECT_EQ(judge(command + line("ci.skip") + line("topic=x\n") + "0000" + pack, rules), "");
  EXPECT_NE(judge(command + line("ci.skip2") + "0000" + pack, rules), "");
  EXPECT_NE(judge(command + line("topic=x\nci.variable=y") + "0000" + pack, rules), "");
  EXPECT_NE(judge(command + line("topic=x\0y"s) + "0000" + pack, rules), "");
  EXPECT_NE(judge(command + line("topic=\xff") + "0000" + pack, rules), "");
  // Listed by the command, not by what follows it: else the options are read as a pack.
  EXPECT_NE(judge(first(none, a, "refs/heads/agent/fix") + "0000" + line("ci.skip") + "0000" + pack, rules), "");
  EXPECT_NE(judge(command + pack, rules), "");
}

TEST(GitPush, WhatGitWouldNotWrite) {
  const std::string good = first(none, a, "refs/heads/agent/fix");
  const std::string zero64(64, '0'), c64(64, 'c');
  for (const std::string& body : std::vector<std::string>{
           "",
           "0",
           "000",
           "0000" + pack,
           "0000" + good + "0000" + pack,
           good,
           good + "00",
           good + "0000",
           good + "0000PACK",
           good + "0000" + next(a, b, "refs/heads/main") + "0000" + pack,
           good + "00000000" + pack,
           good + "0000" + "PACK\0\0\0\1"s,
           good + "0001" + pack,
           good + "0002" + pack,
           good + "0003" + pack,
           good + "00040000" + pack,
           good + "000g" + pack,
           "fff1" + std::string(70'000, 'x'),
           "ffff" + std::string(70'000, 'x'),
           "00B5" + good.substr(4),
           " 0b5" + good.substr(4),
           "-001",
           "0x10",
           line("push-cert\0 report-status"s) + "0000" + pack,
           line("push-cert-end"),
           next(none, a, "refs/heads/agent/fix") + "0000" + pack,  // no capabilities
           good + first(none, a, "refs/heads/agent/two") + "0000" + pack,
           good + line("shallow " + a) + "0000" + pack,
           line("shallow") + good + "0000" + pack,
           line("shallow " + a + " ") + good + "0000" + pack,
           first(none, a, "refs/heads/agent/fix", "\0 report-status future-form"s) + "0000" + pack,
           first(none, a, "refs/heads/agent/fix", "\0 object-format=sha512"s) + "0000" + pack,
           first(none, a, "refs/heads/agent/fix", "\0 object-format=sha1 object-format=sha256"s) + "0000" + pack,
           first(none, a, "refs/heads/agent/fix", "\0 object-format=sha256"s) + "0000" + pack,
           first(none, a, "refs/heads/agent/fix", "\0 agent=x\0push-options"s) + "0000" + pack,
           line("shallow " + c64) + good + "0000" + pack,
           line(zero64 + " " + c64 + " refs/heads/agent/x" + caps) + "0000" + pack,
           line(none + " " + c64 + " refs/heads/agent/x" + caps) + "0000" + pack,
           line(none + " " + std::string(40, 'A') + " refs/heads/agent/x" + caps) + "0000" + pack,
           line(none + "  " + a + " refs/heads/agent/x" + caps) + "0000" + pack,
           line(none + "\t" + a + " refs/heads/agent/x" + caps) + "0000" + pack,
           line(none + " " + a + caps) + "0000" + pack,
           line(none.substr(1) + " " + a + " refs/heads/agent/x" + caps) + "0000" + pack,
           line("\n"),
       }) {
    EXPECT_NE(judge(body), "") << body.substr(0, 200);
  }
}

TEST(GitPush, SizesAreBounded) {
  std::string many = first(none, a, "refs/heads/agent/0");
  for (std::size_t i = 1; i < max_push_refs; ++i) many += next(none, a, "refs/heads/agent/" + std::to_string(i));
  PushJudge most(branches);
  EXPECT_EQ(most.feed(many + "0000" + pack), PushJudge::State::pack);
  PushJudge more(branches);
  EXPECT_EQ(more.feed(many + next(none, a, "refs/heads/agent/x")), PushJudge::State::refused);
  PushJudge shallow(branches);
  const std::string one = line("shallow " + a);
  for (std::size_t sent = 0; sent <= max_push_commands; sent += one.size()) shallow.feed(one);
  EXPECT_EQ(shallow.state(), PushJudge::State::refused);
  // A pack of any size behind a short list in one piece.
  PushJudge large(branches);
  EXPECT_EQ(large.feed(first(none, a, "refs/heads/agent/0") + "0000" + pack + std::string(4'000'000, 'x')),
            PushJudge::State::pack);
}

}  // namespace
}  // namespace bulkhead::grant

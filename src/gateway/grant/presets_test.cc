// Every shipped preset against its table, tests/presets/NAME.tsv: requests, and what becomes of each, judged by the
// code that front and egress use. A line is
//
//   ATTACK  EXPECTED  METHOD URL  HEADERS  BODY        with tabs between
//
// EXPECTED is `allow` or the reason of the refusal; ATTACK names what it is a case of, or is `-`. Headers are divided
// by ` | `, `${TOKEN}` is what fills the slot of the preset's credential. A body `@push REF…` is a push to these refs,
// with
// `-` in front of one that is deleted; any other body is sent as it stands there. Two lines may come first: `with:
// {…}`, the values of the preset's parameters, and `credential: header NAME`, `bearer` or `basic USER`.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>

#include "base/sys.h"
#include "base/text.h"
#include "gateway/grant/git_push.h"
#include "gateway/grant/grant.h"
#include "gateway/grant/json_body.h"
#include "policy/layers.h"
#include "policy/profile.h"
#include "policy/show.h"

namespace bulkhead::grant {
namespace {

const std::string source_dir = BULKHEAD_SOURCE_DIR;
constexpr const char* token = "bulkhead-session-token";

struct Row {
  int line = 0;
  std::string attack, expected;
  RequestHead head;
  std::string body;
};

struct Table {
  std::vector<Grant> grants;
  std::vector<TokenSlot> tokens;
  std::vector<Row> rows;
};

std::string packet(const std::string& data) {
  char length[5];
  std::snprintf(length, sizeof length, "%04zx", data.size() + 4);
  return length + data;
}

std::string push_body(const std::string& refs) {
  std::string out;
  bool writes = false;
  for (std::string ref : split(refs, ' ')) {
    const bool remove = ref.starts_with('-');
    if (remove) ref.erase(0, 1);
    writes = writes || !remove;
    const std::string command = std::string(40, 'a') + " " + std::string(40, remove ? '0' : 'b') + " " + ref;
    out += packet(out.empty() ? command + std::string("\0 report-status", 15) : command);
  }
  return out + "0000" + (writes ? std::string("PACK\0\0\0\2", 8) : "");
}

// What a server gets that reads `text` as a request.
RequestHead head_of(const std::string& request, const std::string& headers, const std::string& value) {
  RequestHead head;
  const std::size_t blank = request.find(' ');
  head.method = request.substr(0, blank);
  std::string url = request.substr(blank + 1);
  head.scheme = url.substr(0, url.find(':'));
  url.erase(0, head.scheme.size() + 3);
  const std::size_t slash = url.find('/');
  const std::string authority = url.substr(0, slash);
  head.target = url.substr(slash);
  head.host = authority.substr(0, authority.find(':'));
  head.port = head.scheme == "https" ? 443 : 80;
  if (head.host != authority) head.port = static_cast<std::uint16_t>(std::stoi(authority.substr(head.host.size() + 1)));
  if (headers.empty()) return head;
  for (std::size_t begin = 0; begin <= headers.size();) {
    const std::size_t end = std::min(headers.find(" | ", begin), headers.size());
    const std::string header = headers.substr(begin, end - begin);
    const std::size_t colon = header.find(": ");
    EXPECT_NE(colon, std::string::npos) << header;
    const std::string text = header.substr(colon + 2);
    head.headers.emplace_back(header.substr(0, colon), text.starts_with("${TOKEN}") ? value + text.substr(8) : text);
    begin = end + 3;
  }
  return head;
}

// `name`: of a preset, or of one with an argument of its own: `npm-install.packages`.
Table table_of(const std::string& name) {
  Table table;
  const std::string preset = name.substr(0, name.find('.'));
  const std::string file = source_dir + "/tests/presets/" + name + ".tsv";
  auto text = sys::read_file(file, 1 << 20);
  EXPECT_TRUE(text) << "a preset has a table of what it opens and what it keeps shut: " << file;
  std::string policy = "version = 1\n", with, value;
  bool answer = false;
  int number = 0;
  for (const std::string& line : split(text.value_or(""), '\n')) {
    ++number;
    if (line.empty() || line.starts_with('#')) continue;
    if (line.starts_with("with: ")) {
      with = "with = " + line.substr(6) + "\n";
      continue;
    }
    if (line.starts_with("credential: ")) {
      const std::vector<std::string> words = split(line.substr(12), ' ');
      TokenSlot slot{.credential = "c", .token = token, .header = "", .basic_user = ""};
      value = token;
      if (words[0] == "header") {
        slot.carrier = Credential::Carrier::header;
        slot.header = words.at(1);
      } else if (words[0] == "bearer") {
        slot.carrier = Credential::Carrier::bearer;
        value = std::string("Bearer ") + token;
      } else if (words[0] == "answer") {
        slot.carrier = Credential::Carrier::bearer;
        slot.issued = true;
        value = std::string("Bearer ") + token + "-1";
        answer = true;
      } else {
        EXPECT_EQ(line.substr(12), "basic x-access-token");
        slot.carrier = Credential::Carrier::basic;
        slot.basic_user = words.at(1);
        value = "Basic eC1hY2Nlc3MtdG9rZW46YnVsa2hlYWQtc2Vzc2lvbi10b2tlbg==";  // x-access-token:bulkhead-session-token
      }
      table.tokens.push_back(slot);
      with += "credential = \"c\"\n";
      continue;
    }
    std::vector<std::string> columns = split(line, '\t');
    EXPECT_GE(columns.size(), 3U) << file << ":" << number;
    columns.resize(5);
    Row row{number, columns[0], columns[1], head_of(columns[2], columns[3], value), columns[4]};
    if (row.body.starts_with("@push ")) row.body = push_body(row.body.substr(6));
    if (!row.body.empty()) {
      row.head.body = lane::BodyKind::length;
      row.head.body_length = row.body.size();
    }
    table.rows.push_back(std::move(row));
  }
  policy += "[[grant]]\npreset = \"" + preset + "\"\n" + with + "[credential.c]\nsource = \"" +
            (answer ? "answer" : "env:C") + "\"\ncarry = { bearer = true }\n";
  auto document = load_document(policy, preset + ".tsv", "user");
  EXPECT_TRUE(document) << document.error().message;
  auto expanded = expand_presets(source_dir, *document);
  EXPECT_TRUE(expanded) << expanded.error().message;
  auto merged = merge_layers({*document}, {"/home/me/src", "/home/me"});
  EXPECT_TRUE(merged) << merged.error().message;
  table.grants = merged->grants;
  return table;
}

// The word for it, as front and then egress would say.
std::string judged(const Table& table, const Row& row, const Rule** rule = nullptr) {
  const Decision decision = judge(table.grants, table.tokens, row.head);
  if (decision.verdict != Verdict::allow) return decision.reason;
  if (rule != nullptr) *rule = decision.rule;
  if (decision.rule->json && !judge_json(*decision.rule->json, row.body)) return "json";
  if (decision.rule->git) {
    PushJudge push(*decision.rule->git);
    push.feed(row.body);
    if (push.finish() != PushJudge::State::pack) return "git";
  }
  return "allow";
}

class Presets : public testing::TestWithParam<std::string> {};

TEST_P(Presets, OpensAndKeepsShut) {  // A01, A02, A04-A06, A08, A09, A11, A12, A14, C05
  const Table table = table_of(GetParam());
  std::set<const Rule*> used;
  std::size_t refused = 0;
  for (const Row& row : table.rows) {
    const Rule* rule = nullptr;
    const std::string got = judged(table, row, &rule);
    EXPECT_EQ(got, row.expected) << GetParam() << ".tsv:" << row.line << ": " << row.attack << " " << row.head.method
                                 << " " << row.head.host << row.head.target << " " << row.body;
    if (got == "allow") {
      used.insert(rule);
    } else {
      ++refused;
    }
  }
  EXPECT_GE(refused, 10U) << "a table shows what is kept shut";
  for (const Grant& grant : table.grants) {
    for (const Rule& rule : grant.allow) {
      EXPECT_TRUE(used.contains(&rule)) << GetParam() << ": no line uses " << join(grant.hosts, " ") << " "
                                        << rule.path;
    }
  }
}

// Whatever a preset judges, a GET of everything below it, another method and another host stay shut.
TEST_P(Presets, AllowsNoMoreThanItsMethods) {
  const Table table = table_of(GetParam());
  for (const Row& row : table.rows) {
    if (row.expected != "allow") continue;
    for (const char* method : {"PATCH", "OPTIONS", "PROPFIND", "CONNECT", "TRACE"}) {
      Row other = row;
      other.head.method = method;
      EXPECT_NE(judged(table, other), "allow") << GetParam() << ".tsv:" << row.line << " " << method;
    }
    Row other = row;
    other.head.host = "evil." + row.head.host;
    EXPECT_NE(judged(table, other), "allow") << row.line;
    other.head.host = row.head.host + ".evil.com";
    EXPECT_NE(judged(table, other), "allow") << row.line;
    other = row;
    other.head.port = 8443;
    EXPECT_NE(judged(table, other), "allow") << row.line;
    other = row;
    other.head.target += row.head.target.find('?') == std::string::npos ? "?secret=1" : "&secret=1";
    EXPECT_NE(judged(table, other), "allow") << row.line;
    other = row;
    other.head.headers.emplace_back("x-secret-option", "1");
    EXPECT_EQ(judged(table, other), "header") << row.line;
    // A key of somebody else's, beside the right one or alone.
    for (const char* name : {"cookie", "x-auth-token", "proxy-authorization", "private-token"}) {
      other = row;
      other.head.headers.emplace_back(name, "attacker");
      EXPECT_NE(judged(table, other), "allow") << row.line << " " << name;
    }
  }
}

TEST_P(Presets, ReadBackFromWhatIsShown) {
  const Table table = table_of(GetParam());
  Policy policy;
  policy.grants = table.grants;
  for (Grant& grant : policy.grants) grant.credential.clear();
  const std::string text = policy_text(policy);
  EXPECT_EQ(text.find("${"), std::string::npos);
  auto again = load_document(text, "shown", "user");
  ASSERT_TRUE(again) << again.error().message << "\n" << text;
  Policy second = policy;
  second.grants = again->grants;
  for (std::size_t i = 0; i < second.grants.size(); ++i) {
    second.grants[i].id = policy.grants[i].id;
    second.grants[i].origin = policy.grants[i].origin;
    second.grants[i].preset = policy.grants[i].preset;
  }
  EXPECT_EQ(policy_text(second), text);
}

std::vector<std::string> tables() {
  std::vector<std::string> out = preset_names(source_dir);
  out.insert(out.end(), {"npm-install.packages", "crates.packages", "pypi-install.packages"});
  return out;
}

INSTANTIATE_TEST_SUITE_P(All, Presets, testing::ValuesIn(tables()), [](const auto& info) {
  std::string name = info.param;
  std::replace_if(name.begin(), name.end(), [](char c) { return c == '-' || c == '.'; }, '_');
  return name;
});

}  // namespace
}  // namespace bulkhead::grant

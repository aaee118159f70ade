// A record of a session, whatever is in it, is read to its end; what is proposed from it loads, is safe to print, names
// no address of the inside and no open list; and judging it again counts every request once.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "advice/explain.h"
#include "advice/lint.h"
#include "advice/propose.h"
#include "advice/replay.h"
#include "base/text.h"
#include "expect.h"
#include "gateway/grant/grant.h"
#include "policy/layers.h"

namespace {

using namespace bulkhead;

Policy policy_of(std::string_view text, const char* name) {
  auto document = load_document(text, name, "user");
  expect(document.has_value());
  auto policy = merge_layers({*document}, {"/home/me/project", "/home/me"});
  expect(policy.has_value());
  return std::move(*policy);
}

constexpr std::string_view known_policy = R"(version = 1
[credential.k]
source = "env:K"
carry = { header = "x-api-key" }
[[grant]]
host = "api.example.com"
credential = "k"
[[grant.allow]]
method = ["GET", "POST"]
path = "/v1/**"
query = ["*"]
headers = ["x-app-*"]
[[grant]]
host = "*.example.com"
[[grant.allow]]
method = "POST"
path = "/{id}"
content_type = "application/json"
max_body = 100
json = { deny_keys = ["a"] }
[grant.budget]
requests = 3
[[grant]]
host = "db.example.com"
port = 22
protocol = "tcp"
)";

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const Policy policy = policy_of(known_policy, "known");
  advice::Known known;
  known.credentials = policy.credentials;
  advice::Learner learner;
  advice::Replay replay;
  replay.begin("aaaaaaaaaaaa");
  replay.judge_by(policy);
  std::uint64_t requests = 0;
  for (const std::string& line : split({reinterpret_cast<const char*>(data), size}, '\n')) {
    const auto event = advice::read_event(line);
    if (!event) continue;
    const bool judged = std::holds_alternative<advice::RecordedRequest>(*event) ||
                        std::holds_alternative<advice::RecordedRefusal>(*event) ||
                        std::holds_alternative<advice::RecordedTunnel>(*event);
    if (judged) ++requests;
    learner.see(*event);
    replay.see(*event);
  }
  expect(replay.requests() == requests);
  for (const advice::ReplayKind& kind : replay.kinds(10)) {
    expect(kind.count > 0 && escape_for_terminal(kind.text, kind.text.size() + 1) == kind.text);
  }

  const auto text = learner.proposal("aaaaaaaaaaaa", known);
  expect(text.has_value());
  for (const std::string& line : split(*text, '\n')) expect(escape_for_terminal(line, line.size() + 1) == line);
  const Policy proposed = policy_of(*text, "proposed");
  for (const Grant& grant : proposed.grants) {
    for (const std::string& host : grant.hosts) expect(!host.starts_with("*"));
    for (const Rule& rule : grant.allow) {
      expect(rule.path.find("**") == std::string::npos && rule.query != std::vector<std::string>{"*"});
      for (const std::string& name : rule.headers) expect(name.find('*') == std::string::npos);
    }
  }
  for (const advice::Finding& finding : advice::lint(proposed, {"/home/me/project", "/home/me"})) {
    expect(finding.code != "private-address" && finding.code != "never-matches" && finding.code != "wildcard-host");
  }
  (void)advice::explanation_text(advice::explain(proposed), 80);
  return 0;
}

// bulkhead policy replay: what another policy would have done with what sessions asked for.
#include <cstdio>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>

#include "advice/replay.h"
#include "base/text.h"
#include "cli/common.h"
#include "cli/policy_commands.h"
#include "cli/records.h"

namespace bulkhead::cli {

namespace {

constexpr int exit_differs = 3;
constexpr std::size_t examples_shown = 10, examples_in_json = 500;

struct ReplayOptions {
  std::string policy, profile;
  std::vector<std::string> sessions;
  bool no_profile = false, json = false;
};

// The policy a session would have had: the new file with the profile that the session had, unless the file or the
// command line says another.
class Policies {
 public:
  explicit Policies(const ReplayOptions& options) : options_(options) {}

  Result<const Policy*> of(const std::string& session_profile) {
    if (const auto it = known_.find(session_profile); it != known_.end()) return it->second.get();
    PolicyOptions options;
    options.policy = options_.policy;
    options.profile = options_.profile;
    options.no_profile = options_.no_profile;
    BH_TRY(PolicyRequest request, policy_request_anywhere(options, ""));
    if (request.profile.empty()) {
      BH_TRY(const Document document, load_document_file(options_.policy, "policy file"));
      if (!document.profile) request.profile = session_profile.empty() ? "none" : session_profile;
    }
    BH_TRY(Policy policy, effective_policy(request));
    return known_.emplace(session_profile, std::make_unique<Policy>(std::move(policy))).first->second.get();
  }

 private:
  const ReplayOptions& options_;
  std::map<std::string, std::unique_ptr<Policy>> known_;
};

struct Outcome {
  advice::Replay replay;
  std::uint64_t sessions = 0, broken = 0;
};

Result<void> replay_session(const Records& records, const std::string& id, Policies& policies, Outcome& outcome) {
  BH_TRY(advice::RecordReader reader, records.read(id));
  outcome.replay.begin(id);
  // The profile is what session.start says; a record that was cut before it is judged as one without.
  bool known = false;
  const auto judge_by = [&](const std::string& profile) -> Result<void> {
    BH_TRY(const Policy* policy, policies.of(profile));
    outcome.replay.judge_by(*policy);
    known = true;
    return {};
  };
  for (;;) {
    BH_TRY(const auto event, reader.next());
    if (!event) break;
    if (const auto* start = std::get_if<advice::SessionStart>(&*event); start != nullptr && !known) {
      BH_CHECK(judge_by(start->profile));
    } else if (!known && std::holds_alternative<advice::RecordedRequest>(*event)) {
      BH_CHECK(judge_by(""));
    }
    outcome.replay.see(*event);
  }
  ++outcome.sessions;
  outcome.broken += reader.broken();
  return {};
}

std::string with_commas(std::uint64_t n) {
  std::string text = std::to_string(n);
  for (std::size_t at = text.size(); at > 3; at -= 3) text.insert(at - 3, ",");
  return text;
}

std::string padded(const std::string& text, std::size_t width) {
  return std::string(width - std::min(width, text.size()), ' ') + text;
}

void print(const Outcome& outcome, const std::string& policy) {
  using advice::Change;
  const advice::Replay& replay = outcome.replay;
  std::printf("%s request%s of %s session%s, judged again by %s:\n", with_commas(replay.requests()).c_str(),
              replay.requests() == 1 ? "" : "s", with_commas(outcome.sessions).c_str(),
              outcome.sessions == 1 ? "" : "s", escape_for_terminal(policy).c_str());
  const auto line = [](std::uint64_t n, const char* what) {
    std::printf("%s  %s\n", padded(with_commas(n), 12).c_str(), what);
  };
  line(replay.count(Change::same_allowed), "allowed, as before");
  line(replay.count(Change::same_denied), "denied, as before");
  line(replay.count(Change::blocked), "now blocked");
  line(replay.count(Change::opened), "newly allowed");
  line(replay.count(Change::unknown), "can't tell: what decides is not in the record");

  const char* shown = "";
  for (const advice::ReplayKind& kind : replay.kinds(examples_shown)) {
    const char* heading = kind.change == Change::blocked  ? "now blocked"
                          : kind.change == Change::opened ? "newly allowed"
                                                          : "can't tell";
    if (std::string_view(shown) != heading) std::printf("\n%s:\n", shown = heading);
    // Why it would be denied names the request already.
    const std::string why = kind.change == Change::opened    ? "by grant " + escape_for_terminal(kind.grant, 60)
                            : kind.change == Change::blocked ? kind.reason
                                                             : kind.text;
    std::printf("%s  %s%s (%s; first in %s)\n", padded(with_commas(kind.count), 12).c_str(),
                escape_for_terminal(kind.what, 300).c_str(), kind.alike ? " and others like it" : "", why.c_str(),
                kind.session.c_str());
  }
}

nlohmann::json to_json(const Outcome& outcome) {
  using advice::Change;
  const advice::Replay& replay = outcome.replay;
  nlohmann::json kinds = nlohmann::json::array();
  for (const advice::ReplayKind& kind : replay.kinds(examples_in_json)) {
    kinds.push_back({{"change", advice::name_of(kind.change)},
                     {"what", kind.what},
                     {"reason", kind.reason},
                     {"text", kind.text},
                     {"grant", kind.grant},
                     {"count", kind.count},
                     {"alike", kind.alike},
                     {"session", kind.session}});
  }
  nlohmann::json out{{"sessions", outcome.sessions},
                     {"requests", replay.requests()},
                     {"kinds", std::move(kinds)},
                     {"unlisted", replay.unlisted()},
                     {"broken_lines", outcome.broken}};
  for (const Change change :
       {Change::same_allowed, Change::same_denied, Change::blocked, Change::opened, Change::unknown}) {
    out[advice::name_of(change)] = replay.count(change);
  }
  return out;
}

Result<int> replay(const ReplayOptions& options) {
  BH_TRY(const Records records, Records::open());
  Policies policies(options);
  BH_TRY(const Policy* checked, policies.of(""));  // a mistake in the file is told of before anything is read
  (void)checked;
  Outcome outcome;
  std::vector<std::string> ids;
  for (const std::string& word : options.sessions) {
    BH_TRY(ids.emplace_back(), records.find(word));
  }
  if (ids.empty()) {
    for (const Records::Session& one : records.all()) ids.push_back(one.id);
  }
  for (const std::string& id : ids) {
    auto done = replay_session(records, id, policies, outcome);
    if (done) continue;
    if (!options.sessions.empty()) return tl::unexpected(std::move(done).error());
    complain("session " + id + " is left out: " + done.error().message, 0);
  }
  if (outcome.broken > 0) complain(with_commas(outcome.broken) + " broken lines were passed over", 0);
  if (options.json) {
    print_json(to_json(outcome));
  } else {
    print(outcome, options.policy);
  }
  return outcome.replay.differs() ? exit_differs : 0;
}

}  // namespace

void add_policy_replay(CLI::App& policy, Invocation& invocation) {
  CLI::App* command = policy.add_subcommand("replay", "Judge what sessions asked for again, by another policy");
  const auto options = std::make_shared<ReplayOptions>();
  command->add_option("-p,--policy", options->policy, "The policy to judge by")->type_name("FILE");
  command
      ->add_option("-P,--profile", options->profile,
                   "Profile behind it; else the one in the file, else the session's own")
      ->type_name("NAME");
  command->add_flag("--no-profile", options->no_profile, "No profile");
  command->add_flag("--json", options->json, "As JSON");
  command->add_option("SESSION", options->sessions, "Ids, beginnings of ids, or `last`; without any, all on record")
      ->type_name("");
  command->footer(
      "Heads of requests are judged again; bodies and what headers said are not on record. Where they decide, it says\n"
      "so. Every credential of the new policy counts as set; budgets are judged by the times and sizes on record.\n\n"
      "Exit status 0: nothing would be different (or it can't be told). 3: something would be blocked or newly\n"
      "allowed. 1: it could not be done.\n\nExamples:\n  bulkhead policy replay --policy new.toml\n"
      "  bulkhead policy replay --policy new.toml --json last");
  command->callback([options, &invocation] {
    if (options->policy.empty()) throw usage("say which policy to judge by: --policy FILE");
    if (options->no_profile && !options->profile.empty()) {
      throw usage("--profile and --no-profile exclude each other");
    }
    invocation.action = [options] {
      auto done = replay(*options);
      return done ? *done : complain(done.error().message, exit_failed);
    };
  });
}

}  // namespace bulkhead::cli

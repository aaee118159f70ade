// bulkhead reload: a running session's policy, loaded again. What narrows it holds at once; what widens it needs the
// owner's word; a policy that can't be loaded closes every grant.
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/common.h"
#include "cli/session_control.h"
#include "policy/json.h"
#include "policy/request.h"
#include "policy/show.h"

namespace bulkhead::cli {

namespace {

struct ReloadOptions {
  std::string session, policy;
  bool yes = false, json = false;
};

// The first line that one has and the other has not.
std::string difference(const std::string& before, const std::string& now) {
  const std::vector<std::string> old_lines = split(before, '\n'), new_lines = split(now, '\n');
  const auto missing = [](const std::vector<std::string>& from, const std::vector<std::string>& in) {
    std::string heading;
    for (const std::string& line : from) {
      if (line.empty() || std::ranges::find(in, line) != in.end()) continue;
      if (!line.starts_with('[')) return line;
      if (heading.empty()) heading = line;  // says less
    }
    return heading;
  };
  const std::string added = missing(new_lines, old_lines);
  return escape_for_terminal(added.empty() ? missing(old_lines, new_lines) + " is gone" : added + " is new", 300);
}

// From whoever sits at the terminal, not from what happens to be on standard input.
bool confirmed(const nlohmann::json& widened) {
  if (::isatty(0) != 1 || ::isatty(2) != 1) return false;
  std::fputs("This opens more than the session has now:\n", stderr);
  for (const auto& grant : widened) std::fprintf(stderr, "  %s\n", grant_line(grant).c_str());
  std::fputs("Open it? [y/N] ", stderr);
  char answer[16] = "";
  const ssize_t n = ::read(0, answer, sizeof answer - 1);
  return n > 0 && (answer[0] == 'y' || answer[0] == 'Y');
}

Result<int> reload(const ReloadOptions& options) {
  BH_TRY(const SessionControl control, SessionControl::open(options.session));
  const std::string& id = control.session().id;
  BH_TRY(const nlohmann::json about, control.ask({{"type", "about"}}));
  BH_TRY(const nlohmann::json* made_from, json_read::object(about, "request"));
  BH_TRY(PolicyRequest request, policy_request_from(*made_from));
  if (!options.policy.empty()) {
    BH_TRY(const PolicyRequest here, policy_request({}, ""));
    request.policy_file = absolute_path(options.policy, here.place);
  } else if (!request.policy_file.empty()) {
    request.policy_file = absolute_path(request.policy_file, request.place);
  }
  const auto policy = effective_policy(request);
  if (!policy) {
    BH_CHECK(control.ask({{"type", "close"}, {"why", policy.error().message}}));
    return fail(policy.error().message + "\nbulkhead: every grant of session " + id +
                " is closed until its policy can be loaded: mend it, then bulkhead reload " + id);
  }
  BH_TRY(const std::string settings, json_read::string(about, "settings"));
  if (const std::string now = settings_text(*policy); now != settings) {
    return fail("only grants can be loaded again, and this policy differs in more: " + difference(settings, now) +
                ". Nothing was changed; start a new session for it");
  }
  nlohmann::json grants = nlohmann::json::array(), digests = nlohmann::json::array();
  for (const Grant& grant : policy->grants) {
    grants.push_back(to_json(grant));
    digests.push_back(grant.preset_sha256);
  }
  nlohmann::json asked{{"type", "reload"},
                       {"grants", std::move(grants)},
                       {"presets_sha256", std::move(digests)},
                       {"wanted", options.yes},
                       {"sources", policy->sources}};
  BH_TRY(nlohmann::json answer, control.ask(asked));
  if (answer.value("result", "") == "waiting" && confirmed(answer.at("widened"))) {
    const nlohmann::json narrowed = answer.at("narrowed"), removed = answer.at("removed");
    asked["wanted"] = true;
    BH_TRY(answer, control.ask(asked));
    answer["narrowed"] = narrowed;
    answer["removed"] = removed;
  }
  const bool waiting = answer.value("result", "") == "waiting";
  if (options.json) {
    answer.erase("ok");
    answer["session"] = id;
    print_json(answer);
  } else {
    std::string out;
    for (const auto& grant : answer.at("removed")) out += "removed: " + grant_line(grant) + "\n";
    for (const auto& grant : answer.at("narrowed")) out += "narrowed: " + grant_line(grant) + "\n";
    for (const auto& grant : answer.at("revoked")) out += "revoked, and stays so: " + grant_line(grant) + "\n";
    for (const auto& grant : answer.at("widened"))
      out += (waiting ? "not opened: " : "opened: ") + grant_line(grant) + "\n";
    if (out.empty()) out = "nothing has changed\n";
    std::fputs((out + cut_off_line(answer)).c_str(), stdout);
  }
  if (!waiting) return 0;
  return complain("what would open more than session " + id + " has now was left out; --yes opens it", exit_failed);
}

}  // namespace

void add_reload(CLI::App& root, Invocation& invocation) {
  CLI::App* command = root.add_subcommand("reload", "Load a running session's policy again");
  const auto options = std::make_shared<ReloadOptions>();
  command->add_option("SESSION", options->session, "Session id, or the beginning of one")->type_name("")->required();
  command->add_option("-p,--policy", options->policy, "This policy file, in place of the one it was started with")
      ->type_name("FILE");
  command->add_flag("-y,--yes", options->yes, "Also what opens more than the session has now, without asking");
  command->add_flag("--json", options->json, "Say what changed as JSON");
  command->footer(
      "Loads what the session was started with: policy file, profile, command line. Grants, budgets and expiry "
      "change;\n"
      "if anything else differs, nothing does. What narrows the session holds at once, also for what is under way; "
      "what\n"
      "widens it is asked about. If the policy can't be loaded, every grant is closed until it can.");
  command->callback([options, &invocation] {
    invocation.action = [options] {
      const auto status = reload(*options);
      return status ? *status : complain(status.error().message, exit_failed);
    };
  });
}

}  // namespace bulkhead::cli

// bulkhead policy: what a session may do, before it does it.
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/install.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/common.h"
#include "cli/image_line.h"
#include "cli/policy_commands.h"
#include "cli/policy_options.h"
#include "policy/profile.h"
#include "policy/project.h"
#include "policy/show.h"
#include "session/reach.h"

namespace bulkhead::cli {

namespace {

struct ShowOptions {
  PolicyOptions policy;
  bool reach = false, json = false;
};

Result<void> show_reach(const Policy& policy, const PolicyRequest& request, bool json) {
  BH_TRY(const session::Paths paths, user_paths());
  BH_TRY(const auto reached, session::reach(policy, request, paths.cache));
  if (json) {
    print_json(session::reach_json(reached));
  } else {
    std::fputs(session::reach_text(reached, request.place.home).c_str(), stdout);
  }
  return {};
}

Result<void> show(const ShowOptions& options, const std::string& command) {
  BH_TRY(const PolicyRequest request, policy_request(options.policy, command));
  BH_TRY(const Policy policy, effective_policy(request));
  if (const std::string note = project_note(request.place.working_directory, request.trusted_project); !note.empty())
    complain(note, 0);
  if (options.reach) return show_reach(policy, request, options.json);
  if (policy.managed) {
    std::fputs(("# managed: what nobody's policy may say otherwise\n" + managed_text(*policy.managed) + "\n").c_str(),
               stdout);
  }
  if (const std::string line = image_line(policy, request); !line.empty()) std::printf("# %s\n", line.c_str());
  std::fputs(policy_text(policy).c_str(), stdout);
  return {};
}

Result<void> profiles() {
  BH_TRY(const std::string data, data_directory());
  for (const std::string& name : profile_names(data)) std::puts(name.c_str());
  return {};
}

Result<void> presets() {
  BH_TRY(const PolicyRequest request, policy_request({}, ""));
  std::vector<std::vector<std::string>> rows;
  for (const PresetSummary& one : preset_summaries({request.data_dir + "/presets", request.user_presets})) {
    rows.push_back({one.name, escape_for_terminal(join(one.parameters, ", "), 200),
                    one.error.empty() ? escape_for_terminal(one.title, 200) : "can't be used: " + one.error});
  }
  std::fputs(table(rows).c_str(), stdout);
  return {};
}

int status_of(const Result<void>& done) {
  return done ? 0 : complain(done.error().message, exit_failed);
}

}  // namespace

void add_policy(CLI::App& root, Invocation& invocation) {
  CLI::App* policy = root.add_subcommand("policy", "Show or check what sessions may do");
  policy->require_subcommand(1);
  policy->footer("`bulkhead policy COMMAND --help` says more; policies are described in bulkhead-policy(5).");

  CLI::App* show_command = policy->add_subcommand("show", "Print the policy a session would have");
  const auto options = std::make_shared<ShowOptions>();
  add_policy_options(*show_command, options->policy);
  show_command->add_flag("--reach", options->reach,
                         "List what of HOME, /etc and the mounts it could read, and what looks like a key");
  show_command->add_flag("--json", options->json, "With --reach: as JSON");
  const auto words = std::make_shared<std::vector<std::string>>();
  show_command->add_option("COMMAND", *words, "The command it would run: its name picks the profile")->type_name("");
  show_command->footer(
      "All layers merged, presets expanded, and for every rule where it comes from. It is TOML that\n"
      "--policy reads back.\n\nExamples:\n  bulkhead policy show claude\n"
      "  bulkhead policy show --policy ci.toml > effective.toml\n"
      "  bulkhead policy show --reach claude");
  show_command->callback([options, words, &invocation] {
    words->insert(words->end(), invocation.after_dashes.begin(), invocation.after_dashes.end());
    if (options->json && !options->reach) throw usage("--json goes with --reach");
    invocation.action = [options, words] { return status_of(show(*options, words->empty() ? "" : words->front())); };
  });

  add_policy_check(*policy, invocation);
  add_policy_explain(*policy, invocation);
  add_policy_init(*policy, invocation);
  add_policy_replay(*policy, invocation);

  CLI::App* presets_command = policy->add_subcommand("presets", "List the presets and what each leaves to be said");
  presets_command->footer(
      "Beside each its parameters, for `with`; those in brackets have a default. Your own presets are the\n"
      "files ~/.config/bulkhead/presets/NAME.toml.");
  presets_command->callback([&invocation] { invocation.action = [] { return status_of(presets()); }; });

  policy->add_subcommand("profiles", "List the profiles")->callback([&invocation] {
    invocation.action = [] { return status_of(profiles()); };
  });
}

}  // namespace bulkhead::cli

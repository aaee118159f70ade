// bulkhead policy: what a session may do, before it does it.
#include <cstdio>
#include <memory>

#include "base/install.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/common.h"
#include "cli/policy_options.h"
#include "policy/profile.h"
#include "policy/show.h"

namespace bulkhead::cli {

namespace {

Result<void> show(const PolicyOptions& options, const std::string& command) {
  BH_TRY(const PolicyRequest request, policy_request(options, command));
  BH_TRY(const Policy policy, effective_policy(request));
  std::fputs(policy_text(policy).c_str(), stdout);
  return {};
}

Result<void> check(const std::vector<std::string>& files) {
  std::vector<std::string> all = files;
  if (all.empty()) all.emplace_back();  // the user's own
  for (const std::string& file : all) {
    PolicyOptions options;
    options.policy = file;
    BH_TRY(const PolicyRequest request, policy_request(options, ""));
    BH_TRY(const Policy policy, effective_policy(request));
    const std::string name = file.empty() ? request.user_file : file;
    std::printf("%s: ok: %zu mounts, %zu grants, %zu credentials\n", escape_for_terminal(name).c_str(),
                policy.mounts.size(), policy.grants.size(), policy.credentials.size());
  }
  return {};
}

Result<void> profiles() {
  BH_TRY(const std::string data, data_directory());
  for (const std::string& name : profile_names(data)) std::puts(name.c_str());
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
  const auto options = std::make_shared<PolicyOptions>();
  add_policy_options(*show_command, *options);
  const auto words = std::make_shared<std::vector<std::string>>();
  show_command->add_option("COMMAND", *words, "The command it would run: its name picks the profile")->type_name("");
  show_command->footer(
      "All layers merged, presets expanded, and for every rule where it comes from. It is TOML that\n"
      "--policy reads back.\n\nExamples:\n  bulkhead policy show claude\n"
      "  bulkhead policy show --policy ci.toml > effective.toml");
  show_command->callback([options, words, &invocation] {
    words->insert(words->end(), invocation.after_dashes.begin(), invocation.after_dashes.end());
    invocation.action = [options, words] { return status_of(show(*options, words->empty() ? "" : words->front())); };
  });

  CLI::App* check_command = policy->add_subcommand("check", "Check policy files");
  const auto files = std::make_shared<std::vector<std::string>>();
  check_command->add_option("FILE", *files, "Files; without any, your own policy")->type_name("");
  check_command->footer("Exit status 0: each would be accepted. 1: the first thing wrong is printed with its line.");
  check_command->callback([files, &invocation] { invocation.action = [files] { return status_of(check(*files)); }; });

  policy->add_subcommand("profiles", "List the profiles")->callback([&invocation] {
    invocation.action = [] { return status_of(profiles()); };
  });
}

}  // namespace bulkhead::cli

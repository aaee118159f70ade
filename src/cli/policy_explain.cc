// bulkhead policy explain: what a session may reach, in words.
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "advice/explain.h"
#include "cli/common.h"
#include "cli/image_line.h"
#include "cli/policy_commands.h"
#include "cli/policy_options.h"

namespace bulkhead::cli {

namespace {

struct ExplainOptions {
  PolicyOptions policy;
  std::vector<std::string> command;
  bool json = false;
};

std::size_t columns_of(int fd) {
  winsize size{};
  if (::ioctl(fd, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return 80;
  return std::clamp<std::size_t>(size.ws_col, 40, 120);  // longer lines are hard to read
}

Result<void> explain(const ExplainOptions& options) {
  BH_TRY(const PolicyRequest request,
         policy_request_anywhere(options.policy, options.command.empty() ? "" : options.command.front()));
  BH_TRY(const Policy policy, effective_policy(request));
  advice::Explanation explanation = advice::explain(policy);
  if (std::string line = image_line(policy, request); !line.empty()) {
    explanation.around.push_back({"image", std::move(line)});
  }
  if (options.json) {
    print_json(advice::to_json(explanation));
    return {};
  }
  const bool colour = wants_colour(STDOUT_FILENO);
  std::fputs(explanation_text(explanation, columns_of(STDOUT_FILENO), colour ? "\x1b[1m" : "", colour ? "\x1b[0m" : "")
                 .c_str(),
             stdout);
  return {};
}

}  // namespace

void add_policy_explain(CLI::App& policy, Invocation& invocation) {
  CLI::App* command = policy.add_subcommand("explain", "Say in words what a session could reach, and what remains");
  const auto options = std::make_shared<ExplainOptions>();
  add_policy_options(*command, options->policy);
  command->add_flag("--json", options->json, "As JSON");
  command->add_option("COMMAND", options->command, "The command it would run: its name picks the profile")
      ->type_name("");
  command->footer(
      "For each granted host: its functions, the credential and where it is put in, the budget, where each rule is\n"
      "written, and the ways out that remain.\n\nExamples:\n  bulkhead policy explain claude\n"
      "  bulkhead policy explain --policy ci.toml -- make test");
  command->callback([options, &invocation] {
    options->command.insert(options->command.end(), invocation.after_dashes.begin(), invocation.after_dashes.end());
    invocation.action = [options] {
      const auto done = explain(*options);
      return done ? 0 : complain(done.error().message, exit_failed);
    };
  });
}

}  // namespace bulkhead::cli

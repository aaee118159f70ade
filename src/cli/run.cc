// bulkhead run: a command behind the boundary.
#include <memory>

#include "cli/commands.h"
#include "cli/common.h"
#include "cli/policy_options.h"
#include "cli/session_options.h"
#include "cli/template_options.h"

namespace bulkhead::cli {

namespace {

constexpr const char* examples = R"(Everything after `--`, or from the first word that is no option, is the command.

Examples:
  bulkhead run -- bash
      This folder is writable, the rest of HOME is not there, no network.
  bulkhead run claude --resume
      The profile `claude`: a private copy of its settings, its API, a token in place of ANTHROPIC_API_KEY.
  bulkhead run --policy ci.toml --mount ../data:ro --env CI=1 -- make test
  bulkhead run --ask -- npm install
      What no grant allows is asked about: once, for this session, always, no.
  bulkhead run --quiet -- sh -c 'cat src/*.c' | wc -l
      stdout is the command's alone; what Bulkhead says goes to stderr.

Exit status: the command's own; 128+N when signal N ended it; 125 when Bulkhead failed, 126 when the command can't be
executed, 127 when it is not found.)";

// The command is not an option that CLI11 knows, so it can't name it.
class RunFormatter : public CLI::Formatter {
  std::string make_usage(const CLI::App*, std::string) const override {
    return "Usage: bulkhead run [OPTIONS] [--] COMMAND [ARGUMENTS…]\n";
  }
};

struct RunOptions {
  PolicyOptions policy;
  std::string from;  // a template
  bool quiet = false, ask = false;
};

Result<int> run(const RunOptions& options, const std::vector<std::string>& command) {
  BH_TRY(session::Begun begun, session::begin());
  BH_TRY(session::Options session,
         session_options(for_template(options.policy, options.from), command.front(), options.ask, options.quiet));
  BH_CHECK(use_template(session, options.from));
  session.command = command;
  session.command.insert(session.command.begin() + 1, session.policy.arguments.begin(), session.policy.arguments.end());
  return session::run(session, std::move(begun));
}

}  // namespace

void add_run(CLI::App& root, Invocation& invocation) {
  CLI::App* command = root.add_subcommand("run", "Run a command behind the boundary");
  const auto options = std::make_shared<RunOptions>();
  add_policy_options(*command, options->policy);
  command->add_flag("-q,--quiet", options->quiet, "Say nothing unless something fails");
  command->add_flag("--ask", options->ask, "Ask at the terminal about requests that no grant allows");
  add_template_option(*command, options->from);
  command->footer(examples);
  command->prefix_command();  // its own options may follow the workload's name
  command->formatter(std::make_shared<RunFormatter>());
  command->callback([command, options, &invocation] {
    std::vector<std::string> words = command->remaining();
    if (!words.empty() && words.front().starts_with('-')) throw CLI::ExtrasError("run", {words.front()});
    // A `--` behind the command's name is the command's own.
    if (!words.empty() && invocation.had_dashes) words.emplace_back("--");
    words.insert(words.end(), invocation.after_dashes.begin(), invocation.after_dashes.end());
    if (words.empty()) throw usage("say what to run, for example: bulkhead run -- bash");
    invocation.command = words;
    invocation.action = [options, words = std::move(words)] {
      const auto status = run(*options, words);
      return status ? *status : complain(status.error().message, session::exit_failure);
    };
  });
}

}  // namespace bulkhead::cli

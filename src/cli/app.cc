#include "cli/app.h"

#include <algorithm>
#include <cstdio>

#include "base/text.h"
#include "cli/common.h"
#include "session/session.h"

namespace bulkhead::cli {

void add_version(CLI::App& root, Invocation& invocation) {
  root.add_subcommand("version", "Print the version")->callback([&invocation] {
    invocation.action = [] { return std::puts("bulkhead " BULKHEAD_VERSION) < 0 ? exit_failed : 0; };
  });
}

namespace {

constexpr const char* examples = R"(Examples:
  bulkhead run -- bash              a shell that sees this folder and nothing else of yours
  bulkhead run claude               an agent, with the profile of its name
  bulkhead run --mount ~/data:ro -- make test
  bulkhead run --mount .:review -- make fix; bulkhead diff; bulkhead apply
  bulkhead policy explain claude    what that session may do, in words, and what remains possible
  bulkhead doctor                   what this machine can and can't enforce
  bulkhead ps; bulkhead stop --all

Nothing configured is a good start: this folder read-write, toolchains read-only, no network, no secrets.
`bulkhead COMMAND --help` says more; the manual is bulkhead(1), policies are described in bulkhead-policy(5).)";

std::vector<std::string> command_names(const CLI::App& root) {
  std::vector<std::string> names;
  for (const CLI::App* command : root.get_subcommands([](const CLI::App*) { return true; })) {
    if (!command->get_group().empty()) names.push_back(command->get_name());
  }
  return names;
}

std::string unknown(const std::string& kind, const std::string& word, const std::vector<std::string>& candidates,
                    const std::string& help) {
  const std::string near = nearest(word, candidates);
  return "there is no " + kind + " \"" + escape_for_terminal(word) + "\"" +
         (near.empty() ? "" : "; did you mean " + near + "?") + " (" + help + " lists them)";
}

// The words an unknown option may have meant.
std::vector<std::string> option_names(const CLI::App& command) {
  std::vector<std::string> names;
  for (const CLI::Option* option : command.get_options([](const CLI::Option* o) { return !o->get_group().empty(); })) {
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  }
  return names;
}

const CLI::App& deepest(const CLI::App& app) {
  const auto chosen = app.get_subcommands();
  return chosen.empty() ? app : deepest(*chosen.front());
}

std::string full_name(const CLI::App& app) {
  return app.get_parent() == nullptr ? app.get_name() : full_name(*app.get_parent()) + " " + app.get_name();
}

int usage_error(const CLI::App& root, const CLI::ParseError& error) {
  const CLI::App& command = deepest(root);
  const int status = full_name(command) == "bulkhead run" ? session::exit_failure : exit_usage;
  const std::string help = full_name(command) + " --help";
  const std::vector<std::string> extra = command.remaining();
  if (error.get_exit_code() == static_cast<int>(CLI::ExitCodes::ExtrasError) && !extra.empty() &&
      extra.front().starts_with('-')) {
    const std::string word = extra.front().substr(0, extra.front().find('='));
    return complain(unknown("option", word, option_names(command), help), status);
  }
  return complain(escape_for_terminal(error.what()) + " (see " + help + ")", status);
}

}  // namespace

std::vector<std::string> split_at_dashes(const std::vector<std::string>& arguments, Invocation& invocation) {
  const auto dashes = std::ranges::find(arguments, "--");
  invocation.had_dashes = dashes != arguments.end();
  if (invocation.had_dashes) invocation.after_dashes.assign(dashes + 1, arguments.end());
  return {arguments.begin(), dashes};
}

int dispatch(int argc, char** argv) {
  CLI::App root(
      "Runs agents and other programs behind a boundary: they see what you mount, reach what you grant,\n"
      "and hold a token instead of your keys.",
      "bulkhead");
  Invocation invocation;
  root.require_subcommand(1);
  root.footer(examples);
  root.set_help_flag("-h,--help", "Print this help");
  root.set_version_flag("--version", "bulkhead " BULKHEAD_VERSION, "Print the version");
  // A session's start does not wait for the options of every other command.
  const bool is_run = argc > 1 && std::string_view(argv[1]) == "run";
  for (const auto add : commands) {
    if (!is_run || add == add_run) add(root, invocation);
  }

  std::vector<std::string> arguments = split_at_dashes({argv + 1, argv + std::max(argc, 1)}, invocation);
  if (arguments.empty()) {
    std::fputs(root.help().c_str(), stderr);
    return exit_usage;
  }
  if (const auto names = command_names(root);
      !arguments.front().starts_with('-') && std::ranges::find(names, arguments.front()) == names.end()) {
    return complain(unknown("command", arguments.front(), names, "bulkhead --help"), exit_usage);
  }
  std::ranges::reverse(arguments);  // as CLI11 wants them
  try {
    root.parse(std::move(arguments));
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return root.exit(error);  // help and version, on stdout
    return usage_error(root, error);
  }
  return invocation.action ? invocation.action() : exit_usage;
}

}  // namespace bulkhead::cli

// bulkhead exec: a command in a session that lives.
#include <stdlib.h>

#include <chrono>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/common.h"
#include "cli/session_control.h"
#include "policy/policy.h"
#include "session/execute.h"
#include "session/session.h"

namespace bulkhead::cli {
namespace {

constexpr const char* examples =
    R"(Everything after the id and `--` is the command. Its input and output are this command's; what is a terminal here is one
inside. Many can run at once; one that is interrupted ends with what it started in its own process group.

Examples:
  bulkhead exec k3x -- python3 -c 'print(1)'
  bulkhead exec k3x -- bash
  tar c src | bulkhead exec k3x --dir /tmp -- tar x
  bulkhead exec --json k3x -- ls        one JSON object: exit_status, stdout, stderr

Exit status: the command's own; 128+N when signal N ended it; 125 when Bulkhead failed or the session ended under it,
126 when the command can't be executed, 127 when it is not found.)";

constexpr std::size_t default_capture = 1'000'000;

struct ExecOptions {
  std::string id, directory;
  std::vector<std::string> environment;
  bool json = false;
  std::size_t max_output = default_capture;
};

// Valid UTF-8 as it is, other bytes in base64 beside it would be two forms of one thing: replaced, and said so.
bool is_utf8(const std::string& text) {
  try {
    (void)nlohmann::json(text).dump();
    return true;
  } catch (const nlohmann::json::exception&) {
    return false;
  }
}

std::vector<std::string> environment_of(const ExecOptions& options) {
  std::vector<std::string> out;
  for (const char* name : {"TERM", "COLORTERM", "COLUMNS", "LINES"}) {
    if (const char* value = ::getenv(name); value != nullptr) out.push_back(std::string(name) + "=" + value);
  }
  for (const std::string& word : options.environment) {
    if (word.find('=') != std::string::npos) {
      out.push_back(word);
    } else if (const char* value = ::getenv(word.c_str()); value != nullptr) {
      out.push_back(word + "=" + value);
    }
  }
  return out;
}

Result<int> execute(const ExecOptions& options, const std::vector<std::string>& command) {
  BH_TRY(SessionControl session, SessionControl::open(options.id));
  if (!session.session().lives) {
    return fail("session " + session.session().id +
                " runs one command; `bulkhead start` makes sessions that take more");
  }
  session::Execution what;
  what.command = command;
  what.environment = environment_of(options);
  what.directory = options.directory;
  what.own_kernel = session.session().tier != name_of(Tier::native);
  what.capture = options.json ? options.max_output : 0;
  const auto begun = std::chrono::steady_clock::now();
  const std::string id = session.session().id;
  auto done = session::execute(session.take(), what);
  if (!done) return fail("session " + id + ": " + done.error().message);
  if (options.json) {
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begun;
    print_json({{"session", id},
                {"exit_status", done->status},
                {"stdout", done->out},
                {"stderr", done->err},
                {"cut", done->cut},
                {"utf8", is_utf8(done->out) && is_utf8(done->err)},
                {"seconds", took.count()}});
  }
  return done->status;
}

class ExecFormatter : public CLI::Formatter {
  std::string make_usage(const CLI::App*, std::string) const override {
    return "Usage: bulkhead exec [OPTIONS] ID [--] COMMAND [ARGUMENTS…]\n";
  }
};

}  // namespace

void add_exec(CLI::App& root, Invocation& invocation) {
  CLI::App* command = root.add_subcommand("exec", "Run a command in a session that lives");
  const auto options = std::make_shared<ExecOptions>();
  command->add_option("-d,--dir", options->directory, "Working directory, inside")->type_name("PATH");
  command->add_option("-e,--env", options->environment, "Set a variable, or pass on this one's; may be repeated")
      ->type_name("NAME[=VALUE]")
      ->allow_extra_args(false);
  command->add_flag("--json", options->json, "Status and output as one JSON object");
  command->add_option("--max-output", options->max_output, "With --json: how much of each output is kept, in bytes")
      ->type_name("BYTES")
      ->check(CLI::Range(std::size_t{1}, std::size_t{1} << 30));
  command->footer(examples);
  command->prefix_command();
  command->formatter(std::make_shared<ExecFormatter>());
  command->callback([command, options, &invocation] {
    std::vector<std::string> words = command->remaining();
    if (!words.empty() && words.front().starts_with('-')) throw CLI::ExtrasError("exec", {words.front()});
    if (words.empty()) throw usage("name a session, for example: bulkhead exec ID -- bash");
    options->id = words.front();
    words.erase(words.begin());
    if (!words.empty() && invocation.had_dashes) words.emplace_back("--");
    words.insert(words.end(), invocation.after_dashes.begin(), invocation.after_dashes.end());
    if (words.empty()) throw usage("say what to run, for example: bulkhead exec " + options->id + " -- bash");
    invocation.action = [options, words = std::move(words)] {
      const auto status = execute(*options, words);
      return status ? *status : complain(status.error().message, session::exit_failure);
    };
  });
}

}  // namespace bulkhead::cli

// bulkhead mcp: the tools of a session for an agent whose own loop is outside (src/mcp/mcp.h).
#include "mcp/mcp.h"

#include <memory>

#include "cli/commands.h"
#include "cli/common.h"

namespace bulkhead::cli {
namespace {

constexpr const char* examples =
    R"(A server of the Model Context Protocol on standard input and output, for an agent that stays outside with its login and
its network. Its tools (run_command, read_file, write_file, edit_file, list_files, search) act inside the session.

With --socket it listens there instead, for as many clients as there are, until SIGTERM, SIGINT or SIGHUP; only programs
of the same user get an answer, and none in a browser, a container or a session.

Without --session the first call starts one, and the end of this command stops it; all other options are those of
`bulkhead start`. If it can't be started the agent is told why.

Claude Code:   claude mcp add bulkhead -- bulkhead mcp --tier vm
Codex:         codex mcp add bulkhead -- bulkhead mcp --tier vm
Gemini CLI:    gemini mcp add bulkhead bulkhead mcp --tier vm

Then keep the agent's own tools from acting outside; docs/mcp.md says how for each.)";

}  // namespace

void add_mcp(CLI::App& root, Invocation& invocation) {
  CLI::App* command = root.add_subcommand("mcp", "Tools for an agent outside, which act inside a session");
  const auto config = std::make_shared<mcp::Config>();
  command->add_option("--session", config->session, "One that lives already (`bulkhead start`)")->type_name("ID");
  command
      ->add_option("--socket", config->socket,
                   "Listen on a unix socket (streamable HTTP at /mcp), for many clients; until SIGTERM")
      ->type_name("PATH");
  command->allow_extras();
  command->footer(examples);
  command->callback([command, config, &invocation] {
    config->start_options = command->remaining();
    if (!invocation.after_dashes.empty()) throw usage("it runs no command of its own");
    if (!config->session.empty() && !config->start_options.empty()) {
      throw usage("--session is a session that runs already, with options of its own");
    }
    if (command->count("--socket") > 0 && config->socket.empty()) throw usage("--socket has to name a file");
    invocation.action = [config] {
      const auto status = mcp::serve(*config);
      return status ? *status : complain(status.error().message, exit_failed);
    };
  });
}

}  // namespace bulkhead::cli

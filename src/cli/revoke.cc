// bulkhead revoke: takes grants or credentials from a running session, for good.
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/common.h"
#include "cli/session_control.h"

namespace bulkhead::cli {

namespace {

struct RevokeOptions {
  std::string session;
  std::vector<std::string> grants, credentials;
  bool json = false;
};

Result<void> revoke(const RevokeOptions& options) {
  BH_TRY(const SessionControl control, SessionControl::open(options.session));
  BH_TRY(nlohmann::json answer,
         control.ask({{"type", "revoke"}, {"grants", options.grants}, {"credentials", options.credentials}}));
  if (options.json) {
    answer.erase("ok");
    answer["session"] = control.session().id;
    print_json(answer);
    return {};
  }
  std::string out;
  for (const auto& grant : answer.at("grants")) out += "revoked: " + grant_line(grant) + "\n";
  for (const auto& grant : answer.at("before")) out += "revoked before: " + grant_line(grant) + "\n";
  for (const auto& name : answer.at("credentials")) out += "forgotten: credential " + name.get<std::string>() + "\n";
  if (out.empty()) out = "the session has no grants\n";
  std::fputs((out + cut_off_line(answer)).c_str(), stdout);
  return {};
}

}  // namespace

void add_revoke(CLI::App& root, Invocation& invocation) {
  CLI::App* command = root.add_subcommand("revoke", "Take grants or credentials from a running session");
  const auto options = std::make_shared<RevokeOptions>();
  command->add_option("SESSION", options->session, "Session id, or the beginning of one")->type_name("")->required();
  command->add_option("-g,--grant", options->grants, "Only this grant, by its number in `policy show`; may be repeated")
      ->type_name("ID")
      ->allow_extra_args(false);
  command
      ->add_option("-c,--credential", options->credentials,
                   "Only what uses this credential, and the secret itself; may be repeated")
      ->type_name("NAME")
      ->allow_extra_args(false);
  command->add_flag("--json", options->json, "Say what was revoked as JSON");
  command->footer(
      "With neither --grant nor --credential: everything. What is under way is cut off, what is asked for from then on "
      "is\n"
      "denied. Returns when that is so. Nothing brings a revoked grant back but a new session. Revoking again is no "
      "error.");
  command->callback([options, &invocation] {
    invocation.action = [options] {
      const auto done = revoke(*options);
      return done ? 0 : complain(done.error().message, exit_failed);
    };
  });
}

}  // namespace bulkhead::cli

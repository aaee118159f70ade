// bulkhead claim: one of the sessions that were started ahead, for whoever asks first.
#include <algorithm>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "cli/common.h"
#include "cli/labels.h"
#include "cli/session_control.h"

namespace bulkhead::cli {
namespace {

constexpr const char* examples =
    R"(Prints the id of a session that `bulkhead start` made and nobody has claimed, the oldest first. No session is given twice,
however many ask at once.

Examples:
  for i in 1 2 3; do bulkhead start -q --tier gvisor --label pool=python; done
  id=$(bulkhead claim --label pool=python) && bulkhead exec $id -- python3 job.py; bulkhead stop $id
  bulkhead ps --json --label pool=python        how many are left: those with "claimed": false

Exit status: 1 when there is none, or something failed.)";

struct ClaimOptions {
  std::vector<std::string> labels;
  bool json = false;
};

Result<session::SessionInfo> claim(const ClaimOptions& options) {
  BH_TRY(const auto labels, labels_of(options.labels));
  BH_TRY(const session::Paths paths, user_paths());
  BH_TRY(const session::Store store, session::Store::open_existing(paths));
  BH_TRY(std::vector<session::SessionInfo> sessions, store.list());
  std::erase_if(sessions, [&](const session::SessionInfo& s) {
    return !s.alive || !s.lives || s.claimed || !has_labels(s.labels, labels);
  });
  std::string why;
  for (const session::SessionInfo& s : sessions) {
    // Somebody else may be first, and a session may end or not be up yet: then another one.
    const auto session = SessionControl::open(s.id);
    const auto claimed = session ? session->ask({{"type", "claim"}}) : tl::unexpected(session.error());
    if (claimed) return s;
    why = claimed.error().message;
  }
  return fail("no session is left that " + std::string(labels.empty() ? "is" : "has these labels and is") +
              " unclaimed" + (why.empty() ? "" : " (" + why + ")") + "; `bulkhead start` makes one");
}

}  // namespace

void add_claim(CLI::App& root, Invocation& invocation) {
  CLI::App* command = root.add_subcommand("claim", "Take one of the sessions that were started ahead");
  const auto options = std::make_shared<ClaimOptions>();
  add_label_option(*command, options->labels, "Only one with this label; may be repeated");
  command->add_flag("--json", options->json, "The id as part of a JSON object");
  command->footer(examples);
  command->callback([options, &invocation] {
    invocation.action = [options] {
      const auto claimed = claim(*options);
      if (!claimed) return complain(claimed.error().message, exit_failed);
      if (options->json) {
        print_json({{"id", claimed->id}, {"pid", claimed->pid}, {"labels", claimed->labels}});
      } else {
        std::printf("%s\n", claimed->id.c_str());
      }
      return 0;
    };
  });
}

}  // namespace bulkhead::cli

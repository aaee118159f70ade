// bulkhead ps: the sessions that are running.
#include <algorithm>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/common.h"
#include "cli/labels.h"

namespace bulkhead::cli {

namespace {

struct PsOptions {
  bool json = false, quiet = false;
  std::vector<std::string> labels;
};

nlohmann::json to_json(const session::SessionInfo& s) {
  return {{"id", s.id},           {"tier", s.tier},           {"profile", s.profile}, {"workspace", s.workspace},
          {"command", s.command}, {"published", s.published}, {"started", s.started}, {"pid", s.pid},
          {"lives", s.lives},     {"claimed", s.claimed},     {"labels", s.labels}};
}

// In place of a command: it runs what `bulkhead exec` names.
std::string what_lives(const session::SessionInfo& s) {
  std::string out = s.claimed ? "(lives, claimed)" : "(lives)";
  for (const auto& [name, value] : s.labels) out += " " + name + "=" + value;
  return escape_for_terminal(out, 60);
}

Result<void> ps(const PsOptions& options) {
  BH_TRY(const session::Paths paths, user_paths());
  BH_TRY(const session::Store store, session::Store::open_existing(paths));
  BH_TRY(std::vector<session::SessionInfo> sessions, store.list());
  BH_TRY(const auto labels, labels_of(options.labels));
  std::erase_if(sessions, [&](const session::SessionInfo& s) { return !s.alive || !has_labels(s.labels, labels); });
  std::string out;
  if (options.json) {
    nlohmann::json all = nlohmann::json::array();
    for (const auto& s : sessions) all.push_back(to_json(s));
    out = json_text(all);
  } else if (options.quiet) {
    for (const auto& s : sessions) out += s.id + "\n";
  } else {
    std::vector<std::vector<std::string>> rows = {{"ID", "TIER", "PROFILE", "STARTED", "PID", "WORKSPACE", "COMMAND"}};
    const bool any_published =
        std::ranges::any_of(sessions, [](const session::SessionInfo& s) { return !s.published.empty(); });
    if (any_published) rows.front().insert(rows.front().end() - 1, "PUBLISHED");
    for (const auto& s : sessions) {
      rows.push_back({s.id, escape_for_terminal(s.tier), s.profile.empty() ? "-" : escape_for_terminal(s.profile),
                      escape_for_terminal(s.started), std::to_string(s.pid), escape_for_terminal(s.workspace, 60),
                      s.lives ? what_lives(s) : command_line(s.command, 60)});
      if (any_published) {
        rows.back().insert(rows.back().end() - 1,
                           s.published.empty() ? "-" : escape_for_terminal(join(s.published, ", "), 60));
      }
    }
    out = table(rows);
  }
  std::fputs(out.c_str(), stdout);
  return {};
}

}  // namespace

void add_ps(CLI::App& root, Invocation& invocation) {
  CLI::App* command = root.add_subcommand("ps", "List running sessions");
  const auto options = std::make_shared<PsOptions>();
  command->add_flag("--json", options->json, "As a JSON array");
  command->add_flag("-q,--quiet", options->quiet, "Only the ids, one a line");
  add_label_option(*command, options->labels, "Only those with this label; may be repeated");
  command->footer("A session is listed while its supervisor lives. Times are UTC.");
  command->callback([options, &invocation] {
    if (options->json && options->quiet) throw usage("--json and --quiet exclude each other");
    invocation.action = [options] {
      const auto done = ps(*options);
      return done ? 0 : complain(done.error().message, exit_failed);
    };
  });
}

}  // namespace bulkhead::cli

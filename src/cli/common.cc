#include "cli/common.h"

#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <iterator>
#include <nlohmann/json.hpp>

#include "base/install.h"
#include "base/text.h"
#include "policy/project.h"
#include "trust/pins.h"

namespace bulkhead::cli {

namespace {

std::string variable(const char* name) {
  const char* value = ::getenv(name);
  return value != nullptr ? value : "";
}

Result<std::string> working_directory() {
  char buffer[PATH_MAX];
  if (::getcwd(buffer, sizeof buffer) == nullptr) return fail_errno("getcwd", "", errno);
  return std::string(buffer);
}

Result<Tier> tier_from(const std::string& name) {
  for (const Tier tier : {Tier::native, Tier::gvisor, Tier::vm}) {
    if (name == name_of(tier)) return tier;
  }
  return fail("there is no tier \"" + escape_for_terminal(name) + "\": native, gvisor or vm");
}

// Terminal columns, well enough: bytes that begin a character.
std::size_t width(const std::string& text) {
  return static_cast<std::size_t>(
      std::ranges::count_if(text, [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

}  // namespace

int complain(const std::string& text, int status) {
  std::fprintf(stderr, "bulkhead: %s\n", text.c_str());
  return status;
}

Result<session::Paths> user_paths() {
  return session::Paths::from({.home = variable("HOME"),
                               .xdg_state_home = variable("XDG_STATE_HOME"),
                               .xdg_config_home = variable("XDG_CONFIG_HOME"),
                               .xdg_runtime_dir = variable("XDG_RUNTIME_DIR"),
                               .xdg_cache_home = variable("XDG_CACHE_HOME")});
}

Result<session::SessionInfo> find_session(const std::vector<session::SessionInfo>& running, const std::string& id) {
  std::vector<const session::SessionInfo*> matches;
  for (const session::SessionInfo& s : running) {
    if (!id.empty() && s.id.starts_with(id)) matches.push_back(&s);
  }
  const std::string shown = "\"" + escape_for_terminal(id) + "\"";
  if (matches.empty()) return fail("no running session " + shown + "; bulkhead ps lists them");
  if (matches.size() > 1) {
    std::vector<std::string> ids;
    ids.reserve(matches.size());
    for (const session::SessionInfo* s : matches) ids.push_back(s->id);
    return fail(shown + " could be any of " + join(ids, ", ") + "; type more of it");
  }
  return *matches.front();
}

Result<PolicyRequest> policy_request(const PolicyOptions& options, const std::string& command) {
  if (options.no_profile && !options.profile.empty()) return fail("--profile and --no-profile exclude each other");
  PolicyRequest request;
  BH_TRY(const session::Paths paths, user_paths());
  BH_TRY(request.place.working_directory, working_directory());
  request.place.home = paths.home;
  request.flags.mounts = options.mounts;
  request.flags.environment = options.environment;
  request.flags.publish = options.publish;
  request.flags.allow_secrets = options.allow_secrets;
  request.flags.image = options.image;
  if (!options.tier.empty()) {
    BH_TRY(request.flags.tier, tier_from(options.tier));
  }
  request.policy_file = options.policy;
  request.user_file = paths.config + "/policy.toml";
  request.user_presets = paths.config + "/presets";
  request.profile = options.no_profile ? "none" : options.profile;
  request.command = command;
  BH_TRY(request.data_dir, data_directory());
  request.trusted_project = trust::trusted_hashes(paths.state, request.place.working_directory, project_policy_names());
  return request;
}

Result<PolicyRequest> policy_request_anywhere(const PolicyOptions& options, const std::string& command) {
  BH_TRY(PolicyRequest request, policy_request(options, command));
  const std::string home = absolute_path(request.place.home, request.place);
  const std::string here = absolute_path(request.place.working_directory, request.place);
  if (here == "/" || here == home || home.starts_with(here + "/")) request.place.working_directory = home + "/project";
  return request;
}

bool wants_colour(int fd) {
  return ::isatty(fd) == 1 && variable("NO_COLOR").empty() && variable("TERM") != "dumb";
}

Colours colours_for(int fd) {
  if (!wants_colour(fd)) return {};
  return {"\x1b[32m", "\x1b[33m", "\x1b[31m", "\x1b[2m", "\x1b[0m"};
}

std::string shown_line(std::string_view line, std::size_t limit) {
  std::string plain;
  for (const char c : line) plain += c == '\t' ? std::string("    ") : std::string(1, c);
  return escape_for_terminal(plain, limit);
}

std::string text_block(std::string_view text, std::size_t most_lines, const Colours& colours, bool is_diff) {
  std::string out;
  std::size_t lines = 0;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (++lines > most_lines) continue;
    const std::string_view colour = !is_diff                ? std::string_view()
                                    : line.starts_with('+') ? colours.good
                                    : line.starts_with('-') ? colours.bad
                                                            : colours.dim;
    out += "      | " + std::string(colour) + shown_line(line) + std::string(colour.empty() ? "" : colours.off) + "\n";
  }
  if (lines > most_lines)
    out += "      | … and " + std::to_string(lines - most_lines) + " more lines (--full shows them)\n";
  return out;
}

std::string json_text(const nlohmann::json& value) {
  return value.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

void print_json(const nlohmann::json& value) {
  std::fputs(json_text(value).c_str(), stdout);
}

std::string table(const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], width(row[i]));
  }
  std::string out;
  for (const auto& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      out += row[i];
      if (i + 1 < row.size()) out.append(widths[i] - width(row[i]) + 2, ' ');
    }
    out += '\n';
  }
  return out;
}

std::string command_line(const std::vector<std::string>& arguments, std::size_t limit) {
  std::string line;
  for (const std::string& argument : arguments) {
    if (!line.empty()) line += ' ';
    const bool plain = !argument.empty() && argument.find_first_of(" \t\n'\"\\$`*?<>|&;()[]{}#~!") == std::string::npos;
    if (plain) {
      line += argument;
    } else {
      line += '\'';
      for (const char c : argument) line += c == '\'' ? std::string("'\\''") : std::string(1, c);
      line += '\'';
    }
  }
  return escape_for_terminal(line, limit);
}

}  // namespace bulkhead::cli

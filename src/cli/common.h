// What the commands share: where the user's things are, and how we talk.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "policy/effective.h"
#include "session/state/state.h"

namespace bulkhead::cli {

inline constexpr int exit_failed = 1;
inline constexpr int exit_usage = 2;
inline constexpr int exit_held = 3;  // done, but for what waits for somebody's word (handoff/)

// `bulkhead: TEXT` on stderr; returns `status`. `text` is ours: hostile parts are escaped where they enter it.
int complain(const std::string& text, int status);

Result<session::Paths> user_paths();

// The one of `running` whose id begins with `id`.
Result<session::SessionInfo> find_session(const std::vector<session::SessionInfo>& running, const std::string& id);

// The options with which `run` and `policy show` find their policy.
struct PolicyOptions {
  std::string policy, profile, tier, image;
  std::vector<std::string> mounts, environment, publish, allow_secrets;
  bool no_profile = false;
};
Result<PolicyRequest> policy_request(const PolicyOptions& options, const std::string& command);
// For looking at a policy without starting anything: in the home folder or above it, where no session would start
// without saying what it mounts, it is looked at as from a folder below.
Result<PolicyRequest> policy_request_anywhere(const PolicyOptions& options, const std::string& command);

// May this stream have colour: a terminal, NO_COLOR unset (no-color.org), TERM not "dumb".
bool wants_colour(int fd);
struct Colours {
  std::string_view good, warn, bad, dim, off;
};
Colours colours_for(int fd);

// A line of somebody else's file as a person may see it.
std::string shown_line(std::string_view line, std::size_t limit = 400);
// Many of them, indented behind a bar.
std::string text_block(std::string_view text, std::size_t most_lines, const Colours& colours, bool is_diff);

// For people who pipe it, and for programs: indented, invalid UTF-8 replaced, a line end behind it.
std::string json_text(const nlohmann::json& value);
void print_json(const nlohmann::json& value);

// Columns padded to their widest cell (cells are escaped already), two spaces between, the last one not padded.
std::string table(const std::vector<std::vector<std::string>>& rows);

// Arguments as a shell would take them, escaped for a terminal, cut to `limit` bytes.
std::string command_line(const std::vector<std::string>& arguments, std::size_t limit);

}  // namespace bulkhead::cli

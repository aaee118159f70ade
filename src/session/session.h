// session/: the supervisor. It owns one session: plan, helpers, room, tier, terminal, lifetime, clean-up.
//
//   session.h    run(): from a Policy and a command to an exit status (this file)
//   plan.h       Policy -> tier::Plan: paths opened and judged, environment, tokens
//   machine.h    a machine that was saved, for a session that has one like it (tier vm)
//   keys.h       what in the mounts looks like a key, for the start line; reach.h the same for `policy show --reach`
//   view.h       what the workload sees of the host: /usr, parts of /etc, toolchains
//   projects.h   what nobody trusted in the project (trust/)
//   helpers.h    starting evidence, front and egress, each with its configuration
//   recorded.h   what goes into the evidence about a session's start
//   owner.h      what `bulkhead revoke` asks of a session that runs: control.h its socket, live_grants.h what holds
//   commands.h   the commands of a session that lives; execute.h is whoever asked for one
//   ask.h        `bulkhead run --ask`: asking.h the logic, policy_file.h where `always` is written
//   terminal.h   the user's terminal: raw mode, resize, filtering, draining
//   state.h      what is on disk about a session: who runs, since when; sweeping after a crash
//   identity.h   started as root: the unprivileged uid and id-mapped mounts
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "policy/effective.h"
#include "policy/policy.h"

namespace bulkhead::session {

// Exit statuses of Bulkhead's own (docs: bulkhead(1)).
inline constexpr int exit_failure = 125;
inline constexpr int exit_not_executable = 126;
inline constexpr int exit_not_found = 127;

// A template (template/): the session goes on from there, or makes it.
struct Saved {
  std::string name, image;  // image: the folder
  bool make = false;
  std::map<std::string, std::string> digests = {};  // SHA-256 of what is in there, where the tier checks it
  // Hears, with the caller's privileges, what it depends on here (tier.h, Isolation::shape). What it refuses is not
  // started.
  std::function<Result<void>(const std::map<std::string, std::string>& shape)> judge;
};

struct Options {
  Policy policy;
  PolicyRequest request;  // what it was made from, to be loaded again
  std::vector<std::string> command;
  bool quiet = false;  // no start line, no summary of denials
  // Set: the session has no command of its own and lives until it is stopped (`bulkhead start`, commands.h). Its id and
  // a line end are written here once it takes commands; from then on 0, 1 and 2 are /dev/null.
  std::optional<int> announce;
  // With `announce`: the session is also stopped when this, a pipe or a socket, is closed at its other end, by whatever
  // hand: whoever holds that may be killed.
  std::optional<int> until_closed;
  std::optional<Saved> saved;
  std::map<std::string, std::string> labels;  // of whoever starts it, for `ps` and the evidence
};

// What can be under way while the policy is still being read. Dropped, it takes back what it began.
class Begun {
 public:
  Begun(Begun&&) noexcept;
  ~Begun();

 private:
  struct State;
  explicit Begun(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
  friend Result<Begun> begin();
  friend Result<int> run(const Options& options, Begun begun);
};
Result<Begun> begin();

// Runs the session to its end. The value is the exit status for the shell; an Error means the session was
// never started or was stopped because a boundary failed.
Result<int> run(const Options& options, Begun begun);

}  // namespace bulkhead::session

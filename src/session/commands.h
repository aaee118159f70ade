// The commands of a session that lives (`bulkhead start`, then `bulkhead exec`). Each has a client, which speaks with
// it as a supervisor speaks with a shim (guest/protocol.h), through here:
//
//   client                             supervisor                            its attendant inside (guest/hold.h)
//   {"type":"exec","given":[…]}, with those of its 0, 1, 2 that are given
//                                 <-   {"ok":true}, or why not
//   Setup: what it wants          ->   what the session's policy says  ->
//                                 <-   Ready …                         <-
//   Go, Signal, Window, Continue, Finish   ->                          ->
//                                 <-   Started, Stopped, Continued, Exited, Failed
//
// Of the client's Setup count its command, variables, directory, pty, window and umask; limits, Landlock and all else
// are the session's. A client that goes away takes its command with it. What comes from inside is hostile: it is
// decoded and written anew, and a listener that comes with it goes to the broker only.
#pragma once

#include <poll.h>

#include <chrono>
#include <deque>
#include <functional>
#include <list>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "evidence/evidence.h"
#include "guest/mux.h"
#include "guest/protocol.h"

namespace bulkhead::session {

class Commands {
 public:
  using Clock = std::chrono::steady_clock;

  struct Session {
    shim::Setup setup;                   // each command's, but for what its client says
    std::set<std::string> fixed;         // variables that no client changes: they hold tokens
    int shim = -1;                       // the way to the one that holds the session
    int holder = -1;                     // the way to the broker
    UniqueFd stream;                     // with own_kernel
    std::function<Result<void>()> wake;  // before anything is told to the inside, which may be resting
  };
  void begin(Session session, evidence::Recorder& recorder);
  bool begun() const { return recorder_ != nullptr; }

  // Of the owner's: {"type":"exec",…}. What is wrong with it `client` is told.
  void start(UniqueFd client, const nlohmann::json& request, std::vector<UniqueFd> fds);
  // No more of them: the session ends. `why` is what those hear that run; the first one counts.
  void close(const std::string& why);
  // Nothing is inside any more: what it said last still reaches the clients, until `until` where they take it slowly.
  void finish(Clock::time_point until);

  void prepare(std::vector<pollfd>& fds);
  // An error ends the session.
  Result<void> handle(const std::vector<pollfd>& fds);

  // The shim's word for it, after so many commands.
  void empty(std::uint32_t begun) {
    empty_after_ = begun;
    emptied_ = Clock::now();
  }
  // No command runs, and nothing that one has left.
  bool nothing_inside() const { return begun() && commands_.empty() && empty_after_ == begun_; }
  // When a client is given up that has not said what it wants.
  std::optional<Clock::time_point> deadline() const;
  void check(Clock::time_point now);

  std::size_t running() const { return commands_.size(); }
  // Since when no command runs; and since when nothing does that one has left, either.
  Clock::time_point idle_since() const { return idle_since_; }
  Clock::time_point nothing_since() const { return std::max(idle_since_, emptied_); }

 private:
  struct Command {
    std::uint64_t number = 0;
    UniqueFd client, control;
    std::vector<UniqueFd> given;
    bool is_given[3] = {false, false, false};
    shim::SetupReader setup;
    bool set_up = false, recorded_end = false;
    Clock::time_point since = Clock::now();
    UniqueFd lane;                    // with own_kernel, for the client: what its pty says and is told
    std::deque<std::string> to_shim;  // on their way
    bool over = false;
  };

  void drain(Clock::time_point until);
  Result<Command> accept(const nlohmann::json& request, std::vector<UniqueFd>& fds);
  Result<void> lose(Command& command, const std::string& why);
  Result<void> from_client(Command& command);
  Result<void> from_shim(Command& command);
  Result<void> begin_inside(Command& command, const shim::Setup& wanted);
  Result<shim::Setup> merged(const shim::Setup& wanted) const;
  Result<void> connect(Command& command, const shim::Setup& setup);
  Result<void> connect_stream(Command& command, const shim::Setup& setup, UniqueFd theirs);
  void flush(Command& command);
  void tell_client(Command& command, const shim::ToSupervisor& message, int fd = -1);
  Result<void> record_start(const Command& command, const shim::Setup& setup);
  Result<void> record_end(Command& command, const nlohmann::json& how);

  Session session_;
  std::optional<shim::Mux> mux_;
  evidence::Recorder* recorder_ = nullptr;
  std::list<Command> commands_;
  std::vector<Command*> prepared_;
  std::size_t first_ = 0;
  std::uint64_t last_ = 0;
  std::uint32_t begun_ = 0, empty_after_ = 0;  // inside
  bool closed_ = false;
  std::string why_closed_;
  Clock::time_point idle_since_ = Clock::now(), emptied_ = idle_since_;
};

}  // namespace bulkhead::session

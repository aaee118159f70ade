// The supervisor as the one class it is, for the files that it is written in; nobody else needs this. Each of its
// functions stands in the file that is named above it.
#pragma once

#include <poll.h>

#include <chrono>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/trim.h"
#include "evidence/evidence.h"
#include "guest/protocol.h"
#include "room/room.h"
#include "session/ask.h"
#include "session/commands.h"
#include "session/disk_guard.h"
#include "session/helpers.h"
#include "session/kept.h"
#include "session/limits.h"
#include "session/logins.h"
#include "session/output.h"
#include "session/owner.h"
#include "session/parts.h"
#include "session/plan.h"
#include "session/report.h"
#include "session/supervisor.h"
#include "session/terminal/terminal.h"
#include "tier/tier.h"

namespace bulkhead::session {

class Supervisor {
 public:
  using Clock = std::chrono::steady_clock;
  using milliseconds = std::chrono::milliseconds;

  Supervisor(const Options& options, const Paths& paths, const Identity& identity, SessionDir& directory,
             room::Pending room)
      : options_(options),
        paths_(paths),
        policy_(options.policy),
        identity_(identity),
        directory_(directory),
        pending_room_(std::move(room)) {}

  // Once. The value is the exit status for the shell.
  Result<int> run();

 private:
  static constexpr auto term_grace = std::chrono::seconds(3);  // between SIGTERM and SIGKILL

  struct Source {
    int fd;
    short events;
    void (Supervisor::*ready)(std::size_t index);
    std::size_t index;
  };

  // ---- supervisor_begin.cc: up to the gate

  // Nobody can be asked without a terminal in front of the session; then what is not granted is denied, as always.
  void decide_asking();
  // Everything that needs the caller's own privileges: opening. As root, they end here.
  Result<void> prepare();
  Result<void> plan_template(Sources& sources);
  std::vector<std::uint16_t> room_ports() const;
  Result<void> furnish_room() { return room::furnish(pending_room_, room_ports()); }
  Result<void> start();
  Result<void> record_start(const nlohmann::json& policy);
  // In-memory folders of the session's that no mount of the policy covers.
  std::vector<std::string> own_folders() const;
  // The CA does not exist yet: the tier reads these pipes while it sets up, and waits at them if it is
  // faster.
  Result<void> add_ca_files();
  shim::Setup make_setup();
  Result<void> send_setup();
  void maybe_open_gate();
  void record_machine(const std::vector<std::string>& notes);

  // ---- supervisor.cc: the loop and what ends it

  void say(const std::string& text) const {
    if (!options_.quiet) tell(text);
  }
  // … also where nothing is to be said of the session itself.
  static void tell(const std::string& text) { std::fprintf(stderr, "bulkhead: %s\n", text.c_str()); }
  void watch(int fd, void (Supervisor::*ready)(std::size_t), std::size_t index = 0, short events = POLLIN) {
    if (fd >= 0) sources_.push_back({fd, events, ready, index});
  }
  Result<int> loop();
  static bool is_end(const Source& source);
  int poll_timeout() const;
  milliseconds look_at_memory_each() const;
  void check_time();
  // Before the gate is open.
  std::string awaited() const;
  bool others_ready() const;
  // Not while it ends: its kernel ends them then.
  bool looks_at_parts() const;
  // A session that lives and has had nothing to do for that long.
  std::optional<Clock::time_point> idle_deadline() const;
  // Where nothing runs inside, what runs it need not either. A published port would have to wake it.
  std::optional<Clock::time_point> rest_deadline() const;
  void rest();
  Result<void> wake();
  // Ends the session for a reason of ours; the first reason is the one that is told.
  void stop(const std::string& reason);
  void kill_tier();
  // Why it ended check_time() sees.
  void on_carrier_end(std::size_t) { output_.reap(); }
  void on_owner(std::size_t fd);
  void on_signal(std::size_t);
  void end_in_order(int signal);
  // Nobody is left whom the session is for.
  void on_let_go(std::size_t);

  // ---- supervisor_inside.cc: what the tier, the shim and the room say

  void tell_shim(const shim::ToShim& message);
  void on_tier_end(std::size_t);
  // What the shim said last can come together with its end.
  void drain_shim();
  void on_shim(std::size_t);
  void on_tier_message(std::size_t) { collect(tier_.messages, tier_messages_); }
  void on_holder(std::size_t);
  void on_holder_end(std::size_t);
  // Hands the filter's listener to whoever connects for the workload.
  Result<void> give_listener(const UniqueFd& listener, const std::vector<std::uint64_t>& devices);
  Result<void> tell_own(const std::vector<std::uint64_t>& devices);
  // The session lives: from here on commands may come, and nobody looks at what started it any more.
  Result<void> take_commands(const std::vector<std::uint64_t>& devices);

  // ---- supervisor_helpers.cc: what the helpers say

  void on_evidence_ack(std::size_t);
  void on_reader_end(std::size_t);
  void on_helper_end(std::size_t index);
  void on_helper(std::size_t index);
  // What a control file's name kept the workload from (keep/refusals.h).
  void on_refused(const nlohmann::json& object);
  void on_helper_message(std::size_t index);
  // Appends what a pipe has; closes it at its end. Bounded: of too much the end is kept.
  static void collect(UniqueFd& pipe, std::string& into);

  // ---- supervisor_end.cc: everything comes to its end

  // The workload is gone and all it said is heard: the helpers end while the tier does.
  void begin_end();
  // Of a session that ended by itself or was asked to: what one leaves that broke is nobody's result.
  void collect_outputs();
  // Who has still to record what was told last.
  void judge(Helper& helper, Result<int>& ended);
  void wind_down(Result<int>& ended);
  // Once front has nothing more to ask it.
  void end_egress();
  // What a helper has not yet reported comes once it is told that the session is over. When its socket closes, what it
  // had for evidence is sent.
  void hear_out(std::size_t index, Clock::time_point until);

  // ---- what it has

  const Options& options_;
  const Paths& paths_;
  Policy policy_;
  const Identity& identity_;
  SessionDir& directory_;
  room::Pending pending_room_;
  const Clock::time_point started_ = Clock::now();

  UniqueFd signals_, log_;
  std::vector<UniqueFd> published_;  // until the relay has them
  CaPipes ca_;
  std::unique_ptr<tier::Isolation> isolation_;
  Planned planned_;
  std::vector<KeptMount> kept_;
  std::vector<Changing> changing_;  // until the helper has them
  nlohmann::json protected_names_;
  HelperFiles files_;
  CredentialReader reader_;
  Logins logins_;  // until the helpers have them
  Credentials credentials_;
  Helpers helpers_;
  std::optional<evidence::Recorder> recorder_;
  room::Room room_;
  tier::Started tier_;
  std::optional<Terminal> terminal_;
  Denials denials_;
  Owner owner_;
  Commands commands_;
  shim::Setup setup_;
  Ask ask_;
  StartupTrim trim_;
  DiskGuard disks_;
  std::vector<std::string> missing_, writable_;
  std::vector<Source> sources_;

  bool waiting_for_evidence_ = false, front_ready_ = false, shim_ready_ = false, gate_open_ = false;
  bool resting_ = false;
  std::vector<UniqueFd> stopped_ones_;  // while it rests
  bool listening_ = false, ending_ = false;
  bool shim_closed_ = false, tier_ended_ = false, stopped_ = false, let_go_ = false;
  std::size_t others_ready_ = 0;       // every egress, the relay, who is told of processes
  std::string saved_name_, why_boot_;  // tier vm
  std::string tier_messages_, failure_;
  int status_ = exit_failure;
  std::optional<int> shim_failed_;
  std::string not_executed_;
  std::optional<shim::Exited> exited_;
  std::optional<Clock::time_point> deadline_, session_deadline_, kill_at_, finish_at_;
  Clock::time_point memory_checked_ = Clock::now(), cpu_checked_ = Clock::now();
  CpuTime cpu_;
  Parts parts_;
  Output output_;
};

}  // namespace bulkhead::session

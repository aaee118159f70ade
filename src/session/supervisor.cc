#include "session/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/install.h"
#include "base/ipc.h"
#include "base/sys.h"
#include "base/text.h"
#include "base/trim.h"
#include "gateway/gateway.h"
#include "guest/protocol.h"
#include "session/ask.h"
#include "session/commands.h"
#include "session/disk_guard.h"
#include "session/environment.h"
#include "session/helpers.h"
#include "session/job_signals.h"
#include "session/kept.h"
#include "session/limits.h"
#include "session/logins.h"
#include "session/machine.h"
#include "session/output.h"
#include "session/owner.h"
#include "session/parts.h"
#include "session/plan.h"
#include "session/projects.h"
#include "session/publish.h"
#include "session/recorded.h"
#include "session/report.h"
#include "session/reviews.h"
#include "session/state/guarantees.h"
#include "session/terminal/terminal.h"

namespace bulkhead::session {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr auto start_deadline = std::chrono::seconds(30), machine_start_deadline = std::chrono::seconds(180);
constexpr auto term_grace = std::chrono::seconds(3);       // between SIGTERM and SIGKILL
constexpr auto helper_grace = milliseconds(1000);          // for helpers to end once told
constexpr auto evidence_grace = std::chrono::seconds(10);  // for a slow disk
constexpr auto record_grace = std::chrono::seconds(10);    // for who has still to record what was told last
constexpr auto rest_after = std::chrono::seconds(1);       // of nothing inside
constexpr auto memory_interval = milliseconds(250);
constexpr auto cpu_interval = milliseconds(250);
constexpr auto memory_interval_alone = milliseconds(50);  // where no resource limit holds a single process

class Supervisor {
 public:
  Supervisor(const Options& options, const Paths& paths, const Identity& identity, SessionDir& directory,
             room::Pending room)
      : options_(options),
        paths_(paths),
        policy_(options.policy),
        identity_(identity),
        directory_(directory),
        pending_room_(std::move(room)) {}

  Result<int> run() {
    BH_TRY(signals_, receive_job_signals());
    if (!identity_.from_root) BH_CHECK(furnish_room());
    BH_CHECK(prepare());
    Result<int> ended = exit_failure;
    if (auto started = start(); started) {
      ended = loop();
    } else {
      ended = tl::unexpected(std::move(started).error());
    }
    if (terminal_) terminal_->close();
    // Not before: a terminal in raw mode would show it as a staircase.
    if (!not_executed_.empty()) std::fprintf(stderr, "bulkhead: %s\n", not_executed_.c_str());
    wind_down(ended);
    return ended;
  }

 private:
  void say(const std::string& text) const {
    if (!options_.quiet) std::fprintf(stderr, "bulkhead: %s\n", text.c_str());
  }

  // Nobody can be asked without a terminal in front of the session; then what is not granted is denied, as always.
  void decide_asking() {
    const std::string why = policy_.ask ? why_not_asked(::getenv("TERM")) : "";
    if (why.empty()) return;
    policy_.ask = false;
    if (options_.request.flags.ask) say("--ask: " + why + "; what is not granted is denied");
  }

  // Everything that needs the caller's own privileges: opening. As root, they end here.
  Result<void> prepare() {
    decide_asking();
    BH_TRY(isolation_, tier::open_tier(policy_));
    BH_CHECK(isolation_->accepts(policy_));
    if (options_.announce && policy_.limits.output) {
      return fail(
          "limits.output: what a command of a session that lives writes goes to whoever called `bulkhead exec`, who "
          "has --max-output; leave the limit out, or use `bulkhead run`");
    }
    if (!policy_.processes) policy_.processes = isolation_->tells();
    if (!policy_.files) policy_.files = policy_.tier == Tier::vm;
    BH_TRY(files_, open_helper_files(policy_));
    std::vector<std::uint16_t> taken = room_ports();
    taken.push_back(53);
    BH_CHECK(check_inside(policy_.publish, taken));
    BH_TRY(published_, listen_for(policy_.publish));
    BH_TRY(Sources sources, Sources::make(identity_));
    char cwd[4096];
    if (::getcwd(cwd, sizeof cwd) == nullptr) return fail_errno("getcwd", "", errno);
    BH_TRY(const review::Reviews reviews, open_reviews(policy_, paths_));
    BH_TRY(logins_, start_logins(policy_, identity_, sources));
    const PlanOf of{directory_.id(), directory_.directory(),  cwd, paths_, options_.command,
                    &reviews,        std::move(logins_.files)};
    BH_TRY(planned_, make_plan(policy_, options_.request, identity_, sources, of));
    BH_CHECK(plan_template(sources));
    BH_TRY(const UniqueFd state, sys::open(paths_.state, O_PATH | O_DIRECTORY));
    BH_CHECK(disks_.watch(state.get(), paths_.state));  // evidence, reviews, copies and what is kept
    for (const auto& mount : planned_.plan.mounts) {
      if (mount.mode == MountMode::ro) continue;
      writable_.push_back(mount.target);
      BH_CHECK(disks_.watch(mount.source.get(), mount.target));
      // A review's changes are the review's to show, and a private copy goes with the session.
      if (!*policy_.files || mount.mode == MountMode::review || mount.output || mount.host.empty()) continue;
      BH_TRY(UniqueFd top, sys::duplicate(mount.source.get()));
      changing_.push_back({mount.target, std::move(top)});
    }
    BH_TRY(kept_, prepare_kept(planned_, identity_, sources, directory_));
    BH_TRY(protected_names_, protected_names(kept_, options_.request.data_dir, paths_));
    BH_TRY(reader_, CredentialReader::start(policy_, identity_));
    if (identity_.from_root) {  // it reads what root may read, and then gives that up, too
      BH_TRY(credentials_, reader_.finish(policy_, signals_.get()));
    }
    log_ = directory_.take_log();
    BH_CHECK(owner_.open(directory_.directory(), options_.announce.has_value()));
    if (policy_.ask) BH_CHECK(ask_.prepare(options_, !identity_.from_root));
    // A session that lives has nobody in front of it; until it does, stderr is for what it says itself.
    BH_TRY(Terminal terminal, options_.announce ? Terminal::open({0, 1, 1}) : Terminal::open({0, 1, 2}));
    terminal_.emplace(std::move(terminal));
    UniqueFd holder;
    if (identity_.from_root) {
      BH_TRY(holder, open_holder());
    }
    BH_CHECK(sources.drop_privileges());
    // It is to be the session's uid's.
    if (identity_.from_root) {
      BH_TRY(pending_room_, room::begin(holder.get()));
      BH_CHECK(furnish_room());
    }
    return {};
  }

  Result<void> plan_template(Sources& sources) {
    std::optional<Saved> wanted = options_.saved;
    if (wanted) {
      BH_TRY(const auto shape, isolation_->shape(planned_.plan));
      BH_CHECK(wanted->judge(shape));
    } else {
      const std::size_t notes = planned_.notes.size();
      wanted = saved_machine(paths_, *isolation_, planned_);
      if (planned_.notes.size() > notes) why_boot_ = planned_.notes.back();
    }
    if (!wanted) return {};
    tier::PlannedTemplate saved;
    saved.make = wanted->make;
    saved.digests = std::move(wanted->digests);
    saved.folder.described = "template " + wanted->name;
    saved_name_ = wanted->name;
    BH_TRY(UniqueFd folder, sources.open(wanted->image));
    if (saved.make) BH_CHECK(disks_.watch(folder.get(), wanted->image));
    BH_TRY(saved.folder.source, sources.mountable(std::move(folder), saved.folder.described));
    planned_.plan.saved = std::move(saved);
    return {};
  }

  std::vector<std::uint16_t> room_ports() const {
    std::vector<std::uint16_t> ports{80, 443, 22, proxy_port};
    for (const Grant& grant : policy_.grants) {
      const bool known = grant.port == 53 || std::find(ports.begin(), ports.end(), grant.port) != ports.end();
      if (!known) ports.push_back(grant.port);
    }
    return ports;
  }

  Result<void> furnish_room() { return room::furnish(pending_room_, room_ports()); }

  Result<void> start() {
    BH_TRY(room_, room::finish(std::move(pending_room_)));
    BH_CHECK(add_ca_files());
    const bool(&pty)[3] = terminal_->layout().pty;
    int stdio[3] = {pty[0] ? -1 : 0, pty[1] ? -1 : 1, options_.announce ? 1 : pty[2] ? -1 : 2};
    BH_CHECK(output_.begin(stdio, policy_.limits.output));
    sys::Pair tracing;
    if (files_.trace) {
      BH_TRY(tracing, sys::socket_pair(SOCK_SEQPACKET));
      planned_.plan.tracing = std::move(tracing.first);
    }
    BH_TRY(tier_, isolation_->start(planned_.plan, room_, stdio));
    planned_.plan.tracing.reset();
    output_.close_pipes();
    BH_CHECK(sys::set_nonblocking(tier_.messages.get(), true));
    const nlohmann::json policy = policy_event(policy_, planned_);
    planned_.plan.system.clear();
    planned_.plan.mounts.clear();
    planned_.plan.files.clear();
    planned_.plan.image.reset();
    planned_.plan.saved.reset();
    // The tier's program is busy with its mounts for a while and then waits at the CA and the gate: time for the
    // helpers to come up.
    BH_TRY(helpers_, start_helpers(files_, policy_, directory_.id(), std::move(ca_)));
    if (tracing.second) BH_CHECK(start_trace(helpers_, files_, tracing.second.get()));
    BH_CHECK(start_changes(helpers_, files_, changing_));
    changing_.clear();
    BH_CHECK(serve_kept(kept_, protected_names_, policy_.tier == Tier::vm, helpers_, files_));
    helpers_.logins = std::move(logins_.helpers);
    if (!identity_.from_root) {
      BH_TRY(credentials_, reader_.finish(policy_, signals_.get()));
    }
    add_logins(credentials_, logins_);
    drop_idle_egress(helpers_, policy_);
    BH_CHECK(configure_egress(helpers_, directory_.id(), policy_, files_, credentials_));
    files_ = HelperFiles();
    BH_CHECK(configure_front(helpers_, directory_.id(), policy_, room_, credentials_));
    BH_CHECK(configure_relay(helpers_, policy_, room_, std::move(published_), isolation_->own_kernel()));
    published_.clear();
    room_.sockets.clear();
    BH_CHECK(configure_evidence(helpers_, directory_.id(), std::move(log_)));
    recorder_.emplace(std::move(helpers_.supervisor_evidence));
    BH_CHECK(record_start(policy));
    BH_CHECK(send_setup());
    deadline_ = Clock::now() + (policy_.tier == Tier::vm ? machine_start_deadline : start_deadline);
    return {};
  }

  Result<void> record_start(const nlohmann::json& policy) {
    for (const Missing& missing : start_line_missing(policy_.tier)) missing_.push_back(missing.what);
    for (const std::string& what : isolation_->lacks()) missing_.push_back(what);
    for (const Missing& missing : missing_by_policy(policy_)) missing_.push_back(missing.what);
    BH_CHECK(recorder_->record("session.policy", policy));
    for (const Untrusted& project : planned_.projects.untrusted) {
      if (project.verdict.trusted() && !project.hidden) continue;
      BH_CHECK(recorder_->record("trust.untrusted", untrusted_event(project)));
    }
    for (const review::Review& review : planned_.reviews) {
      BH_CHECK(recorder_->record("review.open", {{"review", review.info().id}, {"folder", review.info().folder}}));
    }
    for (const TokenSlot& token : credentials_.tokens) {
      const Credential& credential = policy_.credentials.at(token.credential);
      if (token.issued && !credential.login) continue;  // egress records what servers hand out
      BH_CHECK(recorder_->record("credential.release", {{"credential", token.credential},
                                                        {"read_from", source_name(credential)},
                                                        {"to", "egress:" + token.credential}}));
    }
    if (const std::string& name = policy_.upstream.credential; !name.empty() && !helpers_.egress.empty()) {
      BH_CHECK(recorder_->record(
          "credential.release",
          {{"credential", name}, {"read_from", source_name(policy_.credentials.at(name))}, {"to", "proxy"}}));
    }
    // On the disk before an egress is handed any secret, and before the workload runs.
    BH_CHECK(
        recorder_->begin_sync("session.start", start_event(options_, planned_.workspace, identity_.uid, missing_)));
    waiting_for_evidence_ = true;
    return {};
  }

  // In-memory folders of the session's that no mount of the policy covers.
  std::vector<std::string> own_folders() const {
    std::vector<std::string> folders = planned_.plan.tmpfs;
    folders.emplace_back("/dev/shm");
    std::erase_if(folders, [&](const std::string& path) {
      return std::any_of(planned_.plan.mounts.begin(), planned_.plan.mounts.end(),
                         [&](const auto& mount) { return mount.target == path; });
    });
    return folders;
  }

  // The CA does not exist yet: the tier reads these pipes while it sets up, and waits at them if it
  // is faster.
  Result<void> add_ca_files() {
    const auto late = [&](const char* target, UniqueFd& writer) -> Result<void> {
      BH_TRY(sys::Pair pipe, sys::pipe());
      planned_.plan.files.push_back({target, "", std::move(pipe.first)});
      writer = std::move(pipe.second);
      return {};
    };
    BH_CHECK(late(ca_bundle_path, ca_.pem));
    planned_.plan.links.push_back({"/etc/ssl/cert.pem", "certs/ca-certificates.crt"});
    return late("/etc/ssl/certs/java/cacerts", ca_.java);
  }

  shim::Setup make_setup() {
    shim::Setup setup;
    setup.arguments = options_.command;
    setup.hold = options_.announce.has_value();
    for (const auto& [name, value] : make_environment(policy_, identity_, credentials_.tokens, planned_.visible,
                                                      planned_.image ? &planned_.image->environment : nullptr)) {
      setup.environment.push_back(name + "=" + value);
    }
    setup.directory = planned_.directory;
    setup.environment.push_back("PWD=" + setup.directory);
    for (int i = 0; i < 3; ++i) setup.pty[i] = terminal_->layout().pty[i];
    setup.window = terminal_->window();
    setup.limits = process_limits(policy_.limits);
    setup.uid = identity_.uid;
    setup.gid = identity_.gid;
    setup.mask = ::umask(0);
    ::umask(setup.mask);
    setup.own_kernel = isolation_->own_kernel();
    setup.set_group = planned_.plan.set_group;
    if (setup.own_kernel) {
      setup.plain_pty = terminal_->plain_pty();
      setup.folders = planned_.plan.folders;
      for (const tier::PlannedLink& link : planned_.plan.links) setup.links.push_back({link.target, link.to});
    }
    setup.rules = {{"/", shim::Access::run}, {"/dev", shim::Access::write}, {"/proc", shim::Access::write}};
    for (const std::string& path : planned_.plan.tmpfs) setup.rules.push_back({path, shim::Access::full});
    setup.rules.push_back({"/dev/shm", shim::Access::full});
    setup.own = own_folders();
    for (const std::string& path : writable_) setup.rules.push_back({path, shim::Access::full});
    return setup;
  }

  Result<void> send_setup() {
    setup_ = make_setup();
    BH_TRY(const std::vector<std::string> datagrams, shim::encode(setup_));
    for (const std::string& datagram : datagrams) {
      // A tier whose program died has no reader; its own end, seen in the loop, says why.
      if (auto sent = ipc::send(tier_.control.get(), std::string_view(datagram)); !sent && sent.error().code != EPIPE) {
        return sent;
      }
    }
    return {};
  }

  // ---- the loop
  // -----------------------------------------------------------------------------------------

  struct Source {
    int fd;
    short events;
    void (Supervisor::*ready)(std::size_t index);
    std::size_t index;
  };

  void watch(int fd, void (Supervisor::*ready)(std::size_t), std::size_t index = 0, short events = POLLIN) {
    if (fd >= 0) sources_.push_back({fd, events, ready, index});
  }

  Result<int> loop() {
    if (policy_.limits.duration) {
      session_deadline_ = Clock::now() + *policy_.limits.duration;
    }
    while (!tier_ended_) {
      sources_.clear();
      watch(signals_.get(), &Supervisor::on_signal);
      if (options_.until_closed && !let_go_) watch(*options_.until_closed, &Supervisor::on_let_go, 0, 0);
      watch(tier_.process.pidfd(), &Supervisor::on_tier_end);
      watch(shim_closed_ ? -1 : tier_.control.get(), &Supervisor::on_shim);
      watch(tier_.messages.get(), &Supervisor::on_tier_message);
      watch(room_.holder ? room_.holder.pidfd() : -1, &Supervisor::on_holder_end);
      watch(room_.control.get(), &Supervisor::on_holder);
      watch(reader_.pidfd(), &Supervisor::on_reader_end);
      if (!output_.over()) {
        for (const int fd : output_.pidfds()) watch(fd, &Supervisor::on_carrier_end);
      }
      if (waiting_for_evidence_) watch(recorder_->socket(), &Supervisor::on_evidence_ack);
      for (const int fd : owner_.listening()) watch(fd, &Supervisor::on_owner, static_cast<std::size_t>(fd));
      const std::vector<Helper*> helpers = helpers_.all();
      for (std::size_t i = 0; i < helpers.size(); ++i) {
        watch(helpers[i]->child ? helpers[i]->child.pidfd() : -1, &Supervisor::on_helper_end, i);
        watch(helpers[i]->control.get(), &Supervisor::on_helper, i);
        watch(helpers[i]->messages.get(), &Supervisor::on_helper_message, i);
      }
      std::vector<pollfd> fds;
      for (const Source& source : sources_) fds.push_back({source.fd, source.events, 0});
      terminal_->prepare(fds);
      commands_.prepare(fds);
      const int n = ::poll(fds.data(), fds.size(), poll_timeout());
      if (n < 0 && errno != EINTR) return fail_errno("poll", "", errno);
      // Messages before ends: what a helper said last explains why it is gone.
      const std::vector<Source> sources = sources_;
      for (const bool ends : {false, true}) {
        for (std::size_t i = 0; i < sources.size() && n > 0; ++i) {
          if (fds[i].revents != 0 && is_end(sources[i]) == ends) (this->*sources[i].ready)(sources[i].index);
        }
      }
      if (n >= 0) {
        if (auto handled = terminal_->handle(fds); !handled) stop("the terminal failed: " + handled.error().message);
        if (auto handled = commands_.handle(fds); !handled && !shim_closed_ && !exited_) stop(handled.error().message);
      }
      check_time();
      if (failure_.empty()) {
        if (auto done = ask_.step(Clock::now()); !done) stop(done.error().message);
      }
      maybe_open_gate();
    }
    const bool passed_on = output_.finish(stopped_ || !failure_.empty() ? -1 : signals_.get());
    if (failure_.empty() && output_.over()) failure_ = "the session reached its limit: output";
    if (!failure_.empty()) return fail(failure_);
    if (!passed_on) say("not all that the command wrote could be passed on");
    return status_;
  }

  static bool is_end(const Source& source) {
    return source.ready == &Supervisor::on_tier_end || source.ready == &Supervisor::on_helper_end ||
           source.ready == &Supervisor::on_holder_end;
  }

  int poll_timeout() const {
    if (finish_at_ && terminal_->flushed()) return 0;
    std::optional<Clock::time_point> next;
    const auto consider = [&](const std::optional<Clock::time_point>& at) {
      if (at && (!next || *at < *next)) next = at;
    };
    consider(deadline_);
    consider(session_deadline_);
    consider(kill_at_);
    consider(finish_at_);
    consider(owner_.deadline());
    consider(ask_.deadline());
    consider(terminal_->deadline());
    consider(disks_.deadline());
    consider(commands_.deadline());
    consider(idle_deadline());
    consider(rest_deadline());
    if (policy_.limits.memory && !resting_) consider(Clock::now() + look_at_memory_each());
    if (policy_.limits.cpu && !resting_) consider(Clock::now() + cpu_interval);
    if (looks_at_parts()) consider(parts_.deadline());
    if (!next) return trim_.timeout(-1);
    const auto left = std::chrono::duration_cast<milliseconds>(*next - Clock::now()).count();
    return trim_.timeout(static_cast<int>(std::clamp<std::int64_t>(left + 1, 0, 60'000)));
  }

  milliseconds look_at_memory_each() const {
    return isolation_->own_kernel() ? memory_interval_alone : memory_interval;
  }

  void check_time() {
    trim_.check();
    const Clock::time_point now = Clock::now();
    if (deadline_ && now >= *deadline_) stop("the session did not start in time (" + awaited() + ")");
    if (session_deadline_ && now >= *session_deadline_) {
      session_deadline_.reset();
      stop("the session reached its limit: duration");
    }
    commands_.check(now);
    if (const auto idle = idle_deadline(); idle && now >= *idle) stop("the session reached its limit: idle");
    if (kill_at_ && now >= *kill_at_) kill_tier();
    if (auto done = owner_.check(now); !done) stop(done.error().message);
    if (auto enough = disks_.check(now); !enough) stop(enough.error().message);
    if (finish_at_ && (now >= *finish_at_ || terminal_->flushed())) {
      finish_at_.reset();
      tell_shim(shim::Finish{});
      begin_end();
    }
    output_.pty(terminal_->take_count());
    if (output_.over()) {
      stop("the session reached its limit: output");
      terminal_->end_output();  // what is killed may write on until it has heard of that
    }
    if (policy_.limits.cpu && !resting_ && now - cpu_checked_ >= cpu_interval) {
      cpu_checked_ = now;
      if (cpu_.used(tier_.process.pid()) >= *policy_.limits.cpu) stop("the session reached its limit: cpu");
    }
    if (const auto at = rest_deadline(); at && now >= *at) rest();
    if (looks_at_parts() && parts_.lost(*isolation_, tier_.process, now)) {
      stop(std::string(
               "somebody on this machine, or its kernel for want of memory, killed one of the processes that the ") +
           name_of(policy_.tier) + " tier runs the session on");
    }
    if (policy_.limits.memory && !resting_ && now - memory_checked_ >= look_at_memory_each()) {
      memory_checked_ = now;
      if (anonymous_memory(tier_.process.pid()) + isolation_->memory(tier_.process) > *policy_.limits.memory) {
        stop("the session reached its limit: memory");
      }
    }
  }

  // Before the gate is open.
  std::string awaited() const {
    std::string out;
    const auto add = [&](bool waits, const char* what) {
      if (waits) out += (out.empty() ? "nothing was heard of " : ", ") + std::string(what);
    };
    add(!shim_ready_, policy_.tier == Tier::vm ? "the machine" : "what starts the command");
    add(!front_ready_, "the gateway");
    add(waiting_for_evidence_, "the record's first lines");
    add(!others_ready(), "a helper");
    return out;
  }

  bool others_ready() const {
    return others_ready_ >= helpers_.egress.size() + helpers_.keeps.size() + helpers_.logins.size() +
                                (helpers_.relay ? 1 : 0) + (helpers_.trace ? 1 : 0) + (helpers_.changes ? 1 : 0);
  }

  // Not while it ends: its kernel ends them then.
  bool looks_at_parts() const {
    return isolation_->own_kernel() && gate_open_ && !exited_ && !ending_ && !resting_ && !stopped_ && failure_.empty();
  }

  // A session that lives and has had nothing to do for that long.
  std::optional<Clock::time_point> idle_deadline() const {
    if (!commands_.begun() || !policy_.limits.idle || commands_.running() > 0 || !failure_.empty()) return std::nullopt;
    return commands_.idle_since() + *policy_.limits.idle;
  }

  // Where nothing runs inside, what runs it need not either. A published port would have to wake it.
  std::optional<Clock::time_point> rest_deadline() const {
    if (resting_ || !commands_.nothing_inside() || !policy_.publish.empty() || stopped_) return std::nullopt;
    return commands_.nothing_since() + rest_after;
  }
  void rest() {
    resting_ = true;
    stopped_ones_ = isolation_->rest(tier_.process);
  }
  Result<void> wake() {
    resting_ = false;
    for (const UniqueFd& one : std::exchange(stopped_ones_, {})) {
      // One that is gone ends the session anyway.
      if (auto done = sys::pidfd_send_signal(one.get(), SIGCONT); !done && done.error().code != ESRCH) return done;
    }
    return {};
  }

  // Ends the session for a reason of ours; the first reason is the one that is told.
  void stop(const std::string& reason) {
    if (failure_.empty()) failure_ = reason;
    commands_.close(failure_);
    kill_tier();
  }

  void kill_tier() {
    kill_at_.reset();
    deadline_.reset();
    if (tier_.process) (void)tier_.process.signal(SIGKILL);
  }

  // The workload is gone and all it said is heard: the helpers end while the tier does.
  void begin_end() {
    ending_ = true;
    if (recorder_) (void)ask_.close();  // evidence that is gone is told of below
    (void)::shutdown(helpers_.front.control.get(), SHUT_WR);
    if (helpers_.relay && helpers_.relay->control) (void)::shutdown(helpers_.relay->control.get(), SHUT_WR);
    room_.control.reset();
  }

  void tell_shim(const shim::ToShim& message) {
    if (!shim_closed_) (void)ipc::send(tier_.control.get(), std::string_view(shim::encode(message)));
  }

  void maybe_open_gate() {
    if (gate_open_ || !shim_ready_ || !front_ready_ || waiting_for_evidence_ || !failure_.empty() || !others_ready()) {
      return;
    }
    gate_open_ = true;
    deadline_.reset();
    say(start_line(policy_, planned_, missing_));
    for (const std::string& line : planned_.notes) say(line);
    on_tier_message(0);
    const std::vector<std::string> notes = take_notes(tier_messages_);
    for (const std::string& line : notes) say(line);
    if (policy_.tier == Tier::vm) record_machine(notes);
    for (const std::string& line : lines_about(planned_.projects)) say(line);
    if (!planned_.keys.empty()) say(planned_.keys);
    for (const std::string& line : publish_warnings(policy_.publish)) say(line);
    for (const std::string& line : credentials_.closed) say(line + " (its grants stay closed)");
    for (const std::string& line : credentials_.notes) say(line);
    // Before the workload's first word: a terminal in its own settings would double its line ends.
    if (auto done = terminal_->start(); !done) return stop(done.error().message);
    tell_shim(shim::Go{});
    owner_.begin(options_, policy_.grants, helpers_, *recorder_, commands_);
    if (policy_.ask) ask_.begin(options_, *terminal_, owner_, *recorder_, helpers_.front.control.get());
  }

  void record_machine(const std::vector<std::string>& notes) {
    nlohmann::json event{{"began", take_went_on(tier_messages_) ? "saved" : "boot"}};
    if (!saved_name_.empty()) event["saved"] = saved_name_;
    if (!notes.empty()) why_boot_ = notes.back();
    if (!why_boot_.empty()) event["why"] = why_boot_;
    if (auto done = recorder_->record("session.machine", event); !done) stop(done.error().message);
  }

  // Why it ended check_time() sees.
  void on_carrier_end(std::size_t) { output_.reap(); }

  void on_owner(std::size_t fd) {
    if (auto done = owner_.ready(static_cast<int>(fd)); !done) stop(done.error().message);
  }

  void on_signal(std::size_t) {
    signalfd_siginfo info{};
    while (::read(signals_.get(), &info, sizeof info) == sizeof info) {
      const int number = static_cast<int>(info.ssi_signo);
      switch (number) {
        case SIGWINCH:
          terminal_->resize();
          if (auto done = ask_.resized(); !done) stop(done.error().message);
          break;
        case SIGINT:
        case SIGQUIT:
          if (!gate_open_) return stop("interrupted");
          tell_shim(shim::Signal{number, terminal_->layout().any()});
          break;
        case SIGTERM:
        case SIGHUP:
          if (!gate_open_) return stop("interrupted");
          end_in_order(number);
          break;
        case SIGTSTP:
          if (gate_open_) tell_shim(shim::Signal{SIGSTOP, false});
          stop_as_a_job();
          if (gate_open_) tell_shim(shim::Continue{});  // also where it did not stop
          break;
        case SIGCONT:
          // Perhaps in the foreground now, where it was not before.
          if (auto done = terminal_->resume(); !done) stop(done.error().message);
          if (gate_open_) tell_shim(shim::Continue{});
          break;
        default:
          break;
      }
    }
  }

  void end_in_order(int signal) {
    stopped_ = true;
    if (auto done = wake(); !done) return stop(done.error().message);
    commands_.close("stopped");
    tell_shim(shim::Signal{signal, false});
    tell_shim(shim::Signal{SIGCONT, false});
    kill_at_ = Clock::now() + term_grace;
  }

  // Nobody is left whom the session is for.
  void on_let_go(std::size_t) {
    let_go_ = true;
    if (!gate_open_) return stop("interrupted");
    if (!stopped_) end_in_order(SIGTERM);
  }

  void on_tier_end(std::size_t) {
    auto status = tier_.process.try_wait();
    if (!status || !*status) return;
    tier_ended_ = true;
    drain_shim();
    on_tier_message(0);
    (void)take_went_on(tier_messages_);
    if (exited_ && exited_->shell() == 0 && options_.saved && options_.saved->make && (*status)->shell() != 0) {
      if (failure_.empty()) failure_ = "the session could not be saved (" + escape_for_terminal(tier_messages_) + ")";
    } else if (exited_) {
      status_ = exited_->shell();
    } else if (shim_failed_) {
      status_ = *shim_failed_;
    } else if (stopped_) {
      status_ = 128 + SIGKILL;
    } else if (failure_.empty()) {
      failure_ = std::string("the ") + name_of(policy_.tier) + " tier ended before the command did (" +
                 (tier_messages_.empty() ? "status " + std::to_string((*status)->shell()) : last_of(tier_messages_)) +
                 "); `bulkhead doctor` says what this machine lacks";
    }
  }

  // What the shim said last can come together with its end.
  void drain_shim() {
    pollfd p{tier_.control.get(), POLLIN, 0};
    while (!shim_closed_ && ::poll(&p, 1, 0) > 0) on_shim(0);
  }

  void on_shim(std::size_t) {
    auto message = ipc::receive(tier_.control.get());
    if (!message || message->closed) {
      shim_closed_ = true;
      return;
    }
    auto decoded = shim::decode_to_supervisor(message->text);
    if (!decoded) return stop("the shim inside the session said something that makes no sense");
    if (std::get_if<shim::Ready>(&*decoded) != nullptr && !shim_ready_) {
      shim_ready_ = true;
      if (isolation_->own_kernel() && terminal_->layout().any()) {
        const auto resized = [this](const shim::WindowSize& size) { tell_shim(shim::Window{size}); };
        if (auto done = terminal_->attach(std::move(tier_.terminal), resized); !done) stop(done.error().message);
      } else if (!message->fds.empty()) {
        if (auto done = terminal_->attach(std::move(message->fds[0])); !done) stop(done.error().message);
      } else if (terminal_->layout().any()) {
        stop("the session inside has no pty; is /dev/ptmx usable on this machine?");
      }
    } else if (const auto* listening = std::get_if<shim::Listening>(&*decoded); listening != nullptr && !listening_) {
      listening_ = true;
      if (message->fds.empty()) return stop("the shim inside the session sent no listener");
      if (auto done = give_listener(message->fds[0], listening->devices); !done) stop(done.error().message);
    } else if (const auto* holding = std::get_if<shim::Holding>(&*decoded); holding != nullptr && !listening_) {
      listening_ = true;
      if (auto done = take_commands(holding->devices); !done) stop(done.error().message);
    } else if (const auto* empty = std::get_if<shim::Empty>(&*decoded); empty != nullptr && commands_.begun()) {
      commands_.empty(empty->begun);
    } else if (std::get_if<shim::Started>(&*decoded) != nullptr) {
      // The gate's opening has seen to everything.
    } else if (std::get_if<shim::Stopped>(&*decoded) != nullptr) {
      // Without a terminal there is nobody to give one back to, and the limits go on.
      if (tier_ended_ || !terminal_->layout().any()) return;
      // The job stopped as a whole: give the terminal back and stop with it, as any job does.
      terminal_->suspend();
      stop_as_a_job();
      if (auto done = terminal_->resume(); !done) stop(done.error().message);
      tell_shim(shim::Continue{});
    } else if (const auto* exited = std::get_if<shim::Exited>(&*decoded)) {
      if (exited_) return;
      exited_ = *exited;
      terminal_->end_input();
      finish_at_ = Clock::now() + term_grace;
    } else if (const auto* failed = std::get_if<shim::Failed>(&*decoded)) {
      if (failed->code == exit_not_found || failed->code == exit_not_executable) {
        if (!shim_failed_) not_executed_ = escape_for_terminal(failed->text);
        shim_failed_ = failed->code;
      } else if (failure_.empty()) {
        failure_ = escape_for_terminal(failed->text);
      }
    }
  }

  void on_tier_message(std::size_t) { collect(tier_.messages, tier_messages_); }

  void on_holder(std::size_t) {
    auto message = ipc::receive(room_.control.get());
    if (!message || message->closed) return room_.control.reset();  // its end follows
    auto object = ipc::parse(message->text);
    if (!object || object->value("type", "") != "denied") {
      return stop("the room's holder said something that makes no sense, so the session was stopped");
    }
    const std::string what = object->value("what", "");
    denials_.add(object->value("count", std::uint64_t{1}), what, object->value("why", ""), "");
    (void)recorder_->record("ipc.refused", {{"what", what}});
  }

  void on_holder_end(std::size_t) {
    auto status = room_.holder.try_wait();
    if (!status || !*status || ending_) return;
    std::string printed;
    collect(room_.messages, printed);
    stop(death("the room's holder", **status, printed));
  }

  // Hands the filter's listener to whoever connects for the workload.
  Result<void> give_listener(const UniqueFd& listener, const std::vector<std::uint64_t>& devices) {
    const int fd = listener.get();
    BH_CHECK(tell_own(devices));
    return ipc::send(room_.control.get(), nlohmann::json{{"type", "listen"}}, std::span(&fd, 1));
  }

  Result<void> tell_own(const std::vector<std::uint64_t>& devices) {
    return ipc::send(room_.control.get(), nlohmann::json{{"type", "own"}, {"devices", devices}});
  }

  // The session lives: from here on commands may come, and nobody looks at what started it any more.
  Result<void> take_commands(const std::vector<std::uint64_t>& devices) {
    if (!options_.announce) return fail("the shim inside the session said something that makes no sense");
    if (!isolation_->own_kernel()) BH_CHECK(tell_own(devices));
    // Never waited for: what is inside could keep it from being read.
    BH_CHECK(sys::set_nonblocking(tier_.control.get(), true));
    Commands::Session session;
    session.setup = std::move(setup_);
    for (const TokenSlot& token : credentials_.tokens) {
      const auto credential = policy_.credentials.find(token.credential);
      if (credential == policy_.credentials.end()) continue;
      session.fixed.insert(credential->second.expose_env);
      session.fixed.insert(credential->second.expose_secret_env);
    }
    session.shim = tier_.control.get();
    session.holder = room_.control.get();
    session.stream = std::move(tier_.terminal);
    session.wake = [this] { return wake(); };
    commands_.begin(std::move(session), *recorder_);
    BH_CHECK(sys::write_all(*options_.announce, directory_.id() + "\n", "the session's id"));
    (void)::close(*options_.announce);
    return let_go_of_stdio();
  }

  void on_evidence_ack(std::size_t) {
    waiting_for_evidence_ = false;
    if (auto done = recorder_->finish_sync(); !done) return stop("evidence: " + done.error().message);
    // The start is on the disk; now the secrets may go to their egress processes.
    if (auto done = reader_.release(); !done) stop(done.error().message);
    if (auto done = release_logins(helpers_.logins); !done) stop(done.error().message);
  }

  void on_reader_end(std::size_t) {
    if (auto done = reader_.ended(); !done) stop(done.error().message);
  }

  void on_helper_end(std::size_t index) {
    Helper& helper = *helpers_.all()[index];
    auto status = helper.child.try_wait();
    if (!status || !*status) return;
    if (ending_ && index != 0) return;  // evidence is still needed
    collect(helper.messages, helper.printed);
    stop(death(helper.name, **status, helper.printed));
  }

  void on_helper(std::size_t index) {
    Helper& helper = *helpers_.all()[index];
    auto message = ipc::receive(helper.control.get());
    if (!message || message->closed) {
      helper.control.reset();  // its end follows
      if (ending_ && index == 1) end_egress();
      return;
    }
    auto object = ipc::parse(message->text);
    const std::string type = object ? object->value("type", "") : "";
    if (index == 0 && type == "ready") {
      return;  // its answer to session.start is what is waited for
    }
    if (index == 0 && type == "full") {
      stop("evidence can no longer be written (" + escape_for_terminal(object->value("reason", "the disk is full")) +
           "), so the session was stopped; free some space");
    } else if (index == 1 && type == "ready") {
      front_ready_ = true;
    } else if (index == 1 && type == "denied") {
      denials_.add(object->value("count", std::uint64_t{1}), object->value("what", ""), object->value("why", ""),
                   object->value("add", ""));
    } else if (index == 1 && (type == "question" || type == "ended") && policy_.ask) {
      auto heard = ask_.heard(*object);
      if (!heard || !*heard) {
        stop("front said something that makes no sense (" + (heard ? "it is early" : heard.error().message) +
             "), so the session was stopped");
      }
    } else if (index > 1 && type == "ready") {
      ++others_ready_;
    } else if (index > 1 && type == "quota") {
      say(helper.name + ": no room is left for originals, so what would lose one is refused from now on (EDQUOT); " +
          "`bulkhead restore --list` shows what was kept");
    } else if (index > 1 && type == "said") {
      say(helper.name + ": the workload refreshed it, and the host's file could not be given the new tokens (" +
          escape_for_terminal(object->value("text", ""), 300) + "); if the agent on the host can't use its login any " +
          "more, log in there again");
    } else if (index > 1 && type == "watches") {
      say(helper.name +
          ": no inotify watch is left (fs.inotify.max_user_watches), so names and attributes are asked for " +
          "anew each second, which is slower");
    } else if (index > 1 && type == "unseen") {
      say("not all changes of files are recorded: " + why_unseen(object->value("reason", "")));
    } else if (index > 1 && type == "unanswered") {
      say("nobody inside listened at " + published_port(*object) +
          (isolation_->own_kernel() ? "; on this tier a server is reached at 0.0.0.0 or [::], not at its own 127.0.0.1"
                                    : ""));
    } else if (index > 1 && type == "refused") {
      on_refused(*object);
    } else if (index > 0 && type == "applied" && owner_.applied(index == 1, *object)) {
      // What its owner asked for is done there.
    } else {
      stop(helper.name + " said something that makes no sense, so the session was stopped");
    }
  }

  static std::string why_unseen(const std::string& reason) {
    if (reason == "watches") return "no inotify watch is left for all folders (fs.inotify.max_user_watches)";
    if (reason == "inotify") return "no inotify instance is left (fs.inotify.max_user_instances)";
    if (reason == "access") return "there are folders that can't be read";
    return "there were more at once than the kernel tells of (fs.inotify.max_queued_events)";
  }

  static std::string published_port(const nlohmann::json& object) {
    return "port " + std::to_string(object.value("inside", 0)) + ", which is published at " +
           std::to_string(object.value("port", 0));
  }

  // What a control file's name kept the workload from (keep/refusals.h).
  void on_refused(const nlohmann::json& object) {
    const std::string operation = object.value("operation", ""), path = object.value("path", "");
    const auto count = object.value("count", std::uint64_t{1});
    denials_.add(count, operation.empty() ? "changes of control files" : operation + " " + path,
                 "a control file" + (operation.empty() ? "" : " (" + object.value("rule", "") + ")") +
                     ", which your tools run or obey; `allow_control` of its mount opens it",
                 "");
    if (object.value("record", true)) {
      (void)recorder_->record("file.refused", {{"mount", object.value("mount", "")},
                                               {"operation", operation},
                                               {"path", path},
                                               {"rule", object.value("rule", "")},
                                               {"count", count}});
    }
  }

  void on_helper_message(std::size_t index) {
    Helper& helper = *helpers_.all()[index];
    collect(helper.messages, helper.printed);
  }

  // Why it ended comes last, whatever a hostile workload had it say before.
  static constexpr std::size_t most_said = 4096, most_shown = 400;
  static std::string last_of(std::string_view said) {
    if (said.size() <= most_shown) return escape_for_terminal(said);
    said.remove_prefix(said.size() - most_shown);
    const std::size_t line = said.find('\n');
    return escape_for_terminal(line == said.npos ? said : said.substr(line + 1));
  }

  // Appends what a pipe has; closes it at its end. Bounded: of too much the end is kept.
  static void collect(UniqueFd& pipe, std::string& into) {
    char buffer[4096];
    while (pipe) {
      const ssize_t n = ::read(pipe.get(), buffer, sizeof buffer);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0 && errno == EAGAIN) return;
      if (n <= 0) {
        pipe.reset();
        break;
      }
      into.append(buffer, static_cast<std::size_t>(n));
      if (into.size() > most_said) into.erase(0, into.size() - most_said);
    }
    while (!into.empty() && into.back() == '\n') into.pop_back();
  }

  // ---- the end
  // ------------------------------------------------------------------------------------------

  // Of a session that ended by itself or was asked to: what one leaves that broke is nobody's result.
  void collect_outputs() {
    for (const Collecting& output : planned_.outputs) {
      const review::Review& review = planned_.reviews[output.review];
      const auto done = session::collect(output);
      const auto line = collected_line(output, done);
      if (!line.empty()) std::fprintf(stderr, "bulkhead: %s\n", line.c_str());
      (void)recorder_->record("output.collected", collected_event(review.info().folder, review.info().id, done));
    }
  }

  // Who has still to record what was told last.
  void judge(Helper& helper, Result<int>& ended) {
    const auto status = await_end(helper.child, Clock::now() + record_grace);
    if (status && status->shell() == 0) return;
    collect(helper.messages, helper.printed);
    ended = fail(status ? death(helper.name, *status, helper.printed)
                        : helper.name + ": what was told last could not be recorded in ten seconds");
  }

  void wind_down(Result<int>& ended) {
    tier_.process.kill_and_wait();
    commands_.close("stopped");
    commands_.finish(Clock::now() + term_grace);
    if (ended) collect_outputs();
    for (Child& carrier : tier_.carriers) {
      if (!end_child(carrier, Clock::now() + helper_grace))
        say("not all that the command wrote could be written to its file");
    }
    // Nobody uses their mounts any more.
    for (Helper& helper : helpers_.keeps) {
      if (helper.control) (void)::shutdown(helper.control.get(), SHUT_WR);
    }
    // What was told of them last is with it by now.
    for (auto* helper : {&helpers_.trace, &helpers_.changes}) {
      if (*helper && (*helper)->control) (void)::shutdown((*helper)->control.get(), SHUT_WR);
    }
    // The gateway first, so that evidence hears its last words; all of it at once, so that it ends in parallel.
    if (!ending_) begin_end();
    const Clock::time_point until = Clock::now() + helper_grace;
    const std::size_t front = 1, count = helpers_.all().size();
    hear_out(front, until);
    end_egress();
    const Clock::time_point egress_until = Clock::now() + helper_grace;
    const std::size_t logins = count - helpers_.logins.size();
    for (std::size_t i = front + 1; i < logins; ++i) hear_out(i, egress_until);
    // After egress: what it said last may be what the host's file is to hold.
    for (Helper& helper : helpers_.logins) {
      if (helper.control) (void)::shutdown(helper.control.get(), SHUT_WR);
    }
    for (std::size_t i = logins; i < count; ++i) hear_out(i, Clock::now() + helper_grace);
    // What was told last may have made no sense: then the record is not what the session's end would have one believe.
    for (auto* helper : {&helpers_.trace, &helpers_.changes}) {
      if (ended && *helper) judge(**helper, ended);
    }
    if (recorder_ && helpers_.evidence.child) {
      const std::string reason = !ended ? ended.error().message : stopped_ ? "stopped" : "exited";
      (void)recorder_->record(
          "session.end",
          {{"exit_status", ended ? *ended : exit_failure}, {"reason", reason}, {"seconds", seconds_since(started_)}});
    }
    // An orderly stop, where it would otherwise record that its supervisor vanished. It ends once all is on the disk.
    (void)ipc::send(helpers_.evidence.control.get(), nlohmann::json{{"type", "stop"}});
    if (!identity_.from_root) {
      if (auto removed = directory_.remove(); !removed) say("left behind: " + removed.error().message);
    }
    // Reaped, each of them: in a container there may be no init that would do it.
    for (Helper& helper : helpers_.egress) (void)end_child(helper.child, until);
    if (helpers_.relay) (void)end_child(helpers_.relay->child, until);
    for (auto* helper : {&helpers_.trace, &helpers_.changes}) {
      if (*helper) (void)end_child((*helper)->child, until);
    }
    for (Helper& helper : helpers_.keeps) (void)end_child(helper.child, until);
    for (Helper& helper : helpers_.logins) (void)end_child(helper.child, Clock::now() + helper_grace);
    (void)end_child(helpers_.front.child, until);
    (void)end_child(room_.holder, until);
    if (!end_child(helpers_.evidence.child, Clock::now() + evidence_grace) && ended) {
      say("the last lines of the session's record may be missing: evidence did not end well");
    }
    if (!denials_.empty()) say(denials_.summary());
    for (const std::string& line : ask_.summary()) say(line);
  }

  // Once front has nothing more to ask it.
  void end_egress() {
    for (Helper& helper : helpers_.egress) {
      if (helper.control) (void)::shutdown(helper.control.get(), SHUT_WR);
    }
  }

  // What a helper has not yet reported comes once it is told that the session is over. When its socket closes, what it
  // had for evidence is sent.
  void hear_out(std::size_t index, Clock::time_point until) {
    Helper& helper = *helpers_.all()[index];
    while (helper.control) {
      pollfd p{helper.control.get(), POLLIN, 0};
      const auto left = std::chrono::duration_cast<milliseconds>(until - Clock::now()).count();
      if (left <= 0 || ::poll(&p, 1, static_cast<int>(left)) <= 0) break;
      on_helper(index);
    }
    helper.control.reset();
  }

  static double seconds_since(Clock::time_point since) {
    return static_cast<double>(std::chrono::duration_cast<milliseconds>(Clock::now() - since).count()) / 1000.0;
  }

  // nullopt: it has not, or nobody can tell.
  static std::optional<ExitStatus> await_end(Child& child, Clock::time_point until) {
    pollfd p{child.pidfd(), POLLIN, 0};
    const auto left = std::chrono::duration_cast<milliseconds>(until - Clock::now()).count();
    (void)::poll(&p, 1, static_cast<int>(std::max<std::int64_t>(left, 0)));
    return child.try_wait().value_or(std::nullopt);
  }

  // True: it ended by itself and said that all is well.
  static bool end_child(Child& child, Clock::time_point until) {
    if (!child) return true;
    const auto status = await_end(child, until);
    child.kill_and_wait();
    return status && status->shell() == 0;
  }

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

}  // namespace

Result<UniqueFd> open_holder() {
  return open_helper("bulkhead-holder");
}

Result<void> let_go_of_stdio() {
  BH_TRY(const UniqueFd null, sys::open("/dev/null", O_RDWR));
  for (int i = 0; i < 3; ++i) {
    if (::dup2(null.get(), i) < 0) return fail_errno("dup2", "/dev/null", errno);
  }
  return {};
}

Result<int> supervise(const Options& options, const Paths& paths, const Identity& identity, SessionDir& directory,
                      room::Pending room) {
  return Supervisor(options, paths, identity, directory, std::move(room)).run();
}

}  // namespace bulkhead::session

#include "session/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "base/install.h"
#include "base/sys.h"
#include "session/job_signals.h"
#include "session/supervisor_class.h"

namespace bulkhead::session {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr auto rest_after = std::chrono::seconds(1);  // of nothing inside
constexpr auto cpu_interval = milliseconds(250);
constexpr auto memory_interval = milliseconds(250);
constexpr auto memory_interval_alone = milliseconds(50);  // where no resource limit holds a single process

}  // namespace

Result<int> Supervisor::run() {
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

Result<int> Supervisor::loop() {
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

bool Supervisor::is_end(const Source& source) {
  return source.ready == &Supervisor::on_tier_end || source.ready == &Supervisor::on_helper_end ||
         source.ready == &Supervisor::on_holder_end;
}

int Supervisor::poll_timeout() const {
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

milliseconds Supervisor::look_at_memory_each() const {
  return isolation_->own_kernel() ? memory_interval_alone : memory_interval;
}

void Supervisor::check_time() {
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

std::string Supervisor::awaited() const {
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

bool Supervisor::others_ready() const {
  return others_ready_ >= helpers_.egress.size() + helpers_.keeps.size() + helpers_.logins.size() +
                              (helpers_.relay ? 1 : 0) + (helpers_.trace ? 1 : 0) + (helpers_.changes ? 1 : 0);
}

bool Supervisor::looks_at_parts() const {
  return isolation_->own_kernel() && gate_open_ && !exited_ && !ending_ && !resting_ && !stopped_ && failure_.empty();
}

std::optional<Clock::time_point> Supervisor::idle_deadline() const {
  if (!commands_.begun() || !policy_.limits.idle || commands_.running() > 0 || !failure_.empty()) return std::nullopt;
  return commands_.idle_since() + *policy_.limits.idle;
}

std::optional<Clock::time_point> Supervisor::rest_deadline() const {
  if (resting_ || !commands_.nothing_inside() || !policy_.publish.empty() || stopped_) return std::nullopt;
  return commands_.nothing_since() + rest_after;
}

void Supervisor::rest() {
  resting_ = true;
  stopped_ones_ = isolation_->rest(tier_.process);
}

Result<void> Supervisor::wake() {
  resting_ = false;
  for (const UniqueFd& one : std::exchange(stopped_ones_, {})) {
    // One that is gone ends the session anyway.
    if (auto done = sys::pidfd_send_signal(one.get(), SIGCONT); !done && done.error().code != ESRCH) return done;
  }
  return {};
}

void Supervisor::stop(const std::string& reason) {
  if (failure_.empty()) failure_ = reason;
  commands_.close(failure_);
  kill_tier();
}

void Supervisor::kill_tier() {
  kill_at_.reset();
  deadline_.reset();
  if (tier_.process) (void)tier_.process.signal(SIGKILL);
}

void Supervisor::on_owner(std::size_t fd) {
  if (auto done = owner_.ready(static_cast<int>(fd)); !done) stop(done.error().message);
}

void Supervisor::on_signal(std::size_t) {
  while (const auto number = next_job_signal(signals_.get())) {
    switch (*number) {
      case SIGWINCH:
        terminal_->resize();
        if (auto done = ask_.resized(); !done) stop(done.error().message);
        break;
      case SIGINT:
      case SIGQUIT:
        if (!gate_open_) return stop("interrupted");
        tell_shim(shim::Signal{*number, terminal_->layout().any()});
        break;
      case SIGTERM:
      case SIGHUP:
        if (!gate_open_) return stop("interrupted");
        end_in_order(*number);
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

void Supervisor::end_in_order(int signal) {
  stopped_ = true;
  if (auto done = wake(); !done) return stop(done.error().message);
  commands_.close("stopped");
  tell_shim(shim::Signal{signal, false});
  tell_shim(shim::Signal{SIGCONT, false});
  kill_at_ = Clock::now() + term_grace;
}

void Supervisor::on_let_go(std::size_t) {
  let_go_ = true;
  if (!gate_open_) return stop("interrupted");
  if (!stopped_) end_in_order(SIGTERM);
}

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

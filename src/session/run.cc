#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>

#include "base/sys.h"
#include "base/text.h"
#include "base/trim.h"
#include "handoff/watch.h"
#include "session/credentials.h"
#include "session/identity.h"
#include "session/outputs.h"
#include "session/publish.h"
#include "session/quota.h"
#include "session/reviews.h"
#include "session/session.h"
#include "session/state/state.h"
#include "session/supervisor.h"

namespace bulkhead::session {
namespace {

std::string environment(const char* name) {
  const char* value = ::getenv(name);
  return value == nullptr ? "" : value;
}

// Started as root: what supervises drops root for good, and then can no longer remove root's own state. So a
// parent stays behind that does nothing but wait, pass signals on and clean up.
Result<int> run_from_root(const Options& options, const Paths& paths, const Identity& identity, SessionDir& directory) {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int s : {SIGTERM, SIGHUP, SIGINT, SIGQUIT, SIGCHLD}) sigaddset(&signals, s);
  sigset_t before;
  ::sigprocmask(SIG_BLOCK, &signals, &before);
  const pid_t parent = ::getpid();
  const pid_t child = ::fork();
  if (child < 0) return fail_errno("fork", "", errno);
  if (child == 0) {
    ::sigprocmask(SIG_SETMASK, &before, nullptr);
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) ::_exit(exit_failure);
    auto status = supervise(options, paths, identity, directory, {});
    if (!status) {
      std::fprintf(stderr, "bulkhead: %s\n", status.error().message.c_str());
      ::_exit(exit_failure);
    }
    ::_exit(*status);
  }
  wipe_environment(options.policy);  // the child has its own copy, and does the same
  release_startup_pages();
  // The child says what there is to say, and whoever waits for that waits for its end only.
  if (options.announce) {
    (void)::close(*options.announce);
    BH_CHECK(let_go_of_stdio());
  }
  for (;;) {
    int status = 0;
    const pid_t changed = ::waitpid(child, &status, WNOHANG | WUNTRACED);
    if (changed == child && WIFSTOPPED(status)) {
      ::raise(SIGSTOP);  // the shell waits for us, and must see its job stopped; SIGCONT reaches both
      continue;
    }
    if (changed == child) {
      ::sigprocmask(SIG_SETMASK, &before, nullptr);
      return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    }
    siginfo_t info{};
    // A Ctrl-C at the terminal reaches both processes by itself; only what was sent to us alone is passed on.
    if (::sigwaitinfo(&signals, &info) > 0 && (info.si_signo == SIGTERM || info.si_signo == SIGHUP)) {
      ::kill(child, info.si_signo);
    }
  }
}

}  // namespace

struct Begun::State {
  Identity identity;
  room::Pending room;
};

Begun::Begun(std::unique_ptr<State> state) : state_(std::move(state)) {}
Begun::Begun(Begun&&) noexcept = default;
Begun::~Begun() = default;

Result<Begun> begin() {
  auto state = std::make_unique<Begun::State>();
  BH_TRY(state->identity, decide_identity());
  if (!state->identity.from_root) {
    // What takes longest and needs nothing else comes first.
    BH_TRY(const UniqueFd holder, open_holder());
    BH_TRY(state->room, room::begin(holder.get()));
  }
  return Begun(std::move(state));
}

Result<int> run(const Options& options, Begun begun) {
  const Identity& identity = begun.state_->identity;
  BH_TRY(const Paths paths, Paths::from({.home = environment("HOME"),
                                         .xdg_state_home = environment("XDG_STATE_HOME"),
                                         .xdg_config_home = environment("XDG_CONFIG_HOME"),
                                         .xdg_runtime_dir = environment("XDG_RUNTIME_DIR"),
                                         .xdg_cache_home = environment("XDG_CACHE_HOME")}));
  BH_TRY(Store store, Store::open(paths));
  if (auto swept = store.sweep(); !swept) {
    std::fprintf(stderr, "bulkhead: %s; remove it by hand\n", escape_for_terminal(swept.error().message, 300).c_str());
  } else if (!swept->empty() && !options.quiet) {
    std::fprintf(stderr, "bulkhead: cleaned up after %zu session%s that ended badly\n", swept->size(),
                 swept->size() == 1 ? "" : "s");
  }
  const auto say = [&](const std::vector<std::string>& lines) {
    for (const std::string& line : lines) {
      if (!options.quiet) std::fprintf(stderr, "bulkhead: %s\n", line.c_str());
    }
  };
  say(tend_reviews(paths));
  say(handoff::end_watches(paths, options.request.data_dir));
  SessionInfo info;
  info.tier = name_of(options.policy.tier);
  info.profile = options.policy.profile;
  info.command = options.command;
  info.lives = options.announce.has_value();
  info.labels = options.labels;
  for (const Publish& one : options.policy.publish) info.published.push_back(published_as(one));
  char cwd[4096];
  if (::getcwd(cwd, sizeof cwd) != nullptr) info.workspace = cwd;
  info.memory = options.policy.limits.memory;
  BH_TRY(UniqueFd counting, hold_to_quota(store, options.policy.limits, info));
  BH_TRY(SessionDir directory, store.create(info));
  const std::string id = directory.id();
  counting.reset();  // from here on this session counts
  auto status = identity.from_root ? run_from_root(options, paths, identity, directory)
                                   : supervise(options, paths, identity, directory, std::move(begun.state_->room));
  say(apply_outputs(options.policy, options.request.place.working_directory, paths, id, options.request.data_dir));
  say(close_reviews(paths, id, options.request.data_dir));
  say(handoff::end_watches(paths, options.request.data_dir));
  return status;
}

}  // namespace bulkhead::session

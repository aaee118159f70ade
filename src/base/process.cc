#include "base/process.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <algorithm>

#include "base/sys.h"
#include "base/text.h"

namespace bulkhead {
namespace {

[[noreturn]] void die(const std::string& text) {
  const std::string line = text + "\n";
  [[maybe_unused]] const ssize_t n = ::write(2, line.data(), line.size());
  ::_exit(125);
}

// Puts fds[i] at descriptor i, closes the rest. Two passes, so that no source is overwritten before
// its turn; `high` is room for as many.
void arrange_fds(const std::vector<int>& fds, std::vector<int>& high) {
  const int base = std::max(64, static_cast<int>(fds.size()) + 8);
  for (std::size_t i = 0; i < fds.size(); ++i) {
    UniqueFd null;
    int source = fds[i];
    if (source < 0) {
      null.reset(::open("/dev/null", O_RDWR | O_CLOEXEC));
      source = null.get();
    }
    high[i] = ::fcntl(source, F_DUPFD_CLOEXEC, base);
    if (high[i] < 0) die("bulkhead: cannot arrange descriptors");
  }
  for (std::size_t i = 0; i < fds.size(); ++i) {
    if (::dup2(high[i], static_cast<int>(i)) < 0) die("bulkhead: cannot arrange descriptors");
  }
  // close_range(2), Linux 5.9: a leaked directory descriptor would walk around every mount.
  if (::syscall(SYS_close_range, static_cast<unsigned>(fds.size()), ~0U, 0) != 0) die("bulkhead: close_range failed");
}

void die_with_parent(pid_t parent) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(125);  // it died before the line above
}

void reset_signals() {
  // Before the mask: a handler of the parent's must not run here, in memory that may be shared.
  for (const int s :
       {SIGPIPE, SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGCHLD, SIGWINCH, SIGCONT, SIGTSTP, SIGTTIN, SIGTTOU}) {
    ::signal(s, SIG_DFL);
  }
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

std::vector<char*> c_strings(const std::vector<std::string>& strings) {
  std::vector<char*> out;
  out.reserve(strings.size() + 1);
  for (const std::string& s : strings) out.push_back(const_cast<char*>(s.c_str()));  // execve(2)'s old type
  out.push_back(nullptr);
  return out;
}

Result<Child> adopt(pid_t pid) {
  auto pidfd = sys::pidfd_open(pid);
  if (!pidfd) {
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
    return tl::unexpected(std::move(pidfd).error());
  }
  return Child(pid, std::move(*pidfd));
}

}  // namespace

namespace {

// What execve(2) takes, put together before the child is there: one that shares the parent's memory could not free it.
struct Execution {
  explicit Execution(const SpawnOptions& options)
      : fds(options.fds), argv(c_strings(options.arguments)), envp(c_strings(options.environment)) {
    envp.pop_back();
    for (const char* entry : options.borrowed_environment) envp.push_back(const_cast<char*>(entry));
    envp.push_back(nullptr);
    high.resize(fds.size() + 1);
  }
  std::vector<int> fds, high;
  std::vector<char*> argv, envp;
};

[[noreturn]] void execute(Execution& execution, int program) {
  const int at = static_cast<int>(execution.fds.size());
  execution.fds.push_back(program);
  arrange_fds(execution.fds, execution.high);
  ::fcntl(at, F_SETFD, FD_CLOEXEC);
  ::syscall(SYS_execveat, at, "", execution.argv.data(), execution.envp.data(), AT_EMPTY_PATH);
  die("bulkhead: " + errno_error("execveat", execution.argv[0] == nullptr ? "" : execution.argv[0], errno).message);
}

// What every child does first.
void begin_child() {
  reset_signals();
  // A session of its own: no controlling terminal to type into, no Ctrl-C meant for somebody else.
  ::setsid();
}

struct Plain {
  Execution execution;
  int program;
  pid_t parent;
};

int run_plain(void* argument) {
  auto& plain = *static_cast<Plain*>(argument);
  begin_child();
  die_with_parent(plain.parent);
  execute(plain.execution, plain.program);
}

// A child with nothing to do but exec borrows the parent's memory, as in vfork(2): copying it and copying again what
// both write costs as much as the exec itself. The parent waits until then.
pid_t clone_plain(const SpawnOptions& options) {
  Plain plain{Execution(options), options.program, ::getpid()};
  plain.execution.fds.reserve(plain.execution.fds.size() + 1);
  std::vector<std::byte> stack(64 * 1024);
  return ::clone(run_plain, stack.data() + stack.size(), CLONE_VM | CLONE_VFORK | SIGCHLD, &plain);
}

void run_or_die(const std::function<Result<void>()>& step) {
  if (!step) return;
  if (auto done = step(); !done) die("bulkhead: " + escape_for_terminal(done.error().message, 600));
}

// unshare(2) puts only children into the new pid namespace, so one more process is needed;
// CLONE_PARENT makes it a child of the spawner's, and the one between ends at once. Its pid goes
// back through `report`.
[[noreturn]] void clone_into_pid_namespace(const SpawnOptions& options, int program, int spawner, int report) {
  if (::unshare(CLONE_NEWPID) != 0) die("bulkhead: " + errno_error("unshare(CLONE_NEWPID)", "", errno).message);
  const long pid = ::syscall(SYS_clone, CLONE_PARENT | SIGCHLD, nullptr, nullptr, nullptr, nullptr);
  if (pid < 0) die("bulkhead: " + errno_error("clone(CLONE_PARENT)", "", errno).message);
  if (pid > 0) {
    const auto number = static_cast<pid_t>(pid);
    ::_exit(::write(report, &number, sizeof number) == sizeof number ? 0 : 125);
  }
  ::setsid();
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  // In a new pid namespace getppid(2) says 0; the spawner's pidfd says whether it died before the
  // line above.
  pollfd p{spawner, POLLIN, 0};
  if (::poll(&p, 1, 0) != 0) ::_exit(125);
  run_or_die(options.before_exec);
  Execution execution(options);
  execute(execution, program);
}

Result<Child> adopt_reported(Child between, int report) {
  pid_t pid = 0;
  const bool reported = ::read(report, &pid, sizeof pid) == sizeof pid && pid > 0;
  BH_TRY(const ExitStatus status, between.wait());
  if (!reported || status.shell() != 0) return fail("a pid namespace could not be made");
  return adopt(pid);
}

}  // namespace

Result<Child> spawn(const SpawnOptions& options) {
  if (!options.enter && !options.before_exec && !options.own_pid_namespace) {
    const pid_t pid = clone_plain(options);
    if (pid < 0) return fail_errno("clone", "", errno);
    return adopt(pid);
  }
  const pid_t parent = ::getpid();
  UniqueFd self;
  sys::Pair report;
  if (options.own_pid_namespace) {
    BH_TRY(self, sys::pidfd_open(parent));
    BH_TRY(report, sys::pipe());
  }
  const pid_t pid = ::fork();
  if (pid < 0) return fail_errno("fork", "", errno);
  if (pid == 0) {
    begin_child();
    const int program = ::fcntl(options.program, F_DUPFD_CLOEXEC, 100);
    if (program < 0) die("bulkhead: cannot keep the program's descriptor");
    run_or_die(options.enter);
    die_with_parent(parent);  // after it: changing credentials clears it (prctl(2))
    if (options.own_pid_namespace) clone_into_pid_namespace(options, program, self.get(), report.second.get());
    run_or_die(options.before_exec);
    Execution execution(options);
    execute(execution, program);
  }
  BH_TRY(Child child, adopt(pid));
  if (!options.own_pid_namespace) return child;
  report.second.reset();
  return adopt_reported(std::move(child), report.first.get());
}

Result<Child> fork_child(const std::vector<int>& fds, const std::function<int()>& work) {
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid < 0) return fail_errno("fork", "", errno);
  if (pid == 0) {
    begin_child();
    std::vector<int> high(fds.size());
    arrange_fds(fds, high);
    die_with_parent(parent);
    ::_exit(work());
  }
  return adopt(pid);
}

Child& Child::operator=(Child&& other) noexcept {
  if (this != &other) {
    kill_and_wait();
    pid_ = std::exchange(other.pid_, -1);
    pidfd_ = std::move(other.pidfd_);
  }
  return *this;
}

Child::~Child() {
  kill_and_wait();
}

void Child::kill_and_wait() {
  if (pid_ <= 0) return;
  (void)sys::pidfd_send_signal(pidfd_.get(), SIGKILL);
  (void)wait();
}

Result<void> Child::signal(int number) const {
  if (pid_ <= 0) return fail("no such child", ESRCH);
  return sys::pidfd_send_signal(pidfd_.get(), number);
}

Result<std::optional<ExitStatus>> Child::try_wait() {
  if (pid_ <= 0) return fail("no such child", ECHILD);
  int status = 0;
  const pid_t got = ::waitpid(pid_, &status, WNOHANG);
  if (got < 0) return fail_errno("waitpid", std::to_string(pid_), errno);
  if (got == 0) return std::nullopt;
  pid_ = -1;
  if (WIFSIGNALED(status)) return ExitStatus{0, WTERMSIG(status)};
  return ExitStatus{WEXITSTATUS(status), 0};
}

Result<ExitStatus> Child::wait() {
  for (;;) {
    BH_TRY(std::optional<ExitStatus> status, try_wait());
    if (status) return *status;
    pollfd p{pidfd_.get(), POLLIN, 0};
    (void)::poll(&p, 1, -1);
  }
}

}  // namespace bulkhead

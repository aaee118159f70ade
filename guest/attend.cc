#include "guest/attend.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest/landlock.h"
#include "guest/own_kernel.h"
#include "guest/pty.h"
#include "guest/pty_lane.h"
#include "guest/workload.h"

namespace bulkhead::shim {

[[noreturn]] void give_up(const Link& link, const Failed& failed) {
  link.send(failed);
  ::_exit(failed.code);
}

void close_others(int first, int last) {
  // Whatever leaked through: a directory descriptor would walk around every mount.
  if (first > 3) close_between(3, first - 1);
  close_from(last + 1, 0);
  for (int fd = first; fd <= last; ++fd) ::fcntl(fd, F_SETFD, FD_CLOEXEC);
}

Setup receive_setup(const Link& link) {
  SetupReader reader;
  for (bool last = false; !last;) {
    const std::optional<std::string> datagram = link.receive();
    if (!datagram) ::_exit(125);
    const Result<bool> added = reader.add(*datagram);
    if (!added) give_up(link, failure(added.error()));
    last = *added;
  }
  Result<Setup> setup = reader.finish();
  if (!setup) give_up(link, failure(setup.error()));
  return std::move(*setup);
}

void await_go(const Link& link) {
  for (;;) {
    const std::optional<std::string> datagram = link.receive();
    if (!datagram) ::_exit(125);
    const Result<ToShim> message = decode_to_shim(*datagram);
    if (!message) ::_exit(125);
    if (std::holds_alternative<Go>(*message)) return;
    // The size as it was at Setup; a later one comes again with the terminal's next change.
    if (!std::holds_alternative<Window>(*message)) ::_exit(125);
  }
}

// Everything the terminal and the supervisor's helpers could send to a session's leader is not for the shim.
constexpr int not_for_us[] = {SIGHUP,  SIGINT,  SIGQUIT, SIGTERM, SIGTSTP,  SIGTTIN, SIGTTOU,
                              SIGPIPE, SIGUSR1, SIGUSR2, SIGALRM, SIGWINCH, SIGCHLD};

void signal_session(const Setup& setup, int number) {
  // kill(-1) reaches every process of the pid namespace. In the host's it would be everybody's: a pid below
  // 300 (RESERVED_PIDS, which are given out once per namespace) shows that this one is young and ours. Another kernel
  // than the host's, which may count on from where it was saved, knows nobody else's.
  if (setup.own_kernel || ::getpid() < 300) ::kill(-1, number);
}

UniqueFd receive_signals() {
  sigset_t ours;
  sigemptyset(&ours);
  for (const int s : not_for_us) sigaddset(&ours, s);
  ::sigprocmask(SIG_SETMASK, &ours, nullptr);
  for (const int s : not_for_us) ::signal(s, SIG_DFL);  // what was ignored outside would be ignored inside
  sigset_t children;
  sigemptyset(&children);
  sigaddset(&children, SIGCHLD);
  return UniqueFd(::signalfd(-1, &children, SFD_CLOEXEC));
}

void let_go_of_stdio() {
  const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  for (int i = 0; i < 3; ++i) {
    if (null < 0 || ::dup2(null, i) < 0) ::close(i);
  }
  if (null > 2) ::close(null);
}

namespace {

// Waits for the workload and passes on what is said about it.
class Keeper {
 public:
  Keeper(const Link& link, const Setup& setup, Whose whose, pid_t workload, int terminal, PtyLane lane)
      : link_(link),
        setup_(setup),
        workload_(workload),
        terminal_(terminal),
        is_session_(whose == Whose::session),
        own_pids_(is_session_ && setup.own_pid_namespace),
        lane_(std::move(lane)) {}

  [[noreturn]] void run(int signals) {
    for (;;) {
      pollfd p[4] = {{link_.socket(), POLLIN, 0}, {signals, POLLIN, 0}};
      lane_.prepare(p + 2);
      if (::poll(p, 4, -1) < 0 && errno != EINTR) end(125);
      lane_.handle(p + 2);
      if (p[1].revents != 0) {
        signalfd_siginfo info{};
        [[maybe_unused]] const ssize_t n = ::read(signals, &info, sizeof info);
        reap();
      }
      if (p[0].revents != 0) listen();
    }
  }

 private:
  // Everything in the session but the shim; of one of several commands its own process group.
  void signal_all(int number) const {
    if (own_pids_) signal_session(setup_, number);
    if (!gone_) ::kill(-workload_, number);
  }
  void kill_all() const { signal_all(SIGKILL); }

  [[noreturn]] void end(int status) const {
    kill_all();
    ::_exit(status);
  }

  void foreground(pid_t group) const {
    if (terminal_ >= 0) ::tcsetpgrp(terminal_, group);  // SIGTTOU is blocked here
  }

  void reap() {
    for (;;) {
      int status = 0;
      const pid_t pid = ::waitpid(-1, &status, WNOHANG | WUNTRACED | WCONTINUED);
      if (pid <= 0) return;
      if (pid != workload_ || gone_) continue;
      if (WIFSTOPPED(status)) {
        // The supervisor stops as well, and with it the limits: nothing may go on without them.
        if (terminal_ >= 0) signal_all(SIGSTOP);
        link_.send(Stopped{WSTOPSIG(status)});
      } else if (WIFCONTINUED(status)) {
        link_.send(Continued{});
      } else {
        exited_ = WIFSIGNALED(status) ? Exited{0, WTERMSIG(status)} : Exited{WEXITSTATUS(status), 0};
        // The session ends with the workload; what it left running must not print into the last output. In a session
        // that goes on, it may go on.
        if (is_session_) kill_all();
        gone_ = true;
        lane_.finish();
        link_.send(exited_);
        // What is still in a pty would be thrown away with its session's leader; nothing else needs waiting for.
        if (terminal_ < 0) end(exited_.shell());
      }
    }
  }

  void listen() {
    const std::optional<std::string> datagram = link_.receive();
    if (!datagram) end(gone_ ? exited_.shell() : 125);
    const Result<ToShim> message = decode_to_shim(*datagram);
    if (!message) end(125);
    if (std::holds_alternative<Finish>(*message)) end(gone_ ? exited_.shell() : 125);
    if (gone_) return;
    if (const auto* signal = std::get_if<Signal>(&*message)) {
      if (signal->number == SIGSTOP) return signal_all(SIGSTOP);
      pid_t group = workload_;
      if (signal->foreground && terminal_ >= 0) {
        const pid_t front = ::tcgetpgrp(terminal_);
        if (front > 1) group = front;
      }
      ::kill(-group, signal->number);
    } else if (const auto* window = std::get_if<Window>(&*message)) {
      lane_.resize(window->size, terminal_);
    } else if (std::holds_alternative<Continue>(*message)) {
      foreground(workload_);
      signal_all(SIGCONT);
    }
  }

  Link link_;
  const Setup& setup_;
  pid_t workload_;
  int terminal_;  // the pty's slave, or -1
  bool is_session_;
  bool own_pids_;
  PtyLane lane_;
  bool gone_ = false;
  Exited exited_;
};

[[noreturn]] void child(const Setup& setup, int slave, int abi, int report, const Link& link, Filtered filtered) {
  ::setpgid(0, 0);
  if (slave >= 0) {
    ::tcsetpgrp(slave, ::getpid());  // SIGTTOU is still blocked
    for (int i = 0; i < 3; ++i) {
      if (setup.pty[i]) ::dup2(slave, i);
    }
  }
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  const Failed failed = become_workload(setup, abi, link, filtered);
  const std::string text = encode(ToSupervisor(failed));
  [[maybe_unused]] const ssize_t n = ::write(report, text.data(), text.size());
  ::_exit(failed.code);
}

// True once exec succeeded: the pipe closes without a word.
void await_exec(const Link& link, int report) {
  char text[8192];
  ssize_t n = 0;
  do {
    n = ::read(report, text, sizeof text);
  } while (n < 0 && errno == EINTR);
  if (n == 0) return;
  const Result<ToSupervisor> message =
      decode_to_supervisor(std::string_view(text, n < 0 ? 0 : static_cast<std::size_t>(n)));
  if (message && std::holds_alternative<Failed>(*message)) give_up(link, std::get<Failed>(*message));
  give_up(link, {125, "the shim lost its child before it could start the workload"});
}

}  // namespace

[[noreturn]] void attend(const Link& link, const Setup& setup, Whose whose, int lane_socket) {
  Pty pty;
  const bool wants_pty = setup.pty[0] || setup.pty[1] || setup.pty[2];
  if (wants_pty) {
    Result<Pty> opened = open_pty(setup.window);
    if (!opened) give_up(link, failure(opened.error()));
    pty = std::move(*opened);
  }
  PtyLane lane;
  if (wants_pty && setup.own_kernel) {
    if (auto done = prepare_terminal(setup, pty); !done) give_up(link, failure(done.error()));
    Result<PtyLane> opened = PtyLane::open(std::move(pty.master), lane_socket);
    if (!opened) give_up(link, failure(opened.error()));
    lane = std::move(*opened);
  }
  if (!link.send(Ready{wants_pty}, pty.master.get())) ::_exit(125);
  pty.master.reset();
  const int abi = setup.landlock && !setup.own_kernel ? landlock_abi() : 0;

  await_go(link);

  // bwrap made it a session leader already, or it was forked off one: setsid fails only in the first case.
  if (::setsid() < 0 && ::getsid(0) != ::getpid()) give_up(link, {125, "setsid failed"});
  if (wants_pty && ::ioctl(pty.slave.get(), TIOCSCTTY, 0) != 0) {
    give_up(link, failure(Error{"the session's pty can't become its terminal", errno}));
  }

  const UniqueFd signals = receive_signals();
  int report[2];
  if (!signals || ::pipe2(report, O_CLOEXEC) != 0) give_up(link, failure(Error{"no descriptors for the shim", errno}));

  const Filtered filtered = whose == Whose::command ? Filtered::by_parent : Filtered::no;
  const pid_t pid = ::fork();
  if (pid < 0) give_up(link, failure(Error{"fork failed inside the session", errno}));
  if (pid == 0) child(setup, pty.slave.get(), abi, report[1], link, filtered);
  ::close(report[1]);
  ::setpgid(pid, pid);  // both do it: neither may go on before it is so
  // The workload's pipes are the workload's: while the shim held them nobody would see them close.
  let_go_of_stdio();
  if (auto done = restrict_shim(setup, abi, filtered); !done) {
    ::kill(pid, SIGKILL);
    give_up(link, failure(done.error()));
  }
  await_exec(link, report[0]);
  ::close(report[0]);
  if (!link.send(Started{pid, abi})) ::kill(pid, SIGKILL);
  Keeper(link, setup, whose, pid, pty.slave.get(), std::move(lane)).run(signals.get());
}

}  // namespace bulkhead::shim

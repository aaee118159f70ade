#include "guest/hold.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <optional>

#include "guest/attend.h"
#include "guest/landlock.h"
#include "guest/mux.h"
#include "guest/workload.h"

namespace bulkhead::shim {
namespace {

// A command's 0, 1, 2 (-1: /dev/null, or its pty), the socket it is spoken about on, and its terminal's lane.
struct Given {
  int stdio[3] = {-1, -1, -1};
  int control = -1, lane = -1;
};

// In the forked child.
[[noreturn]] void become_attendant(const Given& given) {
  // Out of the way of the numbers they are to have.
  int moved[5];
  const int from[5] = {given.stdio[0], given.stdio[1], given.stdio[2], given.control, given.lane};
  for (int i = 0; i < 5; ++i) moved[i] = from[i] < 0 ? -1 : ::fcntl(from[i], F_DUPFD_CLOEXEC, 10);
  let_go_of_stdio();
  for (int i = 0; i < 3; ++i) {
    if (from[i] >= 0 && ::dup2(moved[i], i) < 0) ::_exit(125);
  }
  if (::dup2(moved[3], default_socket) < 0) ::_exit(125);
  const bool lane = given.lane >= 0;
  if (lane && ::dup2(moved[4], default_socket + 1) < 0) ::_exit(125);
  close_others(default_socket, lane ? default_socket + 1 : default_socket);
  const Link link(default_socket);
  const Setup setup = receive_setup(link);
  attend(link, setup, Whose::command, lane ? default_socket + 1 : -1);
}

// False: no process can be made; whoever waits at the other end of its socket sees that close.
bool start_command(const Given& given) {
  const pid_t pid = ::fork();
  if (pid == 0) become_attendant(given);
  return pid > 0;
}

class Holder {
 public:
  Holder(const Link& link, const Setup& setup, UniqueFd signals, int stream)
      : link_(link), setup_(setup), signals_(std::move(signals)) {
    if (setup.own_kernel) mux_.emplace(UniqueFd(stream), [this](std::uint8_t used) { return begin(used); });
  }

  [[noreturn]] void run() {
    for (;;) {
      std::vector<pollfd> fds{{link_.socket(), POLLIN, 0}, {signals_.get(), POLLIN, 0}};
      if (mux_) mux_->prepare(fds);
      if (::poll(fds.data(), fds.size(), -1) < 0 && errno != EINTR) end(125);
      if (fds[1].revents != 0) {
        signalfd_siginfo info{};
        [[maybe_unused]] const ssize_t n = ::read(signals_.get(), &info, sizeof info);
        reap();
      }
      if (fds[0].revents != 0) listen();
      if (mux_ && !mux_->handle(fds)) end(125);
      // What a command wrote last may still be on its way when the command is gone.
      if (ending_ && nobody_ && (!mux_ || mux_->idle())) leave();
    }
  }

 private:
  [[noreturn]] void end(int status) const {
    if (setup_.own_pid_namespace) signal_session(setup_, SIGKILL);
    ::_exit(status);
  }

  void reap() {
    for (;;) {
      const pid_t pid = ::waitpid(-1, nullptr, WNOHANG);
      if (pid > 0 || (pid < 0 && errno == EINTR)) continue;
      nobody_ = pid < 0;
      if (nobody_ && std::exchange(told_, begun_) != begun_) link_.send(Empty{begun_});
      return;
    }
  }

  [[noreturn]] void leave() const {
    link_.send(Exited{});
    end(0);
  }

  void listen() {
    std::vector<UniqueFd> fds;
    const std::optional<std::string> datagram = link_.receive(fds);
    if (!datagram) end(125);
    const Result<ToShim> message = decode_to_shim(*datagram);
    if (!message) end(125);
    if (std::holds_alternative<Finish>(*message)) end(0);
    if (const auto* signal = std::get_if<Signal>(&*message)) {
      ending_ = ending_ || signal->number == SIGTERM || signal->number == SIGHUP;
      if (setup_.own_pid_namespace) signal_session(setup_, signal->number);
      reap();  // perhaps there is nobody
    } else if (const auto* command = std::get_if<Run>(&*message)) {
      start(*command, fds);
    }
  }

  void start(const Run& command, const std::vector<UniqueFd>& fds) {
    ++begun_;
    Given given;
    std::size_t next = 0;
    if (fds.empty() || ending_) return;
    given.control = fds[next++].get();
    for (int i = 0; i < 3; ++i) {
      if (!command.given[i]) continue;
      if (next >= fds.size()) return;
      given.stdio[i] = fds[next++].get();
    }
    nobody_ = false;
    if (!start_command(given)) reap();  // perhaps nothing runs, which nobody would say again
  }

  // With own_kernel: makes the descriptors here, as they can't be sent.
  Result<Ends> begin(std::uint8_t used) {
    ++begun_;
    if (ending_) return fail("the session ends");
    Ends ours, theirs;
    for (std::uint8_t channel = 0; channel < channels; ++channel) {
      if ((used >> channel & 1) == 0) continue;
      int pair[2];
      const bool is_control = channel == control;
      const int made = is_control || channel == terminal
                           ? ::socketpair(AF_UNIX, (is_control ? SOCK_SEQPACKET : SOCK_STREAM) | SOCK_CLOEXEC, 0, pair)
                           : ::pipe2(pair, O_CLOEXEC);
      if (made != 0) return fail("no descriptors for a command", errno);
      // A pipe's first end is read from; the command reads only its input.
      const bool first_is_theirs = channel == input;
      (first_is_theirs ? theirs : ours)[channel].reset(pair[0]);
      (first_is_theirs ? ours : theirs)[channel].reset(pair[1]);
    }
    const Given given{{theirs[input].get(), theirs[output].get(), theirs[errors].get()},
                      theirs[control].get(),
                      theirs[terminal].get()};
    nobody_ = false;
    if (!start_command(given)) {
      const Error error{"fork failed inside the session", errno};
      reap();
      return tl::unexpected(error);
    }
    return ours;
  }

  Link link_;
  const Setup& setup_;
  UniqueFd signals_;
  std::optional<Mux> mux_;
  bool ending_ = false, nobody_ = true;
  std::uint32_t begun_ = 0, told_ = 0;  // commands; after how many of them it was last said that nothing runs
};

}  // namespace

[[noreturn]] void hold(const Link& link, const Setup& setup, int stream) {
  const int abi = setup.landlock && !setup.own_kernel ? landlock_abi() : 0;
  // What a command leaves running is ours to wait for, so that the session is known to be empty; the first process's it
  // is anyway.
  if (::getpid() != 1 && ::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0) {
    give_up(link, failure(Error{"prctl(PR_SET_CHILD_SUBREAPER) failed", errno}));
  }
  if (!link.send(Ready{})) ::_exit(125);
  await_go(link);
  UniqueFd signals = receive_signals();
  if (!signals) give_up(link, failure(Error{"no descriptors for the shim", errno}));
  let_go_of_stdio();
  const Holding holding{own_devices(setup)};
  if (auto done = restrict_holder(setup, abi); !done) give_up(link, failure(done.error()));
  if (!link.send(holding)) ::_exit(125);
  Holder(link, setup, std::move(signals), stream).run();
}

}  // namespace bulkhead::shim

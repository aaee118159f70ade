#include "session/execute.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>

#include "base/ipc.h"
#include "base/sys.h"
#include "base/text.h"
#include "guest/protocol.h"
#include "session/job_signals.h"
#include "session/pump.h"
#include "session/terminal/terminal.h"

namespace bulkhead::session {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int patience = 30'000;                      // ms, for the session to take the command
constexpr auto last_words = std::chrono::seconds(3);  // for the terminal to show what is left
constexpr auto term_grace = std::chrono::seconds(3);  // between a passed on SIGTERM and leaving

class Caller {
 public:
  Caller(UniqueFd session, const Execution& what) : session_(std::move(session)), what_(what) {}

  Result<Executed> run() {
    BH_TRY(signals_, receive_job_signals());
    const int none[3] = {-1, -1, -1};
    const bool captured = what_.capture > 0;
    const int shown[3] = {what_.stdio[0], captured ? none[1] : what_.stdio[1], captured ? none[2] : what_.stdio[2]};
    BH_TRY(Terminal terminal, Terminal::open(shown));
    terminal_.emplace(std::move(terminal));
    BH_CHECK(ask());
    auto done = loop();
    terminal_->close(true);  // what the command left running may have it, too
    BH_CHECK(std::move(done));
    Executed out{status_, "", "", false};
    if (captured) {
      out.out = pumps_[1]->captured();
      out.err = pumps_[2]->captured();
      out.cut = pumps_[1]->cut() || pumps_[2]->cut();
    }
    return out;
  }

 private:
  // The descriptor that stands for 0, 1 or 2 inside: the caller's own, or a pipe to what carries its bytes. Unset:
  // none.
  Result<std::optional<UniqueFd>> given(int i) {
    const bool captured = i > 0 && what_.capture > 0;
    if (!captured) {
      struct stat st{};
      if (terminal_->layout().pty[i] || ::fstat(what_.stdio[i], &st) != 0) return std::optional<UniqueFd>();
      if (!what_.own_kernel) {
        BH_TRY(UniqueFd copy, sys::duplicate(what_.stdio[i]));
        return copy;
      }
    }
    BH_TRY(sys::Pair pipe, sys::pipe());
    auto pump = captured ? Pump::capture(std::move(pipe.first), what_.capture)
                : i == 0 ? Pump::into(std::move(pipe.second), what_.stdio[0])
                         : Pump::out_of(std::move(pipe.first), what_.stdio[i]);
    if (!pump) return tl::unexpected(std::move(pump).error());
    pumps_[i].emplace(std::move(*pump));
    return std::optional<UniqueFd>(std::move(i == 0 ? pipe.first : pipe.second));
  }

  Result<void> ask() {
    std::vector<UniqueFd> keep;
    std::vector<int> fds;
    nlohmann::json flags = nlohmann::json::array();
    for (int i = 0; i < 3; ++i) {
      BH_TRY(std::optional<UniqueFd> fd, given(i));
      flags.push_back(fd.has_value());
      if (!fd) continue;
      fds.push_back(fd->get());
      keep.push_back(std::move(*fd));
    }
    BH_CHECK(ipc::send(session_.get(), nlohmann::json{{"type", "exec"}, {"given", flags}}, fds));
    pollfd p{session_.get(), POLLIN, 0};
    if (::poll(&p, 1, patience) <= 0) return fail("it does not answer (is it stopped, or very busy?)");
    BH_TRY(const ipc::Message message, ipc::receive(session_.get()));
    if (message.closed) return fail("it ended before it answered");
    BH_TRY(const nlohmann::json answer, ipc::parse(message.text));
    if (!answer.value("ok", false))
      return fail(escape_for_terminal(answer.value("error", "it refused without a word")));
    return send_setup();
  }

  Result<void> send_setup() {
    shim::Setup setup;
    setup.arguments = what_.command;
    setup.environment = what_.environment;
    setup.directory = what_.directory;
    for (int i = 0; i < 3; ++i) setup.pty[i] = terminal_->layout().pty[i];
    setup.window = terminal_->window();
    setup.plain_pty = terminal_->plain_pty();
    setup.mask = ::umask(0);
    ::umask(setup.mask);
    BH_TRY(const std::vector<std::string> datagrams, shim::encode(setup));
    for (const std::string& datagram : datagrams) BH_CHECK(ipc::send(session_.get(), std::string_view(datagram)));
    return {};
  }

  bool over() const {
    if (!ended_ || !terminal_->flushed()) return false;
    return std::ranges::all_of(std::span(pumps_).subspan(1), [](const auto& pump) { return !pump || pump->done(); });
  }

  Result<void> loop() {
    while (!over()) {
      std::vector<pollfd> fds{{signals_.get(), POLLIN, 0}, {session_.get(), POLLIN, 0}};
      terminal_->prepare(fds);
      for (const auto& pump : pumps_) {
        if (pump) pump->prepare(fds);
      }
      if (::poll(fds.data(), fds.size(), timeout()) < 0) {
        if (errno == EINTR) continue;
        return fail_errno("poll", "", errno);
      }
      if (fds[0].revents != 0) BH_CHECK(on_signal());
      if (fds[1].revents != 0) BH_CHECK(on_message());
      if (auto done = terminal_->handle(fds); !done) return done;
      for (auto& pump : pumps_) {
        if (pump) pump->handle(fds);
      }
      if (ended_ && until_ && Clock::now() >= *until_) break;
      if (leave_at_ && Clock::now() >= *leave_at_) return fail("it did not end within 3 seconds of the signal: killed");
    }
    if (terminal_->layout().any()) tell(shim::Finish{});
    return lost_;
  }

  int timeout() const {
    std::optional<Clock::time_point> next = until_;
    for (const auto& at : {leave_at_, terminal_->deadline()}) {
      if (at && (!next || *at < *next)) next = at;
    }
    if (!next) return -1;
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(*next - Clock::now()).count();
    return static_cast<int>(std::clamp<std::int64_t>(left + 1, 0, 60'000));
  }

  void tell(const shim::ToShim& message) const {
    if (session_) (void)ipc::send(session_.get(), std::string_view(shim::encode(message)));
  }

  void leave_soon(int signal) {
    tell(shim::Signal{signal, false});
    tell(shim::Signal{SIGCONT, false});
    leave_at_ = Clock::now() + term_grace;
  }

  Result<void> on_signal() {
    while (const auto number = next_job_signal(signals_.get())) {
      switch (*number) {
        case SIGWINCH:
          terminal_->resize();
          break;
        case SIGTSTP:
          tell(shim::Signal{SIGSTOP, false});
          stop_as_a_job();
          tell(shim::Continue{});
          break;
        case SIGCONT:
          BH_CHECK(terminal_->resume());
          tell(shim::Continue{});
          break;
        case SIGTERM:
        case SIGHUP:
          leave_soon(*number);
          break;
        default:
          if (what_.ends_at_interrupt || ended_) {
            leave_soon(*number);
          } else {
            tell(shim::Signal{*number, terminal_->layout().any()});
          }
      }
    }
    return {};
  }

  Result<void> on_message() {
    auto message = ipc::receive(session_.get());
    if (!message || message->closed) {
      session_.reset();
      if (!ended_) lose(fail("the session ended before the command did"));
      return {};
    }
    BH_TRY(const shim::ToSupervisor decoded, shim::decode_to_supervisor(message->text));
    if (std::holds_alternative<shim::Ready>(decoded)) return on_ready(message->fds);
    if (std::holds_alternative<shim::Stopped>(decoded)) {
      if (!terminal_->layout().any()) return {};
      terminal_->suspend();
      stop_as_a_job();
      BH_CHECK(terminal_->resume());
      tell(shim::Continue{});
    } else if (const auto* exited = std::get_if<shim::Exited>(&decoded)) {
      end(exited->shell());
    } else if (const auto* failed = std::get_if<shim::Failed>(&decoded)) {
      if (failed->code == 125) {
        lose(fail(escape_for_terminal(failed->text)));
        return {};
      }
      std::fprintf(stderr, "bulkhead: %s\n", escape_for_terminal(failed->text).c_str());
      end(failed->code);
    }
    return {};
  }

  Result<void> on_ready(std::vector<UniqueFd>& fds) {
    if (terminal_->layout().any()) {
      if (fds.size() != 1) return fail("the session has no pty for it");
      if (what_.own_kernel) {
        BH_CHECK(terminal_->attach(std::move(fds[0]), [this](const auto& size) { tell(shim::Window{size}); }));
      } else {
        BH_CHECK(terminal_->attach(std::move(fds[0])));
      }
    }
    BH_CHECK(terminal_->start());
    tell(shim::Go{});
    return {};
  }

  // What the command wrote before it was lost is still passed on.
  void lose(Result<void> why) {
    if (!ended_) lost_ = std::move(why);
    end(125);
  }

  void end(int status) {
    if (ended_) return;
    ended_ = true;
    status_ = status;
    leave_at_.reset();
    terminal_->end_input();
    // From a kernel of its own the last of its output comes with an end of its own.
    for (int i = 1; i < 3; ++i) {
      if (!pumps_[i] || what_.own_kernel) continue;
      pumps_[i]->end();
      while (!pumps_[i]->done()) pumps_[i]->handle({});
    }
    if (terminal_->layout().any()) until_ = Clock::now() + last_words;
  }

  UniqueFd session_, signals_;
  const Execution& what_;
  std::optional<Terminal> terminal_;
  std::optional<Pump> pumps_[3];
  bool ended_ = false;
  int status_ = 0;
  Result<void> lost_;
  std::optional<Clock::time_point> until_, leave_at_;
};

}  // namespace

Result<Executed> execute(UniqueFd session, const Execution& what) {
  return Caller(std::move(session), what).run();
}

}  // namespace bulkhead::session

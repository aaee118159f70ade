#include "session/terminal/terminal.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <pty.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <thread>

#include "base/sys.h"

namespace bulkhead::session {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

#define E "\x1b"

struct Pty {
  Pty() {
    int m = -1, s = -1;
    const winsize size{40, 100, 800, 600};
    if (::openpty(&m, &s, nullptr, nullptr, &size) != 0) std::abort();
    master.reset(m);
    slave.reset(s);
    if (!sys::set_nonblocking(m, true)) std::abort();
  }
  UniqueFd master, slave;
};

bool readable(int fd, milliseconds time) {
  pollfd p{fd, POLLIN, 0};
  return ::poll(&p, 1, static_cast<int>(time.count())) == 1 && (p.revents & POLLIN) != 0;
}

void put(int fd, std::string_view text) {
  ASSERT_EQ(::write(fd, text.data(), text.size()), static_cast<ssize_t>(text.size()));
}

// What is there now.
std::string take(int fd) {
  std::string out;
  char buffer[65536];
  while (readable(fd, milliseconds(0))) {
    const ssize_t n = ::read(fd, buffer, sizeof buffer);
    if (n <= 0) break;
    out.append(buffer, static_cast<std::size_t>(n));
  }
  return out;
}

tcflag_t local_flags(int tty) {
  termios settings{};
  EXPECT_EQ(::tcgetattr(tty, &settings), 0);
  return settings.c_lflag;
}
bool is_raw(int tty) {
  return (local_flags(tty) & (ICANON | ECHO | ISIG)) == 0;
}

int waiting(int tty) {
  int n = -1;
  EXPECT_EQ(::ioctl(tty, FIONREAD, &n), 0);
  return n;
}

// The user's terminal (`user.master` is its window and its keyboard) and the session's pty (`session.slave` is what
// the workload has).
class TerminalTest : public testing::Test {
 protected:
  // The last slave goes first, as in a session; closing would wait for it.
  void TearDown() override { session.slave.reset(); }

  void start() { start({user.slave.get(), user.slave.get(), user.slave.get()}); }
  void start(const int (&stdio)[3]) {
    auto opened = Terminal::open(stdio);
    ASSERT_TRUE(opened.has_value());
    terminal.emplace(std::move(*opened));
    ASSERT_TRUE(terminal->attach(std::move(session.master)).has_value());
    ASSERT_TRUE(terminal->start().has_value());
  }
  // One turn of the supervisor's loop.
  void turn(milliseconds time = milliseconds(5)) {
    std::vector<pollfd> fds;
    terminal->prepare(fds);
    (void)::poll(fds.data(), fds.size(), static_cast<int>(time.count()));
    ASSERT_TRUE(terminal->handle(fds).has_value());
  }
  bool turn_until(const std::function<bool()>& done, milliseconds time = milliseconds(5000)) {
    const auto until = Clock::now() + time;
    while (!done()) {
      if (Clock::now() >= until || HasFatalFailure()) return false;
      turn();
    }
    return true;
  }
  void turn_for(milliseconds time) {
    (void)turn_until([] { return false; }, time);
  }
  // What the user sees, once it ends so.
  std::string shown(std::string_view end) {
    std::string out;
    (void)turn_until([&] {
      out += take(user.master.get());
      return out.ends_with(end);
    });
    return out;
  }
  // What the workload reads, once it ends so.
  std::string typed(std::string_view end) {
    std::string out;
    (void)turn_until([&] {
      out += take(session.slave.get());
      return out.ends_with(end);
    });
    return out;
  }
  void make_raw(int tty) {
    termios settings{};
    ASSERT_EQ(::tcgetattr(tty, &settings), 0);
    ::cfmakeraw(&settings);
    ASSERT_EQ(::tcsetattr(tty, TCSANOW, &settings), 0);
  }

  Pty user, session;
  std::optional<Terminal> terminal;
};

TEST_F(TerminalTest, BytesBothWays) {
  start();
  make_raw(session.slave.get());
  put(user.master.get(), "key\x03\x04\x1b[A");
  EXPECT_EQ(typed("\x1b[A"), "key\x03\x04\x1b[A");
  put(session.slave.get(), "text " E "[31mred" E "]52;c;aGk=\a!");
  EXPECT_EQ(shown("!"), "text " E "[31mred!");
}

TEST_F(TerminalTest, TheSessionsPtyDoesEchoAndLineEnds) {
  start();
  put(user.master.get(), "hi\r");
  EXPECT_EQ(shown("\n"), "hi\r\n");
  EXPECT_EQ(typed("\n"), "hi\n");
  put(session.slave.get(), "a\nb\n");
  EXPECT_EQ(shown("b\r\n"), "a\r\nb\r\n");
}

TEST_F(TerminalTest, RawModeComesAndGoes) {
  const tcflag_t before = local_flags(user.slave.get());
  start();
  EXPECT_TRUE(is_raw(user.slave.get()));
  terminal->suspend();
  EXPECT_EQ(local_flags(user.slave.get()), before);
  ASSERT_TRUE(terminal->resume().has_value());
  EXPECT_TRUE(is_raw(user.slave.get()));
  terminal->suspend();
  terminal->suspend();
  ASSERT_TRUE(terminal->resume().has_value());
  session.slave.reset();
  terminal->close();
  EXPECT_EQ(local_flags(user.slave.get()), before);
  terminal->close();
}

TEST_F(TerminalTest, TheDestructorPutsTheSettingsBack) {
  const tcflag_t before = local_flags(user.slave.get());
  start();
  ASSERT_TRUE(is_raw(user.slave.get()));
  session.slave.reset();
  terminal.reset();
  EXPECT_EQ(local_flags(user.slave.get()), before);
}

TEST_F(TerminalTest, OpeningChangesNothing) {
  const tcflag_t before = local_flags(user.slave.get());
  auto opened = Terminal::open({user.slave.get(), user.slave.get(), user.slave.get()});
  ASSERT_TRUE(opened.has_value());
  EXPECT_EQ(local_flags(user.slave.get()), before);
  EXPECT_EQ(::fcntl(user.slave.get(), F_GETFL) & O_NONBLOCK, 0) << "the shell has the same descriptor";
}

TEST_F(TerminalTest, TheUsersDescriptorsStayBlocking) {
  start();
  turn_for(milliseconds(20));
  EXPECT_EQ(::fcntl(user.slave.get(), F_GETFL) & O_NONBLOCK, 0);
}

TEST_F(TerminalTest, WindowSize) {
  start();
  EXPECT_EQ(terminal->window().rows, 40);
  EXPECT_EQ(terminal->window().columns, 100);
  const winsize wide{50, 200, 1600, 900};
  ASSERT_EQ(::ioctl(user.master.get(), TIOCSWINSZ, &wide), 0);
  terminal->resize();
  winsize inside{};
  ASSERT_EQ(::ioctl(session.slave.get(), TIOCGWINSZ, &inside), 0);
  EXPECT_EQ(inside.ws_row, 50);
  EXPECT_EQ(inside.ws_col, 200);
  EXPECT_EQ(inside.ws_xpixel, 1600);
  // Also when it changed while somebody else had the terminal.
  terminal->suspend();
  const winsize small{10, 20, 0, 0};
  ASSERT_EQ(::ioctl(user.master.get(), TIOCSWINSZ, &small), 0);
  ASSERT_TRUE(terminal->resume().has_value());
  ASSERT_EQ(::ioctl(session.slave.get(), TIOCGWINSZ, &inside), 0);
  EXPECT_EQ(inside.ws_col, 20);
}

TEST_F(TerminalTest, NobodyKnowsTheSizeOfAPipe) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  const UniqueFd out(ends[0]), in(ends[1]);
  auto opened = Terminal::open({ends[0], ends[1], ends[1]});
  ASSERT_TRUE(opened.has_value());
  EXPECT_FALSE(opened->layout().any());
  EXPECT_EQ(opened->window().rows, 24);
  EXPECT_EQ(opened->window().columns, 80);
  EXPECT_TRUE(opened->flushed());
}

TEST_F(TerminalTest, MuchOutputArrivesWholeAndTheWorkloadWaitsForASlowReader) {
  constexpr std::size_t size = 8 << 20;
  std::string all(size, ' ');
  for (std::size_t i = 0; i < size; ++i) all[i] = static_cast<char>('!' + (i * 7 + i / 97) % 90);
  make_raw(session.slave.get());
  start();
  std::atomic<std::size_t> written{0};
  std::thread workload([&] {
    while (written < size) {
      const ssize_t n = ::write(session.slave.get(), all.data() + written, std::min<std::size_t>(size - written, 4096));
      if (n <= 0) break;
      written += static_cast<std::size_t>(n);
    }
  });
  turn_for(milliseconds(300));  // nobody reads
  EXPECT_LT(written.load(), 1U << 20);
  EXPECT_GT(written.load(), 0U);
  std::string got;
  const bool whole = turn_until(
      [&] {
        char buffer[16384];
        const ssize_t n = ::read(user.master.get(), buffer, sizeof buffer);
        if (n > 0) got.append(buffer, static_cast<std::size_t>(n));
        return got.size() >= size;
      },
      milliseconds(120'000));
  if (!whole) user.master.reset(), session.slave.reset(), terminal.reset();
  workload.join();
  EXPECT_TRUE(whole);
  EXPECT_TRUE(got == all) << got.size();
}

TEST_F(TerminalTest, TheLastWordsAreShown) {
  start();
  put(session.slave.get(), "last");
  session.slave.reset();
  EXPECT_FALSE(terminal->flushed());
  terminal->end_input();
  EXPECT_TRUE(turn_until([&] { return terminal->flushed(); }));
  EXPECT_EQ(take(user.master.get()), "last");
}

TEST_F(TerminalTest, ClosingShowsTheLastWordsToo) {
  start();
  put(session.slave.get(), "last");
  session.slave.reset();
  terminal->close();
  EXPECT_EQ(take(user.master.get()), "last");
}

TEST_F(TerminalTest, AfterTheEndNoKeysAreRead) {
  start();
  terminal->end_input();
  put(user.master.get(), "ls\n");
  turn_for(milliseconds(50));
  EXPECT_EQ(waiting(session.slave.get()), 0);
  session.slave.reset();
  terminal->close();
  EXPECT_EQ(waiting(user.slave.get()), 3) << "typed ahead, for the shell";
}

TEST_F(TerminalTest, ModesAreSwitchedOffAtTheEnd) {
  start();
  put(session.slave.get(), E "[?1049h" E "[?25l" E "[31mtext");
  session.slave.reset();
  const auto before = Clock::now();
  terminal->close();
  EXPECT_LT(Clock::now() - before, milliseconds(500)) << "nothing was asked: nothing to wait for";
  EXPECT_EQ(take(user.master.get()), E "[?1049h" E "[?25l" E "[31mtext" E "[?25h" E "[?1049l" E "[0m");
}

TEST_F(TerminalTest, NothingIsAddedWhereNothingWasLeftOn) {
  start();
  put(session.slave.get(), E "[31mtext" E "[0m");
  session.slave.reset();
  terminal->close();
  EXPECT_EQ(take(user.master.get()), E "[31mtext" E "[0m");
}

// A terminal that takes `delay` over every question, and answers in order.
class SlowTerminal {
 public:
  SlowTerminal(int master, milliseconds delay) : master_(master), delay_(delay), thread_([this] { run(); }) {}
  ~SlowTerminal() { stop(); }
  // All that was shown.
  std::string stop() {
    stop_ = true;
    if (thread_.joinable()) thread_.join();
    return seen_;
  }

 private:
  void run() {
    std::size_t at = 0;
    std::vector<std::pair<Clock::time_point, std::string>> due;
    while (!stop_ || !due.empty()) {
      if (readable(master_, milliseconds(5))) seen_ += take(master_);
      for (; at < seen_.size(); ++at) {
        const std::string_view rest = std::string_view(seen_).substr(at);
        if (rest.starts_with(E "[5n")) due.emplace_back(Clock::now() + delay_, E "[0n");
        if (rest.starts_with(E "[c")) due.emplace_back(Clock::now() + delay_, E "[?62;22c");
      }
      while (!due.empty() && Clock::now() >= due.front().first) {
        (void)!::write(master_, due.front().second.data(), due.front().second.size());
        due.erase(due.begin());
      }
    }
  }
  int master_;
  milliseconds delay_;
  std::atomic<bool> stop_{false};
  std::string seen_;
  std::thread thread_;
};

TEST_F(TerminalTest, ALateAnswerIsNotLeftForTheShell) {
  start();
  put(session.slave.get(), E "[c");
  session.slave.reset();
  SlowTerminal slow(user.master.get(), milliseconds(100));
  terminal->close();
  EXPECT_EQ(slow.stop(), E "[c" E "[5n");
  EXPECT_EQ(waiting(user.slave.get()), 0);
  EXPECT_FALSE(is_raw(user.slave.get()));
}

// The workload asks what Bulkhead will ask, and something else a moment later: the first answer is not the last.
TEST_F(TerminalTest, AnAnswerToTheWorkloadsOwnQuestionIsNotTakenForOurs) {
  start();
  SlowTerminal slow(user.master.get(), milliseconds(400));
  put(session.slave.get(), E "[5n");
  turn_for(milliseconds(200));
  put(session.slave.get(), E "[c");
  session.slave.reset();
  terminal->close();
  EXPECT_EQ(slow.stop(), E "[5n" E "[c" E "[5n");
  EXPECT_EQ(waiting(user.slave.get()), 0);
}

TEST_F(TerminalTest, AnAnswerThatWasReadIsNotWaitedFor) {
  start();
  make_raw(session.slave.get());
  {
    SlowTerminal quick(user.master.get(), milliseconds(0));
    put(session.slave.get(), E "[5n");
    EXPECT_EQ(typed("n"), E "[0n");
    session.slave.reset();
    const auto before = Clock::now();
    terminal->close();
    EXPECT_LT(Clock::now() - before, milliseconds(600));
  }
  EXPECT_EQ(waiting(user.slave.get()), 0);
}

TEST_F(TerminalTest, ATerminalThatNeverAnswersIsNotWaitedForLong) {
  start();
  put(session.slave.get(), E "[c");
  session.slave.reset();
  const auto before = Clock::now();
  terminal->close();
  EXPECT_LT(Clock::now() - before, milliseconds(3500));
  EXPECT_FALSE(is_raw(user.slave.get()));
}

// A workload can ask and stop: the shell would have the terminal when the answer comes.
TEST_F(TerminalTest, NoAnswerIsLeftForTheShellAtAStop) {
  start();
  SlowTerminal slow(user.master.get(), milliseconds(100));
  put(session.slave.get(), E "[?1003h" E "[c");
  turn_for(milliseconds(50));
  terminal->suspend();
  EXPECT_FALSE(is_raw(user.slave.get()));
  EXPECT_EQ(waiting(user.slave.get()), 0);
  ASSERT_TRUE(terminal->resume().has_value());
  turn_for(milliseconds(50));
  EXPECT_EQ(slow.stop(), E "[?1003h" E "[c" E "[?1003l" E "[5n" E "[?1003h");
}

TEST_F(TerminalTest, TheDisplayClosedUnderIt) {
  start();
  user.master.reset();
  put(session.slave.get(), E "[?1049htext" E "[c");
  turn_for(milliseconds(50));
  EXPECT_TRUE(terminal->flushed());
  session.slave.reset();
  const auto before = Clock::now();
  terminal->close();
  EXPECT_LT(Clock::now() - before, milliseconds(500));
}

class PipedTerminal : public TerminalTest {
 protected:
  void SetUp() override {
    int ends[2];
    ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    out.reset(ends[0]);
    in.reset(ends[1]);
    before = local_flags(user.slave.get());
    start({user.slave.get(), in.get(), user.slave.get()});
  }
  UniqueFd out, in;
  tcflag_t before = 0;
};

TEST_F(PipedTerminal, TheTerminalKeepsItsSettings) {
  EXPECT_FALSE(terminal->layout().raw);
  EXPECT_TRUE(terminal->layout().pty[0]);
  EXPECT_FALSE(terminal->layout().pty[1]);
  EXPECT_TRUE(terminal->layout().pty[2]);
  EXPECT_EQ(local_flags(user.slave.get()), before);
  put(user.master.get(), "hi\n");
  EXPECT_EQ(typed("\n"), "hi\n");
  turn_for(milliseconds(50));
  EXPECT_EQ(take(user.master.get()), "hi\r\n") << "echoed once, by the user's own terminal";
  put(session.slave.get(), "a\nb\n");
  EXPECT_EQ(shown("b\r\n"), "a\r\nb\r\n") << "line ends once too";
}

TEST_F(PipedTerminal, CtrlDIsPassedOn) {
  put(user.master.get(), "\x04");
  char c = 0;
  EXPECT_TRUE(turn_until([&] { return readable(session.slave.get(), milliseconds(0)); }));
  EXPECT_EQ(::read(session.slave.get(), &c, 1), 0);
  put(user.master.get(), "more\n");
  EXPECT_EQ(typed("\n"), "more\n");
}

// Its answer would be typed into a line.
TEST_F(PipedTerminal, NothingIsAsked) {
  put(session.slave.get(), E "[c" E "[?1003h" E "]11;?\atext");
  EXPECT_EQ(shown("text"), "text");
}

TEST_F(PipedTerminal, ATerminalThatHungUpIsNotReadAnyMore) {
  user.master.reset();
  turn_for(milliseconds(20));
  std::vector<pollfd> fds;
  terminal->prepare(fds);
  for (const pollfd& p : fds) EXPECT_EQ(p.events & POLLOUT, 0) << "no end of ends";
  EXPECT_LE(fds.size(), 1U);
}

TEST_F(PipedTerminal, KeysOfATerminalInAnothersModeAreNotRead) {
  make_raw(user.slave.get());  // a pager
  put(user.master.get(), "q");
  turn_for(milliseconds(50));
  EXPECT_EQ(waiting(user.slave.get()), 1);
}

// ---- a question of Bulkhead's

TEST_F(TerminalTest, AQuestionHasTheScreenAndTheKeys) {
  start();
  put(session.slave.get(), "before");
  EXPECT_EQ(shown("before"), "before");
  ASSERT_TRUE(terminal->may_ask());
  ASSERT_TRUE(terminal->ask({"May it?", "y or n"}, "yn", 'n'));
  EXPECT_FALSE(terminal->may_ask()) << "one at a time";
  EXPECT_EQ(shown("y or n"),
            E "[?1049h" E "(B\x0f" E "[0m" E "]8;;" E "\\" E "[2J" E "[H" E "[2J" E "[1;1HMay it?" E "[2;1Hy or n");
  put(session.slave.get(), "painted" E "[2J");
  put(user.master.get(), "y");  // typed ahead
  turn_for(milliseconds(100));
  EXPECT_FALSE(terminal->answered());
  EXPECT_EQ(take(user.master.get()), "") << "what the workload says waits";
  EXPECT_EQ(waiting(session.slave.get()), 0) << "what is typed is not the workload's";
  turn_for(milliseconds(600));
  put(user.master.get(), "y");
  std::optional<char> key;
  EXPECT_TRUE(turn_until([&] { return (key = terminal->answered()).has_value(); }));
  EXPECT_EQ(key, 'y');
  EXPECT_TRUE(terminal->asking());
  terminal->end_question();
  EXPECT_FALSE(terminal->asking());
  EXPECT_EQ(shown("painted" E "[2J"), E "[0m" E "[2J" E "[?1049lpainted" E "[2J");
  put(user.master.get(), "n\r");
  EXPECT_EQ(typed("\n"), "n\n");
}

TEST_F(TerminalTest, AQuestionIsDrawnAgainWhenTheWindowChanges) {
  start();
  ASSERT_TRUE(terminal->ask({"May it?"}, "yn", 'n'));
  EXPECT_TRUE(shown("May it?").ends_with("May it?"));
  terminal->resize();
  EXPECT_EQ(shown("May it?"), E "[2J" E "[1;1HMay it?");
}

TEST_F(TerminalTest, AFullScreenProgramIsToldToDrawAgain) {
  start();
  put(session.slave.get(), E "[?1049hfull");
  EXPECT_TRUE(shown("full").ends_with("full"));
  ASSERT_TRUE(terminal->ask({"May it?"}, "yn", 'n'));
  (void)shown("May it?");
  terminal->end_question();
  winsize size{};
  ASSERT_EQ(::ioctl(session.slave.get(), TIOCGWINSZ, &size), 0);
  EXPECT_EQ(size.ws_row, 39);
  EXPECT_TRUE(terminal->deadline());
  turn_for(milliseconds(200));
  ASSERT_EQ(::ioctl(session.slave.get(), TIOCGWINSZ, &size), 0);
  EXPECT_EQ(size.ws_row, 40);
  EXPECT_FALSE(terminal->deadline());
}

TEST_F(TerminalTest, AQuestionEndsWithWhatItStandsOn) {
  start();
  ASSERT_TRUE(terminal->ask({"May it?"}, "yn", 'n'));
  terminal->suspend();
  EXPECT_FALSE(terminal->asking());
  EXPECT_FALSE(terminal->may_ask()) << "a shell has the terminal";
  ASSERT_TRUE(terminal->resume());
  ASSERT_TRUE(terminal->ask({"May it?"}, "yn", 'n'));
  terminal->end_input();
  EXPECT_FALSE(terminal->asking());
  EXPECT_FALSE(terminal->ask({"May it?"}, "yn", 'n'));
  session.slave.reset();
  terminal->close();
  EXPECT_TRUE(take(user.master.get()).ends_with(E "[?1049l"));
  EXPECT_FALSE(is_raw(user.slave.get()));
}

TEST_F(PipedTerminal, NobodyIsAsked) {
  EXPECT_FALSE(terminal->ask({"May it?"}, "yn", 'n'));
}

// A job in the background: neither settings nor answers.
TEST_F(TerminalTest, InTheBackgroundNothingIsAskedAndNothingChanged) {
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    if (::setsid() < 0 || ::ioctl(user.slave.get(), TIOCSCTTY, 0) != 0) ::_exit(10);
    const pid_t shell = ::fork();  // whose group has the terminal
    if (shell == 0) {
      session.slave.reset();
      ::pause();
      ::_exit(0);
    }
    if (::setpgid(shell, shell) != 0 || ::tcsetpgrp(user.slave.get(), shell) != 0) ::_exit(11);
    int code = 0;
    start();
    if (is_raw(user.slave.get())) code = 1;
    put(session.slave.get(), E "[c" E "[?1003htext");
    if (shown("text") != "text") code = 2;
    put(user.master.get(), "ls\n");
    turn_for(milliseconds(50));
    if (waiting(session.slave.get()) != 0) code = 3;
    session.slave.reset();
    terminal->close();
    if (is_raw(user.slave.get()) || waiting(user.slave.get()) != 3) code = 4;
    ::kill(shell, SIGKILL);
    (void)::waitpid(shell, nullptr, 0);
    ::_exit(HasFailure() ? 5 : code);
  }
  session.slave.reset();
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

}  // namespace
}  // namespace bulkhead::session

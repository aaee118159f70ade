// The user's terminal, seen from the supervisor.
//
//   terminal.h   Terminal: what the supervisor holds (this file)
//   layout.h     which of 0, 1, 2 are terminals, and what follows from it
//   tty.h        the user's tty, opened again so that nothing of it blocks
//   raw_mode.h   the tty's settings, changed and put back
//   filter.h     OutputFilter: what the workload prints, without what would act on the user's machine
//   modes.h      what the workload switched on in the terminal and has to be switched off
//   answer_keys.h which key answers a question of Bulkhead's
//   drain.h      the end: answers still on their way are thrown away
//
// The workload has a pty of its own (guest/pty.h); only bytes cross, and those going out are
// filtered. Ends that are no terminal (pipes, files) are the workload's own descriptors and never
// come through here.
//
//   BH_TRY(Terminal terminal, Terminal::open({0, 1, 2}));      // before Setup:
//   terminal.layout().pty, .window() … Ready arrives with the master:
//   BH_CHECK(terminal.attach(std::move(master))); … Started: BH_CHECK(terminal.start()); loop:
//   terminal.prepare(fds); poll(fds); terminal.handle(fds);
//         SIGWINCH -> resize();  Stopped -> suspend(), raise(SIGSTOP), resume(), send Continue
//         Exited   -> end_input(); go on polling until flushed(); then send Finish
//   terminal.close();                                          // also by the destructor
#pragma once

#include <poll.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "guest/protocol.h"
#include "session/terminal/layout.h"

namespace bulkhead::session {

class Terminal {
 public:
  // `stdio`: the user's 0, 1, 2, which must outlive this. Changes nothing yet.
  static Result<Terminal> open(const int (&stdio)[3]);
  Terminal(Terminal&&) noexcept;
  Terminal& operator=(Terminal&&) noexcept;
  ~Terminal();

  const Layout& layout() const;
  shim::WindowSize window() const;  // 80x24 where nobody knows

  // The session's pty, from Ready. Not to be called when layout().any() is false.
  Result<void> attach(UniqueFd master);
  // The same where the pty is another kernel's (guest/protocol.h, Setup::own_kernel): `lane` carries its bytes, and
  // `resized` tells it a new size. Its settings are the shim's to make (plain_pty()).
  Result<void> attach(UniqueFd lane, std::function<void(const shim::WindowSize&)> resized);
  // The pty is to neither echo nor turn line ends into what a screen needs: the user's terminal does that already.
  bool plain_pty() const;
  // Raw mode where the layout wants it; from now on keys go to the session.
  Result<void> start();

  // Adds what poll() shall wait for; handle() finds its own entries again, by descriptor. Neither
  // blocks.
  void prepare(std::vector<pollfd>& fds);
  // An error: the display or the pty failed for good (not: they were closed, see flushed()).
  Result<void> handle(const std::vector<pollfd>& fds);

  void resize();  // after SIGWINCH: gives the pty the display's size

  // A question to the person. While it is open the screen is its own: nothing of the workload's is shown, and no key
  // goes there. `lines` are ours (hostile parts escaped) and fit the window; `keys`: see answer_keys.h. False: not here
  // or not now (no raw mode, in the background, the end is near): then nothing was asked.
  bool ask(const std::vector<std::string>& lines, const std::string& keys, char no);
  // May be asked, and in what room?
  bool may_ask() const;
  // A question is open; suspend() and the end of either side close it.
  bool asking() const;
  // The key that answered it, once.
  std::optional<char> answered();
  // Puts the workload's screen back.
  void end_question();
  // For poll(2): when something is to be done that no descriptor tells of.
  std::optional<std::chrono::steady_clock::time_point> deadline() const;

  // Puts the user's settings back, for a shell to use, and takes them again. Suspending takes a terminal's round trip
  // where the workload asked it something: the shell would read the answer.
  void suspend();
  Result<void> resume();

  // How much the workload has written to its pty since this was last asked.
  std::uint64_t take_count();

  // It has written enough: nothing more of it is read.
  void end_output();
  // The workload is gone: no more keys; what the pty still holds is read out.
  void end_input();
  // Nothing is left: everything was shown, or the display is gone. True at once without a pty.
  bool flushed() const;
  // Throws away answers to what the workload asked the terminal, switches off what it left on, puts
  // the settings back. Takes a terminal's round trip where the workload asked it something; bounded
  // (drain.h).
  // `shared`: others may go on writing to the pty, so that its end is not waited for longer than a moment.
  void close(bool shared = false);

 private:
  struct State;
  explicit Terminal(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace bulkhead::session

// Between the user's terminal and the session's pty: which ends are terminals, raw mode while the session runs,
// suspension, and a clean terminal afterwards. Uses terminal/ for the bytes.
#pragma once

#include <poll.h>

#include <memory>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "guest/protocol.h"

namespace bulkhead::session {

class TerminalLink {
 public:
  TerminalLink();
  ~TerminalLink();

  // Looks at 0, 1 and 2 once: an end that is a terminal gets the session's own pty instead. The workload never
  // holds a descriptor of the user's terminal, whose input it could forge (TIOCSTI, CVE-2017-5226).
  void decide();
  bool wants_pty(int fd) const;
  bool active() const;  // a pty is in use
  shim::WindowSize window() const;

  void take_master(UniqueFd master);
  Result<void> open();  // raw mode; from here on bytes flow
  void resize();
  void suspend();
  void resume();

  void prepare(std::vector<pollfd>& fds);
  void handle(const std::vector<pollfd>& fds);
  // Nothing is left to show (always true without a pty).
  bool drained() const;
  // Drains what the terminal still answers, gives it back. Idempotent.
  void finish();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace bulkhead::session

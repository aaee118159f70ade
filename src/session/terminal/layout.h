// Which of the workload's 0, 1, 2 are its own pty, and which of the user's descriptors stand behind
// that.
#pragma once

#include "base/result.h"
#include "guest/protocol.h"

namespace bulkhead::session {

struct Layout {
  bool pty[3] = {false, false, false};  // for shim::Setup: those that are a terminal of the user's
  int keyboard = -1;                    // read keys here
  int display = -1;                     // show what the pty says here
  // Raw: the workload's pty does echo, editing and Ctrl-C. Only when the display is stdout; with
  // stdout in a pipe (`bulkhead run -- make | less`) the terminal may be somebody else's too, so it
  // keeps its settings: lines are passed on as typed, Ctrl-C is a signal to Bulkhead, and the pty's
  // echo is off.
  bool raw = false;
  bool any() const { return pty[0] || pty[1] || pty[2]; }
};

Layout layout_of(const int (&stdio)[3]);

// Refuses a folder, a disk or an O_PATH descriptor among them: handed in, it is a way around every mount.
Result<void> check_stdio(const int (&stdio)[3]);

shim::WindowSize window_size(int tty);
void set_window_size(int tty, const shim::WindowSize& size);  // also raises SIGWINCH behind a pty

}  // namespace bulkhead::session

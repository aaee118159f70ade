// The settings of the user's tty, changed and put back. A process in the background changes
// nothing: the terminal is somebody else's then (tcsetattr(3) would stop it with SIGTTOU).
#pragma once

#include <termios.h>

#include "base/result.h"

namespace bulkhead::session {

class RawMode {
 public:
  explicit RawMode(int tty) : tty_(tty) {}
  RawMode(const RawMode&) = delete;
  RawMode& operator=(const RawMode&) = delete;
  ~RawMode() { off(false); }

  // Is this process's group the one the tty belongs to?
  bool in_foreground() const;
  // No-op in the background, or when it is on.
  Result<void> on();
  // `discard`: what was typed and not read is thrown away.
  void off(bool discard);
  bool is_on() const { return on_; }
  // Does somebody else have the tty in a mode of their own (no line editing)?
  bool others_raw() const;

 private:
  int tty_;
  termios before_{};
  bool on_ = false;
};

}  // namespace bulkhead::session

// The user's tty, opened again: O_NONBLOCK on the inherited descriptor would be on for the shell
// too, and a display that was stopped (Ctrl-S) must not stop the session's supervisor.
#pragma once

#include <string_view>

#include "base/fd.h"
#include "base/result.h"

namespace bulkhead::session {

class Tty {
 public:
  // `fd` is the user's, or -1. Where the tty can't be opened again (it belongs to somebody else),
  // `fd` itself is used, a few bytes at a time once poll(2) says it takes some.
  static Tty open(int fd);

  int fd() const { return own_ ? own_.get() : borrowed_; }
  bool usable() const { return fd() >= 0; }
  // Bytes taken (0: not now), or an error: the tty is gone.
  Result<std::size_t> write(std::string_view bytes) const;
  // Bytes read (0: nothing now). Error with code 0: the end.
  Result<std::size_t> read(char* into, std::size_t size) const;
  // The other side is gone: every read says "the end" from now on.
  bool hung_up() const;

 private:
  UniqueFd own_;
  int borrowed_ = -1;
};

}  // namespace bulkhead::session

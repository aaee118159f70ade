#include "session/terminal/raw_mode.h"

#include <errno.h>
#include <signal.h>
#include <unistd.h>

namespace bulkhead::session {
namespace {

// tcsetattr from a group that has just lost the foreground would stop us half-way.
class NoTtou {
 public:
  NoTtou() {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTTOU);
    ::sigprocmask(SIG_BLOCK, &set, &before_);
  }
  NoTtou(const NoTtou&) = delete;
  NoTtou& operator=(const NoTtou&) = delete;
  ~NoTtou() { ::sigprocmask(SIG_SETMASK, &before_, nullptr); }

 private:
  sigset_t before_;
};

}  // namespace

bool RawMode::in_foreground() const {
  const pid_t front = ::tcgetpgrp(tty_);
  // A tty that is not our controlling one has no foreground group for us; then it is ours to use.
  return front < 0 ? errno == ENOTTY : front == ::getpgrp();
}

Result<void> RawMode::on() {
  if (on_ || !in_foreground()) return {};
  if (::tcgetattr(tty_, &before_) != 0) return fail_errno("tcgetattr", "", errno);
  termios raw = before_;
  ::cfmakeraw(&raw);
  const NoTtou guard;
  if (::tcsetattr(tty_, TCSADRAIN, &raw) != 0) return fail_errno("tcsetattr", "", errno);
  on_ = true;
  return {};
}

void RawMode::off(bool discard) {
  if (!on_) return;
  on_ = false;
  const NoTtou guard;
  (void)::tcsetattr(tty_, discard ? TCSAFLUSH : TCSADRAIN, &before_);
}

bool RawMode::others_raw() const {
  termios now{};
  return !on_ && ::tcgetattr(tty_, &now) == 0 && (now.c_lflag & ICANON) == 0;
}

}  // namespace bulkhead::session

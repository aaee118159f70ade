#include "guest/pty.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <termios.h>

#include <string>

namespace bulkhead::shim {

Result<Pty> open_pty(const WindowSize& window) {
  Pty pty;
  pty.master.reset(::open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC));
  if (!pty.master) return fail("can't open /dev/ptmx inside the session", errno);
  const int unlock = 0;
  if (::ioctl(pty.master.get(), TIOCSPTLCK, &unlock) != 0) return fail("can't unlock the session's pty", errno);
  // TIOCGPTPEER (Linux 4.13): the slave of this very master, whatever is mounted at /dev/pts.
  pty.slave.reset(::ioctl(pty.master.get(), TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC));
  unsigned number = 0;
  if (!pty.slave && errno != EIO && ::ioctl(pty.master.get(), TIOCGPTN, &number) == 0) {  // gVisor has no TIOCGPTPEER
    pty.slave.reset(::open(("/dev/pts/" + std::to_string(number)).c_str(), O_RDWR | O_NOCTTY | O_CLOEXEC));
  }
  if (!pty.slave) return fail("can't open the session's pty", errno);
  const winsize size{window.rows, window.columns, window.x_pixels, window.y_pixels};
  if (::ioctl(pty.slave.get(), TIOCSWINSZ, &size) != 0) return fail("can't size the session's pty", errno);
  return pty;
}

Result<void> make_plain(const Pty& pty) {
  termios settings{};
  if (::tcgetattr(pty.slave.get(), &settings) != 0) return fail("can't read the settings of the session's pty", errno);
  settings.c_lflag &= ~static_cast<tcflag_t>(ECHO);
  settings.c_oflag &= ~static_cast<tcflag_t>(OPOST);
  if (::tcsetattr(pty.slave.get(), TCSANOW, &settings) != 0) return fail("can't set up the session's pty", errno);
  return {};
}

}  // namespace bulkhead::shim

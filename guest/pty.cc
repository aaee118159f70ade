#include "guest/pty.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>

namespace bulkhead::shim {

Result<Pty> open_pty(const WindowSize& window) {
  Pty pty;
  pty.master.reset(::open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC));
  if (!pty.master) return fail("can't open /dev/ptmx inside the session", errno);
  const int unlock = 0;
  if (::ioctl(pty.master.get(), TIOCSPTLCK, &unlock) != 0) return fail("can't unlock the session's pty", errno);
  // TIOCGPTPEER (Linux 4.13): the slave of this very master, whatever is mounted at /dev/pts.
  pty.slave.reset(::ioctl(pty.master.get(), TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC));
  if (!pty.slave) return fail("can't open the session's pty", errno);
  const winsize size{window.rows, window.columns, window.x_pixels, window.y_pixels};
  if (::ioctl(pty.slave.get(), TIOCSWINSZ, &size) != 0) return fail("can't size the session's pty", errno);
  return pty;
}

}  // namespace bulkhead::shim

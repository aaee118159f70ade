#include "session/terminal/tty.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "base/sys.h"

namespace bulkhead::session {
namespace {

// Below the threshold at which a tty reports itself writable (n_tty's WAKEUP_CHARS), so that a
// write does not block.
constexpr std::size_t borrowed_write = 128;

bool same_device(int a, int b) {
  struct stat first{}, second{};
  return ::fstat(a, &first) == 0 && ::fstat(b, &second) == 0 && S_ISCHR(second.st_mode) &&
         first.st_rdev == second.st_rdev && first.st_dev == second.st_dev && first.st_ino == second.st_ino;
}

bool ready(int fd, short events) {
  pollfd p{fd, events, 0};
  return ::poll(&p, 1, 0) == 1;
}

}  // namespace

Tty Tty::open(int fd) {
  Tty tty;
  tty.borrowed_ = fd;
  if (fd < 0) return tty;
  auto again = sys::open("/proc/self/fd/" + std::to_string(fd), O_RDWR | O_NOCTTY | O_NONBLOCK);
  // In a container the path can lead to another terminal than the descriptor.
  if (again && same_device(fd, again->get())) tty.own_ = std::move(*again);
  return tty;
}

Result<std::size_t> Tty::write(std::string_view bytes) const {
  if (!own_) {
    if (!ready(borrowed_, POLLOUT)) return 0;
    bytes = bytes.substr(0, borrowed_write);
  }
  const ssize_t n = ::write(fd(), bytes.data(), bytes.size());
  if (n >= 0) return static_cast<std::size_t>(n);
  if (errno == EAGAIN || errno == EINTR) return 0;
  return fail_errno("write", "the terminal", errno);
}

Result<std::size_t> Tty::read(char* into, std::size_t size) const {
  if (!own_ && !ready(borrowed_, POLLIN)) return 0;
  const ssize_t n = ::read(fd(), into, size);
  if (n > 0) return static_cast<std::size_t>(n);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return 0;
  if (n == 0) return fail("the end", 0);
  return fail_errno("read", "the terminal", errno);
}

bool Tty::hung_up() const {
  pollfd p{fd(), 0, 0};
  return ::poll(&p, 1, 0) == 1 && (p.revents & (POLLHUP | POLLERR | POLLNVAL)) != 0;
}

}  // namespace bulkhead::session

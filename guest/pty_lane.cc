#include "guest/pty_lane.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

namespace bulkhead::shim {
namespace {

constexpr std::size_t at_once = 64 * 1024;
constexpr std::size_t most_held = 256 * 1024;  // more than a pty holds, Linux' or gVisor's (2024)

bool make_nonblocking(int fd) {
  const int flags = ::fcntl(fd, F_GETFL);
  return flags >= 0 && ::fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0;
}

bool not_now() {
  return errno == EAGAIN || errno == EINTR;
}

}  // namespace

Result<PtyLane> PtyLane::open(UniqueFd master, int socket) {
  PtyLane lane;
  lane.master_ = std::move(master);
  lane.socket_.reset(socket);
  if (!make_nonblocking(lane.master_.get()) || !make_nonblocking(socket)) {
    return fail("can't set up the session's terminal", errno);
  }
  return lane;
}

void PtyLane::prepare(pollfd* entries) const {
  // One piece at a time in each direction: who does not read holds up who writes, as on any terminal.
  const int master = (out_.empty() ? POLLIN : 0) | (in_.empty() ? 0 : POLLOUT);
  const int socket = (in_.empty() ? POLLIN : 0) | (out_.empty() ? 0 : POLLOUT);
  entries[0] = {master != 0 ? master_.get() : -1, static_cast<short>(master), 0};
  entries[1] = {socket != 0 ? socket_.get() : -1, static_cast<short>(socket), 0};
}

void PtyLane::handle(const pollfd* entries) {
  if (!is_open()) return;
  if ((entries[0].revents & (POLLIN | POLLERR | POLLHUP)) != 0) from_pty();
  if ((entries[1].revents & (POLLIN | POLLERR | POLLHUP)) != 0) from_socket();
  to_socket();
  to_pty();
}

void PtyLane::from_pty() {
  if (!out_.empty()) return;
  out_.resize(at_once);
  const ssize_t n = ::read(master_.get(), out_.data(), out_.size());
  out_.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
}

void PtyLane::to_socket() {
  if (out_.empty() || !socket_) return;
  const ssize_t n = ::send(socket_.get(), out_.data(), out_.size(), MSG_NOSIGNAL);
  if (n > 0) out_.erase(0, static_cast<std::size_t>(n));
  if (n < 0 && !not_now()) close();  // nobody listens any more; the shim's other socket says what that means
}

void PtyLane::from_socket() {
  if (!in_.empty() || !socket_) return;
  in_.resize(at_once);
  const ssize_t n = ::read(socket_.get(), in_.data(), in_.size());
  const bool ended = n == 0 || (n < 0 && !not_now());
  in_.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
  if (ended) close();
}

void PtyLane::to_pty() {
  if (in_.empty() || !master_) return;
  const ssize_t n = ::write(master_.get(), in_.data(), in_.size());
  if (n > 0) in_.erase(0, static_cast<std::size_t>(n));
  if (n < 0 && !not_now()) in_.clear();
}

void PtyLane::close() {
  socket_.reset();
  out_.clear();
  in_.clear();
  master_.reset();
}

void PtyLane::resize(const WindowSize& size, int slave) const {
  if (!master_) return;
  const winsize window{size.rows, size.columns, size.x_pixels, size.y_pixels};
  if (::ioctl(slave, TIOCSWINSZ, &window) != 0) return;
  // gVisor (2024) keeps the size and tells nobody.
  pid_t front = 0;
  if (::ioctl(slave, TIOCGPGRP, &front) == 0 && front > 1) ::kill(-front, SIGWINCH);
}

void PtyLane::finish() {
  // What others of the session's write meanwhile is not waited for: they may go on for ever.
  for (std::size_t taken = 0; is_open() && taken < most_held;) {
    from_pty();
    if (out_.empty()) break;
    taken += out_.size();
    while (!out_.empty()) {
      pollfd p{socket_.get(), POLLOUT, 0};
      ::poll(&p, 1, -1);
      to_socket();
    }
  }
  close();
}

}  // namespace bulkhead::shim

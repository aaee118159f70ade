#include "session/pump.h"

#include <errno.h>
#include <limits.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>

#include "base/sys.h"

namespace bulkhead::session {
namespace {

constexpr std::size_t at_once = 64 * 1024;

bool not_now() {
  return errno == EAGAIN || errno == EINTR;
}

short events_of(const std::vector<pollfd>& fds, int fd, short asked) {
  short out = 0;
  for (const pollfd& p : fds) {
    if (fd >= 0 && p.fd == fd && (p.events == asked)) out = static_cast<short>(out | p.revents);
  }
  return out;
}

}  // namespace

Result<Pump> Pump::into(UniqueFd pipe, int user) {
  BH_CHECK(sys::set_nonblocking(pipe.get(), true));
  return Pump(std::move(pipe), user, true);
}

Result<Pump> Pump::out_of(UniqueFd pipe, int user) {
  BH_CHECK(sys::set_nonblocking(pipe.get(), true));
  return Pump(std::move(pipe), user, false);
}

Result<Pump> Pump::capture(UniqueFd pipe, std::size_t most) {
  BH_TRY(Pump pump, out_of(std::move(pipe), -1));
  pump.most_ = most;
  return pump;
}

void Pump::prepare(std::vector<pollfd>& fds) const {
  if (done()) return;
  if (inwards_) {
    if (!pipe_) return;
    if (pending_.empty()) fds.push_back({user_, POLLIN, 0});
    // Also without anything to write: it tells that its reader is gone.
    fds.push_back({pipe_.get(), static_cast<short>(pending_.empty() ? 0 : POLLOUT), 0});
  } else if (pending_.empty()) {
    fds.push_back({pipe_.get(), POLLIN, 0});
  } else {
    fds.push_back({user_, POLLOUT, 0});
  }
}

void Pump::handle(const std::vector<pollfd>& fds) {
  if (done()) return;
  if (inwards_) {
    move_in(events_of(fds, user_, POLLIN), events_of(fds, pipe_.get(), pending_.empty() ? short{0} : short{POLLOUT}));
  } else {
    move_out(events_of(fds, user_, POLLOUT), events_of(fds, pipe_.get(), POLLIN));
  }
}

void Pump::move_in(short user, short pipe) {
  if ((pipe & (POLLERR | POLLHUP)) != 0) {
    pending_.clear();
    pipe_.reset();
    return;
  }
  if (user != 0 && pending_.empty()) {
    pending_.resize(at_once);
    const ssize_t n = ::read(user_, pending_.data(), pending_.size());
    const bool later = n < 0 && not_now();
    pending_.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
    if (n <= 0 && !later) return pipe_.reset();
  }
  if (pending_.empty()) return;
  const ssize_t n = ::write(pipe_.get(), pending_.data(), pending_.size());
  if (n > 0) pending_.erase(0, static_cast<std::size_t>(n));
  if (n < 0 && !not_now()) {
    pending_.clear();
    pipe_.reset();
  }
}

void Pump::end() {
  ending_ = true;
  if (!pipe_ || ::ioctl(pipe_.get(), FIONREAD, &left_) != 0) left_ = 0;
  if (left_ == 0) pipe_.reset();
}

void Pump::keep() {
  const std::size_t room = most_ - std::min(most_, captured_.size());
  cut_ = cut_ || pending_.size() > room;
  captured_.append(pending_, 0, room);
  pending_.clear();
}

void Pump::move_out(short user, short pipe) {
  if ((pipe != 0 || ending_) && pending_.empty() && pipe_) {
    pending_.resize(ending_ ? std::min(at_once, static_cast<std::size_t>(left_)) : at_once);
    const ssize_t n = ::read(pipe_.get(), pending_.data(), pending_.size());
    const bool later = n < 0 && not_now();
    pending_.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
    if (ending_ && n > 0) left_ -= static_cast<int>(n);
    if (n == 0 || (n < 0 && (!later || ending_)) || (ending_ && left_ <= 0)) pipe_.reset();
    if (user_ < 0) keep();
    return;
  }
  if (user == 0 || pending_.empty()) return;
  // So much a pipe takes when poll(2) says it takes any (pipe(7)): more could block.
  const ssize_t n = ::write(user_, pending_.data(), std::min<std::size_t>(pending_.size(), PIPE_BUF));
  if (n > 0) pending_.erase(0, static_cast<std::size_t>(n));
  if (n < 0 && !not_now()) {  // nobody reads it: the command is to notice
    pending_.clear();
    pipe_.reset();
  }
}

}  // namespace bulkhead::session

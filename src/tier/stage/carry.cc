#include "tier/stage/carry.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/confine.h"
#include "base/sys.h"

namespace bulkhead::tier {
namespace {

constexpr int from_fd = 0, to_fd = 1;  // the carrier's

bool is_file(int fd) {
  struct stat st{};
  return fd >= 0 && ::fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
}

bool same_file(int a, int b) {
  struct stat one{}, other{};
  return ::fstat(a, &one) == 0 && ::fstat(b, &other) == 0 && one.st_dev == other.st_dev && one.st_ino == other.st_ino;
}

// Where the file takes no more (a full disk) the rest is read and lost: the workload is not to hang.
int carry_on() {
  (void)::signal(SIGPIPE, SIG_IGN);
  if (!confine(Role::relay)) return 1;
  char buffer[1 << 16];
  bool lost = false;
  while (true) {
    // Who waits for input that nobody wants any more would never end.
    pollfd both[] = {{from_fd, POLLIN, 0}, {to_fd, 0, 0}};
    if (::poll(both, 2, -1) > 0 && (both[1].revents & POLLERR) != 0 && both[0].revents == 0) return 0;
    const ssize_t n = ::read(from_fd, buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return lost ? 1 : 0;
    if (lost) continue;
    const auto written = sys::write_all(to_fd, std::string_view(buffer, static_cast<std::size_t>(n)), "output");
    if (written) continue;
    if (written.error().code == EPIPE) return 0;  // nobody reads its input any more
    lost = true;
  }
}

Result<void> carry_one(int& fd, bool input, Carried& all) {
  BH_TRY(sys::Pair pipe, sys::pipe());
  UniqueFd& ours = input ? pipe.second : pipe.first;
  UniqueFd& theirs = input ? pipe.first : pipe.second;
  const std::vector<int> fds = input ? std::vector{fd, ours.get(), -1} : std::vector{ours.get(), fd, -1};
  BH_TRY(Child carrier, fork_child(fds, carry_on));
  all.carriers.push_back(std::move(carrier));
  fd = theirs.get();
  all.pipes.push_back(std::move(theirs));
  return {};
}

}  // namespace

Result<Carried> carry(Carry which, int& in, int& out, int& err) {
  Carried all;
  const auto wanted = [&](int fd) { return which == Carry::all ? fd >= 0 : is_file(fd); };
  const bool one = wanted(out) && wanted(err) && same_file(out, err);
  if (wanted(in)) BH_CHECK(carry_one(in, true, all));
  if (wanted(out)) BH_CHECK(carry_one(out, false, all));
  if (one) {
    err = out;
  } else if (wanted(err)) {
    BH_CHECK(carry_one(err, false, all));
  }
  return all;
}

}  // namespace bulkhead::tier

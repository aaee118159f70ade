#include "session/output.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <string_view>

#include "base/confine.h"
#include "base/sys.h"

namespace bulkhead::session {

struct Output::Count {
  std::uint64_t limit = 0;
  std::atomic<std::uint64_t> taken = 0;  // at most the limit
  std::atomic<bool> over = false;
  // How many of them may be passed on.
  std::uint64_t take(std::uint64_t bytes) {
    std::uint64_t before = taken.load();
    std::uint64_t part = 0;
    do {
      part = std::min(bytes, limit - before);
    } while (!taken.compare_exchange_weak(before, before + part));
    if (part < bytes) over = true;
    return part;
  }
};

namespace {

constexpr int from_fd = 0, to_fd = 1;  // the carrier's
constexpr int moment = 1000;           // milliseconds

bool same_file(int a, int b) {
  struct stat one{}, other{};
  return ::fstat(a, &one) == 0 && ::fstat(b, &other) == 0 && one.st_dev == other.st_dev && one.st_ino == other.st_ino;
}

}  // namespace

Output::Shared& Output::Shared::operator=(Shared&& other) noexcept {
  std::swap(count, other.count);
  return *this;
}

Output::Shared::~Shared() {
  if (count != nullptr) ::munmap(count, sizeof(Count));
}

Result<void> Output::carry(int& fd) {
  BH_TRY(sys::Pair pipe, sys::pipe());
  Count& count = *shared_.count;
  const auto work = [&count]() -> int {
    (void)::signal(SIGPIPE, SIG_IGN);
    if (!confine(Role::relay)) return 1;
    char buffer[1 << 16];
    while (!count.over) {
      const ssize_t n = ::read(from_fd, buffer, sizeof buffer);
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) return 0;
      const std::uint64_t part = count.take(static_cast<std::uint64_t>(n));
      const auto written = sys::write_all(to_fd, std::string_view(buffer, part), "output");
      if (!written) return written.error().code == EPIPE ? 0 : 1;  // nobody reads it: the workload learns the same
    }
    return 0;
  };
  BH_TRY(Child carrier, fork_child({pipe.first.get(), fd, -1}, work));
  carriers_.push_back(std::move(carrier));
  fd = pipe.second.get();
  pipes_.push_back(std::move(pipe.second));
  return {};
}

Result<void> Output::begin(int (&stdio)[3], const std::optional<std::uint64_t>& limit) {
  if (!limit) return {};
  void* memory = ::mmap(nullptr, sizeof(Count), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return fail_errno("mmap", "", errno);
  shared_.count = new (memory) Count{*limit};
  const bool one = stdio[1] >= 0 && stdio[2] >= 0 && same_file(stdio[1], stdio[2]);
  if (stdio[1] >= 0) BH_CHECK(carry(stdio[1]));
  if (one) {
    stdio[2] = stdio[1];
  } else if (stdio[2] >= 0) {
    BH_CHECK(carry(stdio[2]));
  }
  return {};
}

void Output::pty(std::uint64_t bytes) {
  if (shared_.count != nullptr) (void)shared_.count->take(bytes);
}

bool Output::over() const {
  return shared_.count != nullptr && shared_.count->over;
}

std::vector<int> Output::pidfds() const {
  std::vector<int> out;
  for (const Child& carrier : carriers_) out.push_back(carrier.pidfd());
  return out;
}

void Output::reap() {
  for (Child& carrier : carriers_) {
    const auto status = carrier.try_wait();
    if (status && *status) lost_ = lost_ || (*status)->shell() != 0;
  }
  std::erase_if(carriers_, [](const Child& carrier) { return !carrier; });
}

bool Output::finish(int enough) {
  bool whole = !lost_;
  for (Child& carrier : carriers_) {
    pollfd fds[] = {{carrier.pidfd(), POLLIN, 0}, {enough, POLLIN, 0}};
    while (::poll(fds, 2, enough < 0 ? moment : -1) < 0 && errno == EINTR) {
    }
    const auto status = carrier.try_wait();
    carrier.kill_and_wait();
    whole = whole && status && *status && (*status)->shell() == 0;
  }
  carriers_.clear();
  return whole;
}

}  // namespace bulkhead::session

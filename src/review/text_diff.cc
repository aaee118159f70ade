#include "review/text_diff.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <chrono>

#include "base/process.h"
#include "base/sys.h"
#include "base/text.h"

namespace bulkhead::review {
namespace {

constexpr auto patience = std::chrono::seconds(10);
constexpr std::size_t max_output = 8U << 20;

// Until its end, or until it has said or taken too much.
Result<std::string> read_bounded(int fd) {
  using Clock = std::chrono::steady_clock;
  const auto until = Clock::now() + patience;
  std::string out;
  for (;;) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - Clock::now()).count();
    pollfd p{fd, POLLIN, 0};
    if (left <= 0 || ::poll(&p, 1, static_cast<int>(left)) == 0) return fail("comparing takes too long");
    char buffer[65536];
    const ssize_t n = ::read(fd, buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno("read", "diff", errno);
    if (n == 0) return out;
    out.append(buffer, static_cast<std::size_t>(n));
    if (out.size() > max_output) return fail("the difference is longer than 8 MB");
  }
}

}  // namespace

Result<TextDiff> TextDiff::open() {
  TextDiff diff;
  auto program = sys::open("/usr/bin/diff", O_PATH);
  if (!program) return fail("diff is missing; install it: apt-get install diffutils");
  diff.program_ = std::move(*program);
  return diff;
}

Result<std::vector<std::string>> TextDiff::lines(int before, int after) const {
  BH_TRY(sys::Pair out, sys::pipe());
  SpawnOptions options;
  options.program = program_.get();
  const std::string nothing = "/dev/null";
  options.arguments = {"diff",
                       "--text",
                       "--unified",
                       "--label=a",
                       "--label=b",
                       "--",
                       before < 0 ? nothing : "/proc/self/fd/3",
                       after < 0 ? nothing : "/proc/self/fd/4"};
  options.environment = {"LC_ALL=C"};
  options.fds = {-1, out.second.get(), -1, before, after};
  BH_TRY(Child child, spawn(options));
  out.second.reset();
  auto text = read_bounded(out.first.get());
  if (!text) {
    child.kill_and_wait();
    return tl::unexpected(std::move(text).error());
  }
  BH_TRY(const ExitStatus status, child.wait());
  if (status.shell() > 1) return fail("diff failed with status " + std::to_string(status.shell()));
  std::vector<std::string> all = split(*text, '\n');
  if (!all.empty() && all.back().empty()) all.pop_back();
  if (all.size() >= 2) all.erase(all.begin(), all.begin() + 2);  // its own names for the two
  return all;
}

}  // namespace bulkhead::review

#include "session/disk_guard.h"

#include <errno.h>
#include <sys/statvfs.h>

#include <algorithm>

#include "base/sys.h"
#include "base/text.h"

namespace bulkhead::session {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

constexpr std::uint64_t bytes_for_the_host = 1'000'000'000;
constexpr std::uint64_t inodes_for_the_host = 10'000;
// Faster than disks are, so that we are there in time; what writes to memory may be faster.
constexpr std::uint64_t bytes_per_microsecond = 4'000;
constexpr std::uint64_t microseconds_per_inode = 5;
constexpr milliseconds soonest{10}, latest{10'000};

struct Free {
  std::uint64_t bytes = 0, inodes = 0;
};

Result<Free> free_on(int folder, const std::string& path) {
  struct statvfs now{};
  if (::fstatvfs(folder, &now) != 0) return fail_errno("fstatvfs", path, errno);
  return Free{static_cast<std::uint64_t>(now.f_bavail) * now.f_frsize, static_cast<std::uint64_t>(now.f_favail)};
}

}  // namespace

Result<void> DiskGuard::watch(int folder, const std::string& path) {
  BH_TRY(const struct stat st, sys::stat_fd(folder, path));
  if (std::ranges::any_of(watched_, [&](const Watched& one) { return one.device == st.st_dev; })) return {};
  BH_TRY(const Free now, free_on(folder, path));
  Watched one;
  one.device = st.st_dev;
  one.path = path;
  one.bytes = std::min(bytes_for_the_host, now.bytes / 2);
  one.inodes = std::min(inodes_for_the_host, now.inodes / 2);
  if (one.bytes == 0 && one.inodes == 0) return {};
  BH_TRY(one.folder, sys::duplicate(folder));
  watched_.push_back(std::move(one));
  next_ = Clock::now();
  return {};
}

std::optional<DiskGuard::Clock::time_point> DiskGuard::deadline() const {
  return next_;
}

Result<void> DiskGuard::check(Clock::time_point now) {
  if (!next_ || now < *next_) return {};
  auto wait = std::chrono::duration_cast<microseconds>(latest);
  for (const Watched& one : watched_) {
    BH_TRY(const Free free, free_on(one.folder.get(), one.path));
    const auto low = [&](const std::string& left, const std::string& kept) {
      return fail("the session reached a limit: the disk of \"" + escape_for_terminal(one.path) + "\" has " + left +
                  " left, and " + kept + " are kept for the host; make room there, or write less");
    };
    if (one.bytes > 0 && free.bytes < one.bytes) {
      return low(std::to_string(free.bytes / 1'000'000) + " MB", std::to_string(one.bytes / 1'000'000) + " MB");
    }
    if (one.inodes > 0 && free.inodes < one.inodes) {
      return low("room for " + std::to_string(free.inodes) + " files", std::to_string(one.inodes));
    }
    // At half of the way there, at the latest.
    if (one.bytes > 0) {
      wait = std::min(wait, microseconds((free.bytes - one.bytes) / bytes_per_microsecond / 2));
    }
    if (one.inodes > 0) {
      wait = std::min(wait, microseconds((free.inodes - one.inodes) * microseconds_per_inode / 2));
    }
  }
  next_ = now + std::max(wait, std::chrono::duration_cast<microseconds>(soonest));
  return {};
}

}  // namespace bulkhead::session

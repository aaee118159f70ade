#include "review/content.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <memory>

#include "base/sys.h"

namespace bulkhead::review {
namespace {

constexpr std::size_t chunk = 128 * 1024;

// Fewer bytes than asked for only at the end.
Result<std::size_t> read_at(int fd, char* into, std::size_t size, off_t at) {
  std::size_t done = 0;
  while (done < size) {
    const ssize_t n = ::pread(fd, into + done, size - done, at + static_cast<off_t>(done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno("read", "", errno);
    if (n == 0) break;
    done += static_cast<std::size_t>(n);
  }
  return done;
}

// The next part of the file that holds data; none: `from` is `end`.
Result<void> next_data(int fd, off_t at, off_t size, off_t& from, off_t& to) {
  from = ::lseek(fd, at, SEEK_DATA);
  if (from < 0 && errno == ENXIO) {  // a hole to the end
    from = to = size;
    return {};
  }
  if (from < 0) {  // a file system that knows no holes
    from = at;
    to = size;
    return {};
  }
  to = ::lseek(fd, from, SEEK_HOLE);
  if (to < 0) return fail_errno("lseek(SEEK_HOLE)", "", errno);
  to = std::min(to, size);
  return {};
}

}  // namespace

Result<bool> same_content(int a, int b) {
  BH_TRY(const struct stat one, sys::stat_fd(a, ""));
  BH_TRY(const struct stat other, sys::stat_fd(b, ""));
  if (one.st_size != other.st_size) return false;
  const auto left = std::make_unique<std::array<char, chunk>>(), right = std::make_unique<std::array<char, chunk>>();
  for (off_t at = 0;;) {
    BH_TRY(const std::size_t n, read_at(a, left->data(), chunk, at));
    BH_TRY(const std::size_t m, read_at(b, right->data(), chunk, at));
    if (n != m || ::memcmp(left->data(), right->data(), n) != 0) return false;
    if (n < chunk) return true;
    at += static_cast<off_t>(n);
  }
}

Result<void> copy_content(int from, int to) {
  BH_TRY(const struct stat st, sys::stat_fd(from, ""));
  if (st.st_size == 0) return {};
  if (::ioctl(to, FICLONE, from) == 0) return {};
  const auto buffer = std::make_unique<std::array<char, chunk>>();
  for (off_t at = 0; at < st.st_size;) {
    off_t data = 0, hole = 0;
    BH_CHECK(next_data(from, at, st.st_size, data, hole));
    for (at = data; at < hole;) {
      const std::size_t want = std::min<std::size_t>(chunk, static_cast<std::size_t>(hole - at));
      BH_TRY(const std::size_t n, read_at(from, buffer->data(), want, at));
      if (n == 0) return fail("the file became shorter while it was copied", EAGAIN);
      for (std::size_t done = 0; done < n;) {
        const ssize_t wrote = ::pwrite(to, buffer->data() + done, n - done, at + static_cast<off_t>(done));
        if (wrote < 0 && errno == EINTR) continue;
        if (wrote < 0) return fail_errno("write", "", errno);
        done += static_cast<std::size_t>(wrote);
      }
      at += static_cast<off_t>(n);
    }
    at = std::max(at, hole);
  }
  return ::ftruncate(to, st.st_size) == 0 ? Result<void>() : fail_errno("ftruncate", "", errno);
}

Result<std::optional<std::string>> read_text(int fd) {
  BH_TRY(const struct stat st, sys::stat_fd(fd, ""));
  if (static_cast<std::uint64_t>(st.st_size) > max_text) return std::nullopt;
  BH_TRY(std::string text, sys::read_all(fd, max_text, ""));
  if (text.find('\0') != std::string::npos) return std::nullopt;
  return text;
}

}  // namespace bulkhead::review

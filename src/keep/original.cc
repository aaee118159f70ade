#include "keep/original.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/xattr.h>

#include <algorithm>
#include <string_view>

#include "base/sys.h"

namespace bulkhead::keep {
namespace {

constexpr std::size_t step = std::size_t{8} << 20;

bool worth_keeping(std::string_view name) {
  return name.starts_with("user.") || name.starts_with("system.posix_acl_");
}

Result<void> copy_range(int from, int to, off_t begin, off_t end) {
  std::string buffer;
  while (begin < end) {
    const auto want = std::min(static_cast<std::size_t>(end - begin), step);
    off_t in = begin, out = begin;
    ssize_t n = ::copy_file_range(from, &in, to, &out, want, 0);
    if (n < 0 && (errno == EXDEV || errno == EINVAL || errno == EOPNOTSUPP || errno == ENOSYS)) {
      buffer.resize(std::min(want, std::size_t{1} << 20));
      n = ::pread(from, buffer.data(), buffer.size(), begin);
      if (n > 0 && ::pwrite(to, buffer.data(), static_cast<std::size_t>(n), begin) != n) {
        return fail_errno("pwrite", "kept copy", errno == 0 ? ENOSPC : errno);
      }
    }
    if (n < 0) return fail_errno("copy_file_range", "kept copy", errno);
    if (n == 0) return {};  // it became shorter
    begin += n;
  }
  return {};
}

Result<void> copy_content(int from, int to, off_t size) {
  if (::ioctl(to, FICLONE, from) == 0) return {};
  if (::ftruncate(to, size) != 0) return fail_errno("ftruncate", "kept copy", errno);
  for (off_t at = 0; at < size;) {
    const off_t data = ::lseek(from, at, SEEK_DATA);
    if (data < 0 && errno == ENXIO) return {};  // holes to the end
    if (data < 0) return copy_range(from, to, at, size);
    const off_t hole = ::lseek(from, data, SEEK_HOLE);
    const off_t end = std::min(hole < 0 ? size : hole, size);
    if (data < end) BH_CHECK(copy_range(from, to, data, end));
    at = std::max(end, data);
    if (at >= size || hole < 0) return {};
  }
  return {};
}

Result<void> fill(int in, const struct stat& st, int out) {
  BH_CHECK(copy_content(in, out, st.st_size));
  BH_TRY(const Attributes attributes, read_attributes(in));
  BH_CHECK(write_attributes(out, attributes));
  // Another's file can be changed where its group may; a copy of it can only be ours.
  (void)!::fchown(out, st.st_uid, st.st_gid);
  if (::fchmod(out, st.st_mode & 07777) != 0) return fail_errno("fchmod", "kept copy", errno);
  const timespec times[2] = {st.st_atim, st.st_mtim};
  if (::futimens(out, times) != 0) return fail_errno("futimens", "kept copy", errno);
  return ::fsync(out) == 0 ? Result<void>() : fail_errno("fsync", "kept copy", errno);
}

Result<void> copy_other(const Place& from, const Place& to, const struct stat& st) {
  if (S_ISLNK(st.st_mode)) {
    std::string target(4097, '\0');
    const ssize_t n = ::readlinkat(from.folder.get(), from.name.c_str(), target.data(), target.size());
    if (n < 0) return fail_errno("readlink", from.name, errno);
    target.resize(static_cast<std::size_t>(n));
    if (::symlinkat(target.c_str(), to.folder.get(), to.name.c_str()) != 0) {
      return fail_errno("symlink", to.name, errno);
    }
  } else if (S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode)) {
    if (::mknodat(to.folder.get(), to.name.c_str(), st.st_mode, 0) != 0) return fail_errno("mknod", to.name, errno);
  } else {
    return fail("neither a file nor a link", EPERM);
  }
  const timespec times[2] = {st.st_atim, st.st_mtim};
  if (::utimensat(to.folder.get(), to.name.c_str(), times, AT_SYMLINK_NOFOLLOW) != 0) {
    return fail_errno("utimens", to.name, errno);
  }
  return {};
}

}  // namespace

Result<void> copy_open_file(int from, const Place& to) {
  BH_TRY(const struct stat st, sys::stat_fd(from, to.name));
  if (!S_ISREG(st.st_mode)) return fail("not a regular file", EPERM);
  BH_TRY(const UniqueFd out, sys::open_at(to.folder.get(), to.name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0600));
  auto filled = fill(from, st, out.get());
  if (!filled) (void)::unlinkat(to.folder.get(), to.name.c_str(), 0);
  return filled;
}

Result<void> copy_node(const Place& from, const Place& to) {
  BH_TRY(const struct stat st, look(from));
  if (!S_ISREG(st.st_mode)) {
    auto copied = copy_other(from, to, st);
    if (!copied && copied.error().code != EEXIST) (void)::unlinkat(to.folder.get(), to.name.c_str(), 0);
    return copied;
  }
  // Should it be another kind of node by now, opening it has no effect on it.
  BH_TRY(const UniqueFd in, open_beneath(from.folder.get(), from.name, O_RDONLY | O_NONBLOCK | O_NOCTTY));
  return copy_open_file(in.get(), to);
}

Result<Attributes> read_attributes(int fd) {
  Attributes out;
  const ssize_t size = ::flistxattr(fd, nullptr, 0);
  if (size < 0 && (errno == EOPNOTSUPP || errno == EBADF)) return out;  // EBADF: open for its name only (O_PATH)
  if (size < 0) return fail_errno("flistxattr", "", errno);
  std::string names(static_cast<std::size_t>(size), '\0');
  const ssize_t n = ::flistxattr(fd, names.data(), names.size());
  if (n < 0) return fail_errno("flistxattr", "", errno);
  names.resize(static_cast<std::size_t>(n));
  for (std::size_t at = 0; at < names.size();) {
    const std::string name(names.c_str() + at);
    at += name.size() + 1;
    if (!worth_keeping(name)) continue;
    std::string value(65536, '\0');  // XATTR_SIZE_MAX
    const ssize_t length = ::fgetxattr(fd, name.c_str(), value.data(), value.size());
    if (length < 0) return fail_errno("fgetxattr", name, errno);
    value.resize(static_cast<std::size_t>(length));
    out.emplace_back(name, std::move(value));
  }
  return out;
}

Result<void> write_attributes(int fd, const Attributes& attributes) {
  for (const auto& [name, value] : attributes) {
    if (::fsetxattr(fd, name.c_str(), value.data(), value.size(), 0) != 0) return fail_errno("fsetxattr", name, errno);
  }
  return {};
}

std::uint64_t weight(const struct stat& st) {
  return static_cast<std::uint64_t>(st.st_blocks) * 512;
}

}  // namespace bulkhead::keep

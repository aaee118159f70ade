#include "review/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>

#include "base/sys.h"

namespace bulkhead::review {
namespace {

constexpr std::uint64_t inside = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV;

}  // namespace

std::string leaf(const std::string& path) {
  return path.substr(path.rfind('/') + 1);
}

std::string parent_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos ? "" : path.substr(0, slash);
}

std::string below(const std::string& path, const std::string& name) {
  return path.empty() ? name : path + "/" + name;
}

bool at_or_below(const std::string& path, const std::string& folder) {
  return folder.empty() || path == folder || path.starts_with(folder + "/");
}

Result<UniqueFd> Tree::folder(const std::string& path) const {
  return sys::open_at2(root_.get(), path.empty() ? "." : path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, inside);
}

Result<UniqueFd> Tree::parent(const std::string& path) const {
  const std::string up = parent_of(path);
  return sys::open_at2(root_.get(), up.empty() ? "." : up, O_PATH | O_DIRECTORY | O_NOFOLLOW, inside);
}

Result<UniqueFd> Tree::file(const std::string& path) const {
  // Not blocking: somebody may have put a FIFO there since.
  BH_TRY(UniqueFd fd, sys::open_at2(root_.get(), path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, inside));
  BH_TRY(const struct stat st, sys::stat_fd(fd.get(), path));
  if (!S_ISREG(st.st_mode)) return fail_errno("open", path, EINVAL);
  return fd;
}

Result<std::optional<struct stat>> Tree::look(const std::string& path) const {
  auto up = parent(path);
  if (!up) {
    const int code = up.error().code;
    if (code == ENOENT || code == ENOTDIR || code == ELOOP) return std::nullopt;
    return tl::unexpected(std::move(up).error());
  }
  struct stat st{};
  if (::fstatat(up->get(), leaf(path).c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno == ENOENT) return std::nullopt;
    return fail_errno("fstatat", path, errno);
  }
  return st;
}

Result<std::string> Tree::link(const std::string& path) const {
  BH_TRY(const UniqueFd up, parent(path));
  return read_link_at(up.get(), leaf(path));
}

Result<std::optional<std::string>> Tree::attribute(const std::string& path, const char* name) const {
  BH_TRY(const UniqueFd up, parent(path));
  // By the folder's descriptor; the name in it is not followed.
  const std::string place = "/proc/self/fd/" + std::to_string(up.get()) + "/" + leaf(path);
  char value[256];
  const ssize_t n = ::lgetxattr(place.c_str(), name, value, sizeof value);
  if (n >= 0) return std::string(value, static_cast<std::size_t>(n));
  if (errno == ENODATA || errno == ENOTSUP || errno == ENOENT) return std::nullopt;
  if (errno == ERANGE) return std::string("?");  // longer than any that means something here
  return fail_errno("lgetxattr", path, errno);
}

Result<std::string> read_link_at(int folder, const std::string& name) {
  char target[PATH_MAX];
  const ssize_t n = ::readlinkat(folder, name.c_str(), target, sizeof target);
  if (n < 0) return fail_errno("readlink", name, errno);
  return std::string(target, static_cast<std::size_t>(n));
}

std::optional<struct stat> look_at(int folder, const std::string& name) {
  struct stat st{};
  if (::fstatat(folder, name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) return std::nullopt;
  return st;
}

// One folder at a time is open, however deep they lie: a workload chooses the depth. The way up is "..", if that is the
// folder we came from.
Result<void> erase_tree(int parent, const std::string& name) {
  if (::unlinkat(parent, name.c_str(), 0) == 0 || errno == ENOENT) return {};
  if (errno != EISDIR && errno != EPERM) return fail_errno("unlink", name, errno);
  if (::unlinkat(parent, name.c_str(), AT_REMOVEDIR) == 0) return {};
  if (errno != ENOTEMPTY && errno != EEXIST && errno != EACCES) return fail_errno("rmdir", name, errno);

  struct Level {
    std::string name;
    dev_t device;  // of the folder it is in
    ino_t inode;
  };
  std::vector<Level> way;
  BH_TRY(UniqueFd at, sys::open_at(parent, name, O_PATH | O_DIRECTORY | O_NOFOLLOW));
  for (;;) {
    // Through the descriptor. A mode of 000 was the workload's to set.
    if (::chmod(("/proc/self/fd/" + std::to_string(at.get())).c_str(), 0700) != 0) {
      return fail_errno("chmod", name, errno);
    }
    BH_TRY(const std::vector<std::string> names, sys::list_directory(at.get()));
    std::string deeper;
    for (const std::string& entry : names) {
      if (::unlinkat(at.get(), entry.c_str(), 0) == 0 || errno == ENOENT) continue;
      if (::unlinkat(at.get(), entry.c_str(), AT_REMOVEDIR) == 0) continue;
      if (errno != ENOTEMPTY && errno != EEXIST && errno != EACCES) return fail_errno("rmdir", entry, errno);
      deeper = entry;
    }
    if (!deeper.empty()) {
      BH_TRY(const struct stat here, sys::stat_fd(at.get(), name));
      BH_TRY(at, sys::open_at(at.get(), deeper, O_PATH | O_DIRECTORY | O_NOFOLLOW));
      way.push_back({deeper, here.st_dev, here.st_ino});
      continue;
    }
    if (way.empty()) break;
    BH_TRY(at, sys::open_at(at.get(), "..", O_PATH | O_DIRECTORY));
    BH_TRY(const struct stat up, sys::stat_fd(at.get(), name));
    const Level level = std::move(way.back());
    way.pop_back();
    if (up.st_dev != level.device || up.st_ino != level.inode) return fail("\"" + name + "\" is being moved about");
    if (::unlinkat(at.get(), level.name.c_str(), AT_REMOVEDIR) != 0) return fail_errno("rmdir", level.name, errno);
  }
  if (::unlinkat(parent, name.c_str(), AT_REMOVEDIR) != 0) return fail_errno("rmdir", name, errno);
  return {};
}

}  // namespace bulkhead::review

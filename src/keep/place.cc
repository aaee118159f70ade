#include "keep/place.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>

#include "base/sys.h"

namespace bulkhead::keep {
namespace {
constexpr std::uint64_t beneath = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV;
constexpr int attempts = 64;
}  // namespace

std::string_view relative(std::string_view path) {
  while (path.starts_with('/')) path.remove_prefix(1);
  return path;
}

std::string_view parent_of(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? std::string_view() : path.substr(0, slash);
}

Result<UniqueFd> open_beneath(int folder, const std::string& path, std::uint64_t flags, mode_t mode) {
  // openat2(2): EAGAIN where the kernel can't tell, because something was renamed meanwhile.
  for (int attempt = 0;; ++attempt) {
    auto opened = sys::open_at2(folder, path.empty() ? "." : path, flags | O_CLOEXEC, beneath, mode);
    if (opened || opened.error().code != EAGAIN || attempt == attempts) return opened;
  }
}

Result<Place> Tree::find(std::string_view path) const {
  path = relative(path);
  const std::string_view parent = parent_of(path);
  BH_TRY(UniqueFd folder, open_beneath(root_.get(), std::string(parent), O_PATH | O_DIRECTORY));
  std::string name(parent.empty() ? path : path.substr(parent.size() + 1));
  if (name.empty()) name = ".";
  if (name == "..") return fail("no name", EINVAL);
  return Place{std::move(folder), std::move(name)};
}

Result<struct stat> look(const Place& place) {
  struct stat st{};
  if (::fstatat(place.folder.get(), place.name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) {
    return fail_errno("stat", place.name, errno);
  }
  return st;
}

}  // namespace bulkhead::keep

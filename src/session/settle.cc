#include "session/settle.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <unistd.h>

#include <set>
#include <utility>

#include "base/sys.h"

namespace bulkhead::session {
namespace {

constexpr int deepest = 512;

class Settler {
 public:
  Settler(int top, Copied& copied) : top_(top), copied_(copied) {}

  Result<void> walk(int folder, const std::string& path, int depth) {
    if (depth > deepest) return fail("its folders are more than " + std::to_string(deepest) + " deep");
    BH_TRY(const std::vector<std::string> names, sys::list_directory(folder));
    for (const std::string& name : names) BH_CHECK(entry(folder, name, path.empty() ? name : path + "/" + name, depth));
    return {};
  }

 private:
  Result<void> entry(int folder, const std::string& name, const std::string& path, int depth) {
    struct stat st{};
    if (::fstatat(folder, name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) return fail_errno("stat", path, errno);
    if (S_ISLNK(st.st_mode)) return link(folder, name, path);
    if (!S_ISDIR(st.st_mode) && !S_ISREG(st.st_mode)) return leave_out(folder, name, path);
    // Nobody else is here any more, so the name is still what was looked at.
    const bool is_folder = S_ISDIR(st.st_mode);
    const mode_t mode = (st.st_mode & 0755) | (is_folder ? 0700 : 0600);
    if (::fchmodat(folder, name.c_str(), mode, 0) != 0) return fail_errno("chmod", path, errno);
    BH_CHECK(own(folder, name, path));
    ++copied_.files;
    if (!is_folder) {
      if (st.st_nlink == 1 || seen_.emplace(st.st_dev, st.st_ino).second) {
        copied_.bytes += static_cast<std::uint64_t>(st.st_size);
      }
      return {};
    }
    BH_TRY(const UniqueFd below, sys::open_at(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
    if (depth > 0) return walk(below.get(), path, depth + 1);
    // What was asked for: its links are to stay in it, not beside it.
    top_ = below.get();
    return walk(below.get(), "", 1);
  }

  Result<void> link(int folder, const std::string& name, const std::string& path) {
    // Also what it leads to by way of others.
    if (!sys::open_at2(top_, path, O_PATH, RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS))
      return leave_out(folder, name, path);
    ++copied_.files;
    return own(folder, name, path);
  }

  static Result<void> own(int folder, const std::string& name, const std::string& path) {
    if (::geteuid() != 0) return {};
    if (::fchownat(folder, name.c_str(), 0, 0, AT_SYMLINK_NOFOLLOW) != 0) return fail_errno("chown", path, errno);
    return {};
  }

  Result<void> leave_out(int folder, const std::string& name, const std::string& path) {
    if (::unlinkat(folder, name.c_str(), 0) != 0) return fail_errno("unlink", path, errno);
    ++copied_.left_out;
    return {};
  }

  int top_;
  Copied& copied_;
  std::set<std::pair<dev_t, ino_t>> seen_;  // files with several names, counted once
};

}  // namespace

Result<void> settle(int folder, Copied& copied) {
  return Settler(folder, copied).walk(folder, "", 0);
}

}  // namespace bulkhead::session

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/sys.h"

namespace bulkhead::sys {
namespace {

// True: `name` in `parent` is gone. False: it is a folder.
Result<bool> unlink_file(int parent, const std::string& name) {
  if (::unlinkat(parent, name.c_str(), 0) == 0 || errno == ENOENT) return true;
  if (errno == EISDIR || errno == EPERM) return false;
  return fail_errno("unlink", name, errno);
}

// A folder somebody made unreadable or read-only is still its owner's to empty. O_NOFOLLOW: a symlink planted in the
// tree is removed as itself, never walked through.
Result<UniqueFd> open_to_empty(int parent, const std::string& name) {
  BH_TRY(const UniqueFd path, open_at(parent, name, O_PATH | O_DIRECTORY | O_NOFOLLOW));
  BH_TRY(const struct stat st, stat_fd(path.get(), name));
  if ((st.st_mode & S_IRWXU) != S_IRWXU) {
    (void)::chmod(("/proc/self/fd/" + std::to_string(path.get())).c_str(), S_IRWXU);
  }
  return open_at(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
}

// Moves the folder `name` from `from` to `to`, under a name nobody has there.
Result<void> move_aside(int from, const std::string& name, int to, std::size_t& moved) {
  BH_TRY(const UniqueFd writable, open_to_empty(from, name));  // its ".." changes
  for (;;) {
    const std::string aside = "removed-" + std::to_string(moved++);
    if (::renameat2(from, name.c_str(), to, aside.c_str(), RENAME_NOREPLACE) == 0) return {};
    if (errno != EEXIST) return fail_errno("rename", name, errno);
  }
}

}  // namespace

// Depth costs neither stack nor descriptors: what is two levels down moves up one, until nothing is.
Result<void> remove_tree(int parent, const std::string& name) {
  BH_TRY(const bool gone, unlink_file(parent, name));
  if (gone) return {};
  BH_TRY(const UniqueFd top, open_to_empty(parent, name));
  std::size_t moved = 0;
  for (;;) {
    BH_TRY(const std::vector<std::string> entries, list_directory(top.get()));
    if (entries.empty()) break;
    for (const std::string& entry : entries) {
      BH_TRY(const bool was_file, unlink_file(top.get(), entry));
      if (was_file) continue;
      BH_TRY(const UniqueFd folder, open_to_empty(top.get(), entry));
      BH_TRY(const std::vector<std::string> below, list_directory(folder.get()));
      for (const std::string& child : below) {
        BH_TRY(const bool removed, unlink_file(folder.get(), child));
        if (!removed) BH_CHECK(move_aside(folder.get(), child, top.get(), moved));
      }
      if (::unlinkat(top.get(), entry.c_str(), AT_REMOVEDIR) != 0 && errno != ENOENT) {
        return fail_errno("rmdir", entry, errno);
      }
    }
  }
  if (::unlinkat(parent, name.c_str(), AT_REMOVEDIR) != 0) return fail_errno("rmdir", name, errno);
  return {};
}

}  // namespace bulkhead::sys

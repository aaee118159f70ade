#include "image/seal.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <set>
#include <utility>

#include "base/sys.h"
#include "base/text.h"
#include "policy/units.h"

namespace bulkhead::image {
namespace {

constexpr int max_depth = 200;  // each costs a descriptor

class Walk {
 public:
  Walk(const Bounds& most, bool change) : most_(most), change_(change), root_(::geteuid() == 0) {}

  Result<void> folder(int fd, int depth) {
    if (depth > max_depth) return fail("it has folders in each other more than " + std::to_string(max_depth) + " deep");
    const auto names = sys::list_directory(fd);
    if (!names) return change_ ? Result<void>(tl::unexpected(names.error())) : Result<void>();
    for (const std::string& name : *names) BH_CHECK(entry(fd, name, depth));
    return {};
  }

  // The top of it.
  Result<void> top(int fd) {
    if (!change_) return {};
    if (root_ && ::fchown(fd, 0, 0) != 0) return fail_errno("fchown", "the image", errno);
    if (::fchmod(fd, 0755) != 0) return fail_errno("fchmod", "the image", errno);
    return {};
  }

  Size size;

 private:
  Result<void> entry(int parent, const std::string& name, int depth) {
    struct stat st{};
    if (::fstatat(parent, name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) {
      return !change_ && errno == ENOENT ? Result<void>() : fail_errno("fstatat", name, errno);
    }
    BH_CHECK(count(st));
    if (change_) {
      BH_TRY(const bool stays, settle(parent, name, st));
      if (!stays) return {};
    }
    if (!S_ISDIR(st.st_mode)) return {};
    const auto below = sys::open_at(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    if (!below) return change_ ? Result<void>(tl::unexpected(below.error())) : Result<void>();
    return folder(below->get(), depth + 1);
  }

  Result<void> count(const struct stat& st) {
    ++size.files;
    const bool again = st.st_nlink > 1 && !S_ISDIR(st.st_mode) && !seen_.insert(st.st_ino).second;
    if (!again) size.bytes += static_cast<std::uint64_t>(st.st_blocks) * 512;
    if (size.files > most_.files) return too_many_files(most_);
    if (size.bytes > most_.bytes) return too_large(most_);
    return {};
  }

  // False: it went. Nobody else is at work in the folder, so names mean what they meant.
  Result<bool> settle(int parent, const std::string& name, const struct stat& st) {
    const bool folder = S_ISDIR(st.st_mode), link = S_ISLNK(st.st_mode);
    if (!folder && !link && !S_ISREG(st.st_mode)) {
      if (::unlinkat(parent, name.c_str(), 0) != 0) return fail_errno("unlink", name, errno);
      return false;
    }
    if (root_ && ::fchownat(parent, name.c_str(), 0, 0, AT_SYMLINK_NOFOLLOW) != 0)
      return fail_errno("chown", name, errno);
    if (link) return true;
    const mode_t mode = (st.st_mode & 0777) | (folder ? 0700 : 0400);
    if (mode != (st.st_mode & 07777) && ::fchmodat(parent, name.c_str(), mode, 0) != 0) {
      return fail_errno("chmod", name, errno);
    }
    return true;
  }

  const Bounds& most_;
  const bool change_, root_;
  std::set<ino_t> seen_;
};

Result<Size> walk(int folder, const Bounds& most, bool change) {
  Walk walk(most, change);
  BH_CHECK(walk.top(folder));
  BH_CHECK(walk.folder(folder, 0));
  return walk.size;
}

}  // namespace

tl::unexpected<Error> too_large(const Bounds& most) {
  return fail("unpacked it is larger than " + size_text(most.bytes) + ", which is the most it may be; " +
              "`image_size` in [limits] says so");
}

tl::unexpected<Error> too_many_files(const Bounds& most) {
  return fail("it has more than " + std::to_string(most.files) + " files, which is the most it may have; " +
              "`image_files` in [limits] says so");
}

Result<Size> measure(int folder, const Bounds& most) {
  return walk(folder, most, false);
}

Result<Size> seal(int folder, const Bounds& most) {
  return walk(folder, most, true);
}

}  // namespace bulkhead::image

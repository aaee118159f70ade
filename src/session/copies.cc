#include "session/copies.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/openat2.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/sys.h"
#include "base/text.h"

namespace bulkhead::session {
namespace {

class Copier {
 public:
  explicit Copier(const Mount& mount) : mount_(mount) {}

  // `at`/`name` is what to copy, `path` its place below the copied folder.
  Result<void> entry(int at, const std::string& name, const std::string& path, int into, const std::string& as) {
    const bool wanted = in_copy(mount_, path);
    if (!wanted && !leads_to_copied(mount_, path)) return {};
    if (++entries_ > max_copy_entries) return too_large();
    struct stat st{};
    if (::fstatat(at, name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) {
      return errno == ENOENT ? Result<void>() : fail_errno("fstatat", name, errno);  // gone meanwhile
    }
    if (!wanted && !S_ISDIR(st.st_mode)) return {};
    if (S_ISLNK(st.st_mode)) return link(at, name, into, as);
    if (S_ISDIR(st.st_mode)) {
      auto folder = sys::open_at2(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH);
      if (!folder) return tl::unexpected(std::move(folder).error());
      return directory(folder->get(), path, into, as, st.st_mode);
    }
    if (!S_ISREG(st.st_mode)) return {};
    auto file = sys::open_at2(at, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH);
    if (!file) return file.error().code == EACCES ? Result<void>() : tl::unexpected(std::move(file).error());
    return regular(file->get(), into, as, st.st_mode);
  }

  Result<void> directory(int folder, const std::string& path, int into, const std::string& as, mode_t mode) {
    if (::mkdirat(into, as.c_str(), 0700) != 0) return fail_errno("mkdir", as, errno);
    BH_TRY(const UniqueFd copy, sys::open_at(into, as, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
    BH_TRY(const std::vector<std::string> names, sys::list_directory(folder));
    for (const std::string& name : names) {
      BH_CHECK(entry(folder, name, path.empty() ? name : path + "/" + name, copy.get(), name));
    }
    if (::fchmod(copy.get(), (mode & 0777) | 0700) != 0) return fail_errno("fchmod", as, errno);
    return {};
  }

  Result<void> regular(int file, int into, const std::string& as, mode_t mode) {
    BH_TRY(const struct stat st, sys::stat_fd(file, as));
    if (!S_ISREG(st.st_mode)) return {};
    BH_TRY(const UniqueFd copy, sys::open_at(into, as, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode & 0777));
    if (::ioctl(copy.get(), FICLONE, file) == 0) return {};
    for (;;) {
      const ssize_t n = ::sendfile(copy.get(), file, nullptr, 1U << 20);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return fail_errno("copying", as, errno);
      if (n == 0) return {};
      bytes_ += static_cast<std::uint64_t>(n);
      if (bytes_ > max_copy_bytes) return too_large();
    }
  }

 private:
  static Result<void> link(int at, const std::string& name, int into, const std::string& as) {
    char target[4096];
    const ssize_t n = ::readlinkat(at, name.c_str(), target, sizeof target - 1);
    if (n < 0) return fail_errno("readlink", name, errno);
    target[n] = '\0';
    if (::symlinkat(target, into, as.c_str()) != 0) return fail_errno("symlink", as, errno);
    return {};
  }

  tl::unexpected<Error> too_large() const {
    return fail("\"" + escape_for_terminal(mount_.path) +
                "\" is too large for a private copy (512 MB, 200,000 entries); " +
                "name its large parts in the mount's `except`, or what is needed in `only`");
  }

  const Mount& mount_;
  std::uint64_t bytes_ = 0, entries_ = 0;
};

// Some of the top-level keys of a JSON file.
Result<void> json_file(int file, const Mount& mount, int into, const std::string& name) {
  BH_TRY(const std::string text, sys::read_all(file, 64U << 20, mount.path));
  const nlohmann::ordered_json whole = nlohmann::ordered_json::parse(text, nullptr, false);
  if (!whole.is_object()) {
    return fail("\"" + escape_for_terminal(mount.path) +
                "\" is not a JSON object, so `only` and `except` cannot choose keys for its copy");
  }
  nlohmann::ordered_json object = nlohmann::ordered_json::object();
  const auto names = [](const std::vector<std::string>& list, const std::string& key) {
    return std::ranges::find(list, key) != list.end();
  };
  for (const auto& [key, value] : whole.items()) {
    if ((!mount.only || names(*mount.only, key)) && !names(mount.except, key)) object[key] = value;
  }
  BH_TRY(const UniqueFd copy, sys::open_at(into, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600));
  return sys::write_all(copy.get(), object.dump(2, ' ', false, nlohmann::json::error_handler_t::replace), name);
}

}  // namespace

Result<void> copy_for_session(int source, const Mount& mount, int into, const std::string& name) {
  BH_TRY(const struct stat st, sys::stat_fd(source, mount.path));
  // The O_PATH descriptor is opened again through /proc: the same file, whatever its name means by now.
  const std::string again = "/proc/self/fd/" + std::to_string(source);
  Copier copier(mount);
  if (S_ISDIR(st.st_mode)) {
    BH_TRY(const UniqueFd folder, sys::open(again, O_RDONLY | O_DIRECTORY));
    return copier.directory(folder.get(), "", into, name, st.st_mode);
  }
  if (!S_ISREG(st.st_mode)) return fail("\"" + escape_for_terminal(mount.path) + "\" is neither a file nor a folder");
  BH_TRY(const UniqueFd file, sys::open(again, O_RDONLY));
  if (mount.only || !mount.except.empty()) return json_file(file.get(), mount, into, name);
  return copier.regular(file.get(), into, name, st.st_mode);
}

}  // namespace bulkhead::session

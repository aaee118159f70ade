#include "review/stage.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <array>
#include <ranges>

#include "base/sys.h"
#include "base/text.h"
#include "policy/digest.h"
#include "review/content.h"

namespace bulkhead::review {
namespace {

constexpr std::uint64_t inside = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV;
constexpr std::uint64_t any_size = ~std::uint64_t{0} >> 1;
constexpr std::size_t max_attribute = 64 * 1024;  // XATTR_SIZE_MAX

// What the host's file has beside its content goes on to the one that takes its place: a user's attributes and the
// access list. Not the workload's.
Result<void> carry_attributes(int from, int to) {
  std::string names(max_attribute, '\0');
  const ssize_t size = ::flistxattr(from, names.data(), names.size());
  if (size <= 0) return {};
  names.resize(static_cast<std::size_t>(size));
  for (const std::string& name : split(names, '\0')) {
    const bool ours = name.starts_with("user.") && !name.starts_with("user.overlay.");
    if (!ours && name != "system.posix_acl_access") continue;
    std::string value(max_attribute, '\0');
    const ssize_t n = ::fgetxattr(from, name.c_str(), value.data(), value.size());
    if (n < 0) return fail_errno("fgetxattr", name, errno);
    if (::fsetxattr(to, name.c_str(), value.data(), static_cast<std::size_t>(n), 0) != 0) {
      return fail_errno("fsetxattr", name, errno);
    }
  }
  return {};
}

Result<void> set_times(int folder, const std::string& name, const struct stat& wanted) {
  const std::array<timespec, 2> times{wanted.st_atim, wanted.st_mtim};
  if (::utimensat(folder, name.c_str(), times.data(), AT_SYMLINK_NOFOLLOW) != 0) {
    return fail_errno("utimensat", name, errno);
  }
  return {};
}

tl::unexpected<Error> changed(const Change& change) {
  return fail("the review's \"" + escape_for_terminal(change.path) +
              "\" changed after it was looked at; nothing was applied: look again (bulkhead diff)");
}

}  // namespace

Result<void> Stage::check_file(const Change& change, int made, mode_t mode) const {
  const auto known = judged_.find(change.path);
  if (known == judged_.end()) return {};
  const trust::Fingerprint& judged = known->second;
  BH_TRY(const std::string digest, sha256_hex_of(made, any_size));
  const bool same = judged.kind == trust::Fingerprint::Kind::file && judged.sha256 == digest &&
                    judged.executable == ((mode & 0111) != 0);
  return same ? Result<void>() : changed(change);
}

Result<void> Stage::check_mode(const Change& change) const {
  const auto known = judged_.find(change.path);
  if (known == judged_.end() || !S_ISREG(change.after->st_mode)) return {};
  const trust::Fingerprint& judged = known->second;
  const bool same =
      judged.kind == trust::Fingerprint::Kind::file && judged.executable == ((change.after->st_mode & 0111) != 0);
  return same ? Result<void>() : changed(change);
}

Result<void> Stage::check_link(const Change& change, const std::string& target) const {
  const auto known = judged_.find(change.path);
  if (known == judged_.end()) return {};
  const bool same = known->second.kind == trust::Fingerprint::Kind::link && known->second.target == target;
  return same ? Result<void>() : changed(change);
}

// Whose it is to be: what it replaces tells, or the folder it comes into.
Result<void> Stage::own(int fd, const Change& change, mode_t& mode) const {
  uid_t uid = static_cast<uid_t>(-1);
  gid_t gid = static_cast<gid_t>(-1);
  if (change.before) {
    uid = change.before->st_uid;
    gid = change.before->st_gid;
  } else {
    std::optional<struct stat> folder;
    for (std::string at = parent_of(change.path); !folder; at = parent_of(at)) {
      if (at.empty()) {
        BH_TRY(folder, sys::stat_fd(host_.root(), "."));
        break;
      }
      BH_TRY(folder, host_.look(at));
    }
    uid = folder->st_uid;
    if ((folder->st_mode & S_ISGID) != 0 || ::geteuid() == 0) gid = folder->st_gid;
    if ((folder->st_mode & S_ISGID) != 0 && change.after && S_ISDIR(change.after->st_mode)) mode |= S_ISGID;
  }
  if (::geteuid() == 0) {
    return ::fchownat(fd, "", uid, gid, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) == 0
               ? Result<void>()
               : fail_errno("chown", change.path, errno);
  }
  // A group that the user is not in stays with root's doing.
  (void)::fchownat(fd, "", static_cast<uid_t>(-1), gid, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW);
  return {};
}

Result<void> Stage::make(const Change& change, const std::string& name) {
  const struct stat& wanted = *change.after;
  const std::string up = parent_of(name);
  BH_TRY(const UniqueFd folder, sys::open_at2(into_, up.empty() ? "." : up, O_PATH | O_DIRECTORY | O_NOFOLLOW, inside));
  const std::string as = leaf(name);
  mode_t mode = wanted.st_mode & 0777;
  if (S_ISDIR(wanted.st_mode)) {
    if (::mkdirat(folder.get(), as.c_str(), 0700) != 0) return fail_errno("mkdir", change.path, errno);
    BH_TRY(const UniqueFd made, sys::open_at(folder.get(), as, O_PATH | O_DIRECTORY | O_NOFOLLOW));
    mode |= wanted.st_mode & S_ISVTX;
    BH_CHECK(own(made.get(), change, mode));
    if (up.empty() && (mode & S_IRWXU) != S_IRWXU) {
      closed_[name] = mode;
      mode |= S_IRWXU;
    }
    folders_.push_back({name, wanted, mode});
    return {};
  }
  if (S_ISLNK(wanted.st_mode)) {
    BH_TRY(const std::string to, upper_.link(change.path));
    BH_CHECK(check_link(change, to));
    if (::symlinkat(to.c_str(), folder.get(), as.c_str()) != 0) return fail_errno("symlink", change.path, errno);
    BH_TRY(const UniqueFd made, sys::open_at(folder.get(), as, O_PATH | O_NOFOLLOW));
    BH_CHECK(own(made.get(), change, mode));
    return set_times(folder.get(), as, wanted);
  }
  BH_TRY(const UniqueFd from, upper_.file(change.path));
  BH_TRY(const UniqueFd made, sys::open_at(folder.get(), as, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0600));
  if (auto copied = copy_content(from.get(), made.get()); !copied) {
    return tl::unexpected(std::move(copied).error().with("\"" + escape_for_terminal(change.path) + "\""));
  }
  // Nobody can set a ctime: what was judged by its name or its neighbours alone is still what was looked at.
  BH_TRY(const struct stat copied_from, sys::stat_fd(from.get(), change.path));
  if (mark_of(copied_from) != mark_of(wanted)) return changed(change);
  BH_CHECK(check_file(change, made.get(), mode));
  if (change.before && S_ISREG(change.before->st_mode)) {
    if (const auto old = host_.file(change.path); old) BH_CHECK(carry_attributes(old->get(), made.get()));
  }
  BH_CHECK(own(made.get(), change, mode));
  if (::fchmod(made.get(), mode) != 0) return fail_errno("fchmod", change.path, errno);
  return set_times(folder.get(), as, wanted);
}

Result<void> Stage::finish() {
  for (const Folder& made : folders_ | std::views::reverse) {
    BH_TRY(const UniqueFd fd, sys::open_at2(into_, made.name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, inside));
    const std::array<timespec, 2> times{made.wanted.st_atim, made.wanted.st_mtim};
    if (::futimens(fd.get(), times.data()) != 0) return fail_errno("futimens", made.name, errno);
    if (::fchmod(fd.get(), made.mode) != 0) return fail_errno("fchmod", made.name, errno);
  }
  return {};
}

}  // namespace bulkhead::review

#include "keep/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <utility>

#include "base/sys.h"

namespace bulkhead::keep {
namespace {

constexpr gid_t nobodys = 65534;            // the kernel's overflow gid
constexpr long fchmodat2_number = 452;      // Linux 6.6
constexpr std::string_view user = "user.";  // attributes that are anybody's

Result<void> result_of(int returned) {
  return returned == 0 ? Result<void>() : fail("", errno);
}

// A regular file and nothing else: what the host puts there meanwhile must neither block nor act.
Result<UniqueFd> open_regular(const Place& place, int flags) {
  BH_TRY(UniqueFd fd,
         open_beneath(place.folder.get(), place.name, static_cast<unsigned>(flags) | O_NONBLOCK | O_NOCTTY));
  BH_TRY(const struct stat st, sys::stat_fd(fd.get(), place.name));
  if (!S_ISREG(st.st_mode)) return fail("not a regular file", EACCES);
  return fd;
}

// Of a file or folder; links and the rest have no such attributes.
Result<UniqueFd> open_attributed(const Place& place) {
  BH_TRY(const struct stat st, look(place));
  if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)) return fail("no attributes", EOPNOTSUPP);
  return open_beneath(place.folder.get(), place.name, O_RDONLY | O_NONBLOCK | O_NOCTTY);
}

Result<void> anybodys(const std::string& name) {
  return name.starts_with(user) ? Result<void>() : fail("not an attribute of the user's", EOPNOTSUPP);
}

}  // namespace

LiveFolder::LiveFolder(Tree tree, std::unique_ptr<Keeper> keeper, Protection protection, Refused refused, gid_t gid)
    : tree_(std::move(tree)),
      keeper_(std::move(keeper)),
      protection_(std::move(protection)),
      refused_(std::move(refused)),
      gid_(gid) {}

struct stat LiveFolder::shown(struct stat st) const {
  if (st.st_gid == nobodys) st.st_gid = gid_;
  return st;
}

// ---- asking first

Result<void> LiveFolder::refused(Result<void> asked, const char* operation, std::string_view path) const {
  if (!asked && asked.error().code == EROFS && refused_) refused_(operation, path, asked.error().message);
  return asked;
}

// `st`: what is there, or is to be; null: nothing, and no link.
Result<void> LiveFolder::may_change(const char* operation, const std::string& path, const struct stat* st, bool made) {
  const bool is_link = st != nullptr && S_ISLNK(st->st_mode);
  return refused(protection_.entry(tree_, path, is_link, made), operation, path);
}

Result<void> LiveFolder::may_write(const char* operation, std::string_view path, const struct stat& st) {
  return refused(protection_.file(tree_, st), operation, path);
}

// The place of an entry that is about to be made, removed or renamed.
Result<Place> LiveFolder::entry(const std::string& path) {
  BH_TRY(Place place, tree_.find(path));
  if (place.name == ".") return fail("the mounted folder itself", EBUSY);
  if (keeper_) BH_CHECK(keeper_->folder(place.folder.get(), parent_of(path)));
  return place;
}

Result<struct stat> LiveFolder::made(const Place& place) {
  BH_TRY(const struct stat st, keep::look(place));
  if (keeper_) keeper_->made(st);
  return st;
}

Result<void> LiveFolder::about_to_change(OpenFile& file) {
  if (file.free) return {};
  if (!file.readable) return fail("an original that can't be read can't be kept", EACCES);
  BH_CHECK(keeper_->change(file.fd.get(), file.path));
  file.free = true;
  return {};
}

// ---- looking

Result<struct stat> LiveFolder::look(const About& about) const {
  if (about.path) {
    BH_TRY(const Place place, tree_.find(*about.path));
    return keep::look(place);
  }
  if (about.file == nullptr) return fail("it has no name any more", ENOENT);
  return sys::stat_fd(about.file->fd.get(), about.file->path);
}

Result<std::string> LiveFolder::read_link(const std::string& path) const {
  BH_TRY(const Place place, tree_.find(path));
  std::string target(4097, '\0');
  const ssize_t n = ::readlinkat(place.folder.get(), place.name.c_str(), target.data(), target.size());
  if (n < 0) return fail("", errno);
  target.resize(static_cast<std::size_t>(n));
  return target;
}

// ---- making and taking away

Result<struct stat> LiveFolder::make_node(const std::string& path, mode_t mode) {
  if (!S_ISREG(mode) && !S_ISFIFO(mode) && !S_ISSOCK(mode)) return fail("no device", EPERM);
  BH_CHECK(may_change("create", path, nullptr, true));
  BH_TRY(const Place place, entry(path));
  BH_CHECK(result_of(::mknodat(place.folder.get(), place.name.c_str(), mode, 0)));
  return made(place);
}

Result<struct stat> LiveFolder::make_folder(const std::string& path, mode_t mode) {
  BH_CHECK(may_change("mkdir", path, nullptr, true));
  BH_TRY(const Place place, entry(path));
  BH_CHECK(result_of(::mkdirat(place.folder.get(), place.name.c_str(), mode)));
  return made(place);
}

Result<struct stat> LiveFolder::make_link(const std::string& path, const std::string& target) {
  struct stat link{};
  link.st_mode = S_IFLNK;
  BH_CHECK(may_change("symlink", path, &link, true));
  BH_TRY(const Place place, entry(path));
  BH_CHECK(result_of(::symlinkat(target.c_str(), place.folder.get(), place.name.c_str())));
  return made(place);
}

Result<struct stat> LiveFolder::link(const std::string& from, const std::string& to) {
  BH_TRY(const Place source, tree_.find(from));
  BH_TRY(const struct stat st, keep::look(source));
  BH_CHECK(may_change("link", from, &st, false));
  BH_CHECK(may_change("link", to, &st, true));
  BH_TRY(const Place target, entry(to));
  // It is to be kept under the name it had, not under a new one.
  if (keeper_) BH_CHECK(keeper_->move(source, from));
  BH_CHECK(result_of(::linkat(source.folder.get(), source.name.c_str(), target.folder.get(), target.name.c_str(), 0)));
  return keep::look(target);
}

Result<void> LiveFolder::remove(const std::string& path) {
  BH_TRY(const Place there, tree_.find(path));
  BH_TRY(const struct stat st, keep::look(there));
  BH_CHECK(may_change("remove", path, &st, false));
  BH_TRY(const Place place, entry(path));
  if (keeper_) {
    BH_TRY(const bool gone, keeper_->remove(place, path));
    if (gone) return {};
  }
  BH_CHECK(result_of(::unlinkat(place.folder.get(), place.name.c_str(), 0)));
  if (keeper_ && st.st_nlink == 1) keeper_->ended(st);
  return {};
}

Result<void> LiveFolder::remove_folder(const std::string& path) {
  BH_CHECK(may_change("rmdir", path, nullptr, false));
  BH_TRY(const Place place, entry(path));
  BH_TRY(const UniqueFd folder, open_beneath(place.folder.get(), place.name, O_PATH | O_DIRECTORY));
  BH_TRY(const struct stat st, sys::stat_fd(folder.get(), path));
  if (keeper_) BH_CHECK(keeper_->folder(folder.get(), path));
  BH_CHECK(result_of(::unlinkat(place.folder.get(), place.name.c_str(), AT_REMOVEDIR)));
  if (keeper_) keeper_->ended(st);
  return {};
}

// What a rename puts itself in place of.
Result<void> LiveFolder::before_replaced(const Place& place, const std::string& path, const struct stat& st) {
  if (!S_ISDIR(st.st_mode)) return keeper_->move(place, path);
  BH_TRY(const UniqueFd folder, open_beneath(place.folder.get(), place.name, O_PATH | O_DIRECTORY));
  return keeper_->folder(folder.get(), path);
}

Result<void> LiveFolder::rename(const std::string& from, const std::string& to, unsigned flags) {
  if ((flags & ~(RENAME_NOREPLACE | RENAME_EXCHANGE)) != 0) return fail("a flag of rename", EINVAL);
  const bool exchange = (flags & RENAME_EXCHANGE) != 0;
  BH_TRY(const Place old_place, tree_.find(from));
  BH_TRY(const struct stat st, keep::look(old_place));
  BH_TRY(const Place new_place, tree_.find(to));
  const auto replaced = keep::look(new_place);
  if (!replaced && replaced.error().code != ENOENT) return tl::unexpected(replaced.error());
  BH_CHECK(may_change("rename", from, &st, exchange));
  BH_CHECK(may_change("rename", to, &st, true));
  if (replaced && S_ISLNK(replaced->st_mode)) BH_CHECK(may_change("rename", to, &*replaced, true));
  if (exchange && replaced && S_ISLNK(replaced->st_mode)) BH_CHECK(may_change("rename", from, &*replaced, true));
  if (S_ISDIR(st.st_mode)) BH_CHECK(refused(protection_.moved_folder(tree_, from, to), "rename", from));
  if (exchange && replaced && S_ISDIR(replaced->st_mode)) {
    BH_CHECK(refused(protection_.moved_folder(tree_, to, from), "rename", to));
  }
  BH_TRY(const Place source, entry(from));
  BH_TRY(const Place target, entry(to));
  if (replaced && (flags & RENAME_NOREPLACE) != 0) return fail("it is there already", EEXIST);
  if (keeper_) {
    BH_CHECK(keeper_->move(source, from));
    if (replaced && exchange) BH_CHECK(keeper_->move(target, to));
    if (replaced && flags == 0) BH_CHECK(before_replaced(target, to, *replaced));
  }
  // What appears at the target meanwhile is the host's: it is not replaced unkept.
  const unsigned how = replaced ? flags : flags | RENAME_NOREPLACE;
  BH_CHECK(
      result_of(::renameat2(source.folder.get(), source.name.c_str(), target.folder.get(), target.name.c_str(), how)));
  if (keeper_ && replaced && flags == 0 && (S_ISDIR(replaced->st_mode) || replaced->st_nlink == 1)) {
    keeper_->ended(*replaced);
  }
  return {};
}

// ---- open files

// For writing and, where its mode lets us, reading: an original has to be read before it is written.
Result<std::unique_ptr<OpenFile>> LiveFolder::open_for_writing(const std::string& path, int flags) {
  BH_CHECK(may_change("write", path, nullptr, false));
  BH_TRY(const Place place, tree_.find(path));
  auto file = std::make_unique<OpenFile>();
  auto fd = open_regular(place, O_RDWR | flags);
  if (!fd && fd.error().code == EACCES) {
    fd = open_regular(place, O_WRONLY | flags);
    file->readable = false;
  }
  if (!fd) return tl::unexpected(std::move(fd).error());
  file->fd = std::move(*fd);
  file->writable = true;
  file->path = path;
  BH_TRY(const struct stat st, sys::stat_fd(file->fd.get(), path));
  BH_CHECK(may_write("write", path, st));
  file->free = !keeper_ || keeper_->free(st);
  return file;
}

Result<std::unique_ptr<OpenFile>> LiveFolder::open(const std::string& path, int flags) {
  if ((flags & O_ACCMODE) == O_RDONLY && (flags & O_TRUNC) == 0) {
    BH_TRY(const Place place, tree_.find(path));
    auto file = std::make_unique<OpenFile>();
    BH_TRY(file->fd, open_regular(place, O_RDONLY));
    file->path = path;
    return file;
  }
  return open_for_writing(path, flags & O_APPEND);
}

Result<void> LiveFolder::truncate(OpenFile& file, off_t size) {
  if (!file.writable) return fail("not open for writing", EBADF);
  BH_CHECK(about_to_change(file));
  return result_of(::ftruncate(file.fd.get(), size));
}

Result<std::unique_ptr<OpenFile>> LiveFolder::create(const std::string& path, int flags, mode_t mode) {
  BH_CHECK(may_change("create", path, nullptr, true));
  BH_TRY(const Place place, entry(path));
  auto fd =
      sys::open_at(place.folder.get(), place.name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | (flags & O_APPEND), mode);
  if (!fd && fd.error().code == EEXIST && (flags & O_EXCL) == 0) return open(path, flags);
  if (!fd) return tl::unexpected(std::move(fd).error());
  BH_TRY(const struct stat st, sys::stat_fd(fd->get(), path));
  if (keeper_) keeper_->made(st);
  auto file = std::make_unique<OpenFile>();
  file->fd = std::move(*fd);
  file->writable = true;
  file->free = true;
  file->path = path;
  return file;
}

Result<std::size_t> LiveFolder::write(OpenFile& file, const char* bytes, std::size_t size, off_t offset) {
  BH_CHECK(about_to_change(file));
  const ssize_t n = ::pwrite(file.fd.get(), bytes, size, offset);
  return n < 0 ? Result<std::size_t>(fail("", errno)) : static_cast<std::size_t>(n);
}

Result<void> LiveFolder::allocate(OpenFile& file, int mode, off_t offset, off_t length) {
  BH_CHECK(about_to_change(file));
  return result_of(::fallocate(file.fd.get(), mode, offset, length));
}

// ---- attributes

Result<std::optional<Place>> LiveFolder::before_attributes(const char* operation, const About& about) {
  if (about.path) BH_CHECK(may_change(operation, *about.path, nullptr, false));
  if (about.file != nullptr) {
    BH_TRY(const struct stat st, sys::stat_fd(about.file->fd.get(), about.file->path));
    BH_CHECK(may_write(operation, about.path.value_or(about.file->path), st));
    if (keeper_) BH_CHECK(about_to_change(*about.file));
    return std::optional<Place>();
  }
  if (!about.path) return fail("it has no name any more", ENOENT);
  BH_TRY(Place place, tree_.find(*about.path));
  BH_TRY(const struct stat st, keep::look(place));
  // A link where a pattern begins is as much of a control file as what lies behind it.
  if (S_ISLNK(st.st_mode)) BH_CHECK(may_change(operation, *about.path, &st, false));
  BH_CHECK(may_write(operation, *about.path, st));
  if (keeper_) BH_CHECK(keeper_->change(place, *about.path));
  return std::optional<Place>(std::move(place));
}

Result<void> LiveFolder::set_mode(const About& about, mode_t mode) {
  BH_TRY(const std::optional<Place> place, before_attributes("chmod", about));
  if (!place) return result_of(::fchmod(about.file->fd.get(), mode));
  // Never fchmodat(2): it follows a link that the host puts there meanwhile.
  if (::syscall(fchmodat2_number, place->folder.get(), place->name.c_str(), mode, AT_SYMLINK_NOFOLLOW) == 0) return {};
  if (errno != ENOSYS) return fail("", errno);
  BH_TRY(const UniqueFd fd, open_beneath(place->folder.get(), place->name, O_RDONLY | O_NONBLOCK | O_NOCTTY));
  return result_of(::fchmod(fd.get(), mode));
}

Result<void> LiveFolder::set_owner(const About& about, uid_t uid, gid_t gid) {
  BH_TRY(const std::optional<Place> place, before_attributes("chown", about));
  if (!place) return result_of(::fchown(about.file->fd.get(), uid, gid));
  return result_of(::fchownat(place->folder.get(), place->name.c_str(), uid, gid, AT_SYMLINK_NOFOLLOW));
}

Result<void> LiveFolder::set_times(const About& about, const timespec (&times)[2]) {
  BH_TRY(const std::optional<Place> place, before_attributes("utimes", about));
  if (!place) return result_of(::futimens(about.file->fd.get(), times));
  return result_of(::utimensat(place->folder.get(), place->name.c_str(), times, AT_SYMLINK_NOFOLLOW));
}

Result<void> LiveFolder::set_attribute(const std::string& path, const std::string& name, std::string_view value,
                                       int flags) {
  BH_CHECK(anybodys(name));
  BH_TRY(const std::optional<Place> place, before_attributes("setxattr", About{.path = path}));
  BH_TRY(const UniqueFd fd, open_attributed(*place));
  return result_of(::fsetxattr(fd.get(), name.c_str(), value.data(), value.size(), flags));
}

Result<void> LiveFolder::remove_attribute(const std::string& path, const std::string& name) {
  BH_CHECK(anybodys(name));
  BH_TRY(const std::optional<Place> place, before_attributes("removexattr", About{.path = path}));
  BH_TRY(const UniqueFd fd, open_attributed(*place));
  return result_of(::fremovexattr(fd.get(), name.c_str()));
}

Result<std::string> LiveFolder::get_attribute(const std::string& path, const std::string& name) const {
  BH_CHECK(anybodys(name));
  BH_TRY(const Place place, tree_.find(path));
  BH_TRY(const UniqueFd fd, open_attributed(place));
  std::string value(65536, '\0');  // XATTR_SIZE_MAX
  const ssize_t n = ::fgetxattr(fd.get(), name.c_str(), value.data(), value.size());
  if (n < 0) return fail("", errno);
  value.resize(static_cast<std::size_t>(n));
  return value;
}

Result<std::vector<std::string>> LiveFolder::list_attributes(const std::string& path) const {
  BH_TRY(const Place place, tree_.find(path));
  BH_TRY(const UniqueFd fd, open_attributed(place));
  BH_TRY(const Attributes attributes, read_attributes(fd.get()));
  std::vector<std::string> names;
  for (const auto& [name, value] : attributes) {
    if (name.starts_with(user)) names.push_back(name);
  }
  return names;
}

}  // namespace bulkhead::keep

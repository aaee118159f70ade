#include "keep/filesystem.h"

#define FUSE_USE_VERSION 312
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fuse3/fuse.h>
#include <stdio.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/xattr.h>

#include <atomic>
#include <memory>
#include <new>
#include <string>

#include "base/sys.h"

namespace bulkhead::keep {
namespace {

// How long the kernel may believe what it was told: what the host changes is seen inside after this at the latest.
constexpr double believed = 1.0;
constexpr unsigned threads = 8;
constexpr gid_t nobodys = 65534;            // the kernel's overflow gid
constexpr long fchmodat2_number = 452;      // Linux 6.6
constexpr std::string_view user = "user.";  // attributes that are anybody's

struct OpenFile {
  UniqueFd fd;
  bool readable = true;
  std::atomic<bool> free = false;  // nothing more is to be kept of it
  std::string path;                // when it was opened
};

struct OpenFolder {
  OpenFolder(DIR* opened, int number) : stream(opened, ::closedir), fd(number) {}
  std::unique_ptr<DIR, int (*)(DIR*)> stream;
  int fd;  // the stream's
};

Served& served() {
  return *static_cast<Served*>(::fuse_get_context()->private_data);
}

template <class T>
T* handle(const fuse_file_info* info) {
  return reinterpret_cast<T*>(info->fh);  // NOLINT(performance-no-int-to-ptr): libfuse keeps it as a number
}

int code_of(const Error& error) {
  return error.code == 0 ? -EIO : -error.code;
}

int result_of(int returned) {
  return returned == 0 ? 0 : -errno;
}

// C calls us: nothing may be thrown through it.
template <class Work>
int guarded(const Work& work) {
  try {
    Result<int> done = work(served());
    return done ? *done : code_of(done.error());
  } catch (const std::bad_alloc&) {
    return -ENOMEM;
  } catch (...) {
    return -EIO;
  }
}

// Names that libfuse gives: nobody else can make or see one.
constexpr std::string_view nameless_prefix = ".fuse_hidden";

bool is_nameless(const char* path) {
  const std::string_view all = path;
  return all.substr(all.rfind('/') + 1).starts_with(nameless_prefix);
}

Result<Place> find(Served& at, const char* path) {
  if (!is_nameless(path)) return at.tree.find(path);
  const std::string_view all = path;
  BH_TRY(UniqueFd folder, sys::duplicate(at.nameless.get()));
  Place place{std::move(folder), std::string(all.substr(all.rfind('/') + 1))};
  if (look(place)) return place;
  return at.tree.find(path);  // where it could not be moved away
}

std::string folder_of(const char* path) {
  return std::string(parent_of(relative(path)));
}

// The place of an entry that is about to be made, removed or renamed.
Result<Place> entry(Served& at, const char* path) {
  BH_TRY(Place place, find(at, path));
  if (place.name == ".") return fail("the mounted folder itself", EBUSY);
  if (is_nameless(path)) return place;
  BH_CHECK(at.keeper.folder(place.folder.get(), folder_of(path)));
  return place;
}

Result<int> made(Served& at, const Place& place) {
  BH_TRY(const struct stat st, look(place));
  at.keeper.made(st);
  return 0;
}

// A regular file and nothing else: what the host puts there meanwhile must neither block nor act.
Result<UniqueFd> open_regular(const Place& place, int flags) {
  BH_TRY(UniqueFd fd,
         open_beneath(place.folder.get(), place.name, static_cast<unsigned>(flags) | O_NONBLOCK | O_NOCTTY));
  BH_TRY(const struct stat st, sys::stat_fd(fd.get(), place.name));
  if (!S_ISREG(st.st_mode)) return fail("not a regular file", EACCES);
  return fd;
}

// For writing and, where its mode lets us, reading: an original has to be read before it is written.
Result<std::unique_ptr<OpenFile>> open_for_writing(Served& at, const Place& place, const char* path, int flags) {
  auto file = std::make_unique<OpenFile>();
  auto fd = open_regular(place, O_RDWR | flags);
  if (!fd && fd.error().code == EACCES) {
    fd = open_regular(place, O_WRONLY | flags);
    file->readable = false;
  }
  if (!fd) return tl::unexpected(std::move(fd).error());
  file->fd = std::move(*fd);
  file->path = relative(path);
  BH_TRY(const struct stat st, sys::stat_fd(file->fd.get(), path));
  file->free = at.keeper.free(st);
  return file;
}

Result<void> about_to_change(Served& at, OpenFile& file) {
  if (file.free) return {};
  if (!file.readable) return fail("an original that can't be read can't be kept", EACCES);
  BH_CHECK(at.keeper.change(file.fd.get(), file.path));
  file.free = true;
  return {};
}

int get_attributes(const char* path, struct stat* out, fuse_file_info* info) {
  return guarded([&](Served& at) -> Result<int> {
    if (info != nullptr) {
      if (::fstat(handle<OpenFile>(info)->fd.get(), out) != 0) return -errno;
    } else {
      BH_TRY(const Place place, find(at, path));
      BH_TRY(*out, look(place));
    }
    if (out->st_gid == nobodys) out->st_gid = at.gid;  // the kernel lets nobody write what has no number inside
    return 0;
  });
}

int read_link(const char* path, char* buffer, std::size_t size) {
  return guarded([&](Served& at) -> Result<int> {
    BH_TRY(const Place place, find(at, path));
    const ssize_t n = ::readlinkat(place.folder.get(), place.name.c_str(), buffer, size - 1);
    if (n < 0) return -errno;
    buffer[n] = '\0';
    return 0;
  });
}

int make_node(const char* path, mode_t mode, dev_t) {
  return guarded([&](Served& at) -> Result<int> {
    if (is_nameless(path)) return -EPERM;
    if (!S_ISREG(mode) && !S_ISFIFO(mode) && !S_ISSOCK(mode)) return -EPERM;
    BH_TRY(const Place place, entry(at, path));
    if (::mknodat(place.folder.get(), place.name.c_str(), mode, 0) != 0) return -errno;
    return made(at, place);
  });
}

int make_folder(const char* path, mode_t mode) {
  return guarded([&](Served& at) -> Result<int> {
    if (is_nameless(path)) return -EPERM;
    BH_TRY(const Place place, entry(at, path));
    if (::mkdirat(place.folder.get(), place.name.c_str(), mode) != 0) return -errno;
    return made(at, place);
  });
}

int make_link(const char* target, const char* path) {
  return guarded([&](Served& at) -> Result<int> {
    if (is_nameless(path)) return -EPERM;
    BH_TRY(const Place place, entry(at, path));
    if (::symlinkat(target, place.folder.get(), place.name.c_str()) != 0) return -errno;
    return made(at, place);
  });
}

int remove_file(const char* path) {
  return guarded([&](Served& at) -> Result<int> {
    BH_TRY(const Place place, entry(at, path));
    BH_TRY(const struct stat st, look(place));
    BH_TRY(const bool gone, at.keeper.remove(place, relative(path)));
    if (gone) return 0;
    if (::unlinkat(place.folder.get(), place.name.c_str(), 0) != 0) return -errno;
    if (st.st_nlink == 1) at.keeper.ended(st);
    return 0;
  });
}

int remove_folder(const char* path) {
  return guarded([&](Served& at) -> Result<int> {
    BH_TRY(const Place place, entry(at, path));
    BH_TRY(const UniqueFd folder, open_beneath(place.folder.get(), place.name, O_PATH | O_DIRECTORY));
    BH_TRY(const struct stat st, sys::stat_fd(folder.get(), path));
    BH_CHECK(at.keeper.folder(folder.get(), relative(path)));
    if (::unlinkat(place.folder.get(), place.name.c_str(), AT_REMOVEDIR) != 0) return -errno;
    at.keeper.ended(st);
    return 0;
  });
}

// What a rename puts itself in place of.
Result<void> before_replaced(Served& at, const Place& to, const char* path, const struct stat& st) {
  if (!S_ISDIR(st.st_mode)) return at.keeper.move(to, relative(path));
  BH_TRY(const UniqueFd folder, open_beneath(to.folder.get(), to.name, O_PATH | O_DIRECTORY));
  return at.keeper.folder(folder.get(), relative(path));
}

// It loses its last name, and somebody has it open.
Result<int> hide(Served& at, const char* from, const char* to) {
  BH_TRY(const Place source, entry(at, from));
  BH_CHECK(at.keeper.move(source, relative(from)));
  const std::string_view all = to;
  const std::string name(all.substr(all.rfind('/') + 1));
  if (::renameat2(source.folder.get(), source.name.c_str(), at.nameless.get(), name.c_str(), RENAME_NOREPLACE) == 0) {
    return 0;
  }
  if (errno != EXDEV) return -errno;
  BH_TRY(const Place target, at.tree.find(to));
  return result_of(::renameat2(source.folder.get(), source.name.c_str(), target.folder.get(), target.name.c_str(),
                               RENAME_NOREPLACE));
}

int rename_entry(const char* from, const char* to, unsigned flags) {
  return guarded([&](Served& at) -> Result<int> {
    if (is_nameless(to)) return hide(at, from, to);
    if ((flags & ~(RENAME_NOREPLACE | RENAME_EXCHANGE)) != 0) return -EINVAL;
    BH_TRY(const Place source, entry(at, from));
    BH_TRY(const Place target, entry(at, to));
    const auto replaced = look(target);
    if (!replaced && replaced.error().code != ENOENT) return code_of(replaced.error());
    if (replaced && (flags & RENAME_NOREPLACE) != 0) return -EEXIST;
    BH_CHECK(at.keeper.move(source, relative(from)));
    if (replaced && (flags & RENAME_EXCHANGE) != 0) BH_CHECK(at.keeper.move(target, relative(to)));
    if (replaced && flags == 0) BH_CHECK(before_replaced(at, target, to, *replaced));
    // What appears at the target meanwhile is the host's: it is not replaced unkept.
    const unsigned how = replaced ? flags : flags | RENAME_NOREPLACE;
    if (::renameat2(source.folder.get(), source.name.c_str(), target.folder.get(), target.name.c_str(), how) != 0) {
      return -errno;
    }
    if (replaced && flags == 0 && (S_ISDIR(replaced->st_mode) || replaced->st_nlink == 1)) at.keeper.ended(*replaced);
    return 0;
  });
}

int link_entry(const char* from, const char* to) {
  return guarded([&](Served& at) -> Result<int> {
    if (is_nameless(to)) return -EPERM;
    BH_TRY(const Place source, find(at, from));
    BH_TRY(const Place target, entry(at, to));
    // It is to be kept under the name it had, not under a new one.
    BH_CHECK(at.keeper.move(source, relative(from)));
    return result_of(::linkat(source.folder.get(), source.name.c_str(), target.folder.get(), target.name.c_str(), 0));
  });
}

int change_mode(const char* path, mode_t mode, fuse_file_info* info) {
  return guarded([&](Served& at) -> Result<int> {
    if (info != nullptr) {
      BH_CHECK(about_to_change(at, *handle<OpenFile>(info)));
      return result_of(::fchmod(handle<OpenFile>(info)->fd.get(), mode));
    }
    BH_TRY(const Place place, find(at, path));
    BH_CHECK(at.keeper.change(place, relative(path)));
    // Never fchmodat(2): it follows a link that the host puts there meanwhile.
    if (::syscall(fchmodat2_number, place.folder.get(), place.name.c_str(), mode, AT_SYMLINK_NOFOLLOW) == 0) return 0;
    if (errno != ENOSYS) return -errno;
    BH_TRY(const UniqueFd fd, open_beneath(place.folder.get(), place.name, O_RDONLY | O_NONBLOCK | O_NOCTTY));
    return result_of(::fchmod(fd.get(), mode));
  });
}

int change_owner(const char* path, uid_t uid, gid_t gid, fuse_file_info* info) {
  return guarded([&](Served& at) -> Result<int> {
    if (info != nullptr) {
      BH_CHECK(about_to_change(at, *handle<OpenFile>(info)));
      return result_of(::fchown(handle<OpenFile>(info)->fd.get(), uid, gid));
    }
    BH_TRY(const Place place, find(at, path));
    BH_CHECK(at.keeper.change(place, relative(path)));
    return result_of(::fchownat(place.folder.get(), place.name.c_str(), uid, gid, AT_SYMLINK_NOFOLLOW));
  });
}

int set_times(const char* path, const timespec times[2], fuse_file_info* info) {
  return guarded([&](Served& at) -> Result<int> {
    if (info != nullptr) {
      BH_CHECK(about_to_change(at, *handle<OpenFile>(info)));
      return result_of(::futimens(handle<OpenFile>(info)->fd.get(), times));
    }
    BH_TRY(const Place place, find(at, path));
    BH_CHECK(at.keeper.change(place, relative(path)));
    return result_of(::utimensat(place.folder.get(), place.name.c_str(), times, AT_SYMLINK_NOFOLLOW));
  });
}

int truncate_file(const char* path, off_t size, fuse_file_info* info) {
  return guarded([&](Served& at) -> Result<int> {
    if (info != nullptr) {
      BH_CHECK(about_to_change(at, *handle<OpenFile>(info)));
      return result_of(::ftruncate(handle<OpenFile>(info)->fd.get(), size));
    }
    BH_TRY(const Place place, find(at, path));
    BH_TRY(const std::unique_ptr<OpenFile> file, open_for_writing(at, place, path, 0));
    BH_CHECK(about_to_change(at, *file));
    return result_of(::ftruncate(file->fd.get(), size));
  });
}

Result<int> open_existing(Served& at, const char* path, fuse_file_info* info) {
  BH_TRY(const Place place, find(at, path));
  std::unique_ptr<OpenFile> file;
  if ((info->flags & O_ACCMODE) == O_RDONLY && (info->flags & O_TRUNC) == 0) {
    file = std::make_unique<OpenFile>();
    BH_TRY(file->fd, open_regular(place, O_RDONLY));
  } else {
    BH_TRY(file, open_for_writing(at, place, path, info->flags & O_APPEND));
    if ((info->flags & O_TRUNC) != 0) {
      BH_CHECK(about_to_change(at, *file));
      if (::ftruncate(file->fd.get(), 0) != 0) return -errno;
    }
  }
  info->fh = reinterpret_cast<std::uint64_t>(file.release());
  return 0;
}

int open_file(const char* path, fuse_file_info* info) {
  return guarded([&](Served& at) { return open_existing(at, path, info); });
}

int create_file(const char* path, mode_t mode, fuse_file_info* info) {
  return guarded([&](Served& at) -> Result<int> {
    if (is_nameless(path)) return -EPERM;
    BH_TRY(const Place place, entry(at, path));
    const int flags = O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | (info->flags & O_APPEND);
    auto fd = sys::open_at(place.folder.get(), place.name, flags, mode);
    if (!fd && fd.error().code == EEXIST && (info->flags & O_EXCL) == 0) return open_existing(at, path, info);
    if (!fd) return code_of(fd.error());
    BH_TRY(const struct stat st, sys::stat_fd(fd->get(), path));
    at.keeper.made(st);
    auto file = std::make_unique<OpenFile>();
    file->fd = std::move(*fd);
    file->free = true;
    file->path = relative(path);
    info->fh = reinterpret_cast<std::uint64_t>(file.release());
    return 0;
  });
}

int read_file(const char*, char* buffer, std::size_t size, off_t offset, fuse_file_info* info) {
  const ssize_t n = ::pread(handle<OpenFile>(info)->fd.get(), buffer, size, offset);
  return n < 0 ? -errno : static_cast<int>(n);
}

int write_file(const char*, const char* bytes, std::size_t size, off_t offset, fuse_file_info* info) {
  return guarded([&](Served& at) -> Result<int> {
    OpenFile& file = *handle<OpenFile>(info);
    BH_CHECK(about_to_change(at, file));
    const ssize_t n = ::pwrite(file.fd.get(), bytes, size, offset);
    return n < 0 ? -errno : static_cast<int>(n);
  });
}

int allocate(const char*, int mode, off_t offset, off_t length, fuse_file_info* info) {
  return guarded([&](Served& at) -> Result<int> {
    OpenFile& file = *handle<OpenFile>(info);
    BH_CHECK(about_to_change(at, file));
    return result_of(::fallocate(file.fd.get(), mode, offset, length));
  });
}

int flush_file(const char*, fuse_file_info*) {
  return 0;
}

int sync_file(const char*, int data_only, fuse_file_info* info) {
  const int fd = handle<OpenFile>(info)->fd.get();
  return result_of(data_only != 0 ? ::fdatasync(fd) : ::fsync(fd));
}

int close_file(const char*, fuse_file_info* info) {
  delete handle<OpenFile>(info);
  return 0;
}

int open_folder(const char* path, fuse_file_info* info) {
  return guarded([&](Served& at) -> Result<int> {
    BH_TRY(UniqueFd fd, open_beneath(at.tree.root(), std::string(relative(path)), O_RDONLY | O_DIRECTORY));
    DIR* stream = ::fdopendir(fd.get());
    if (stream == nullptr) return -errno;
    const int number = fd.release();
    info->fh = reinterpret_cast<std::uint64_t>(new OpenFolder(stream, number));
    return 0;
  });
}

int read_folder(const char*, void* buffer, fuse_fill_dir_t fill, off_t offset, fuse_file_info* info,
                fuse_readdir_flags flags) {
  return guarded([&](Served& at) -> Result<int> {
    DIR* stream = handle<OpenFolder>(info)->stream.get();
    const int folder = handle<OpenFolder>(info)->fd;
    if (offset == 0) ::rewinddir(stream);
    errno = 0;
    while (const dirent* one = ::readdir(stream)) {
      struct stat st{};
      st.st_ino = one->d_ino;
      st.st_mode = static_cast<mode_t>(one->d_type) << 12;
      // NOLINTNEXTLINE(clang-analyzer-optin.core.EnumCastOutOfRange): libfuse has no name for none
      auto filled = static_cast<fuse_fill_dir_flags>(0);
      const std::string_view name = one->d_name;
      if ((flags & FUSE_READDIR_PLUS) != 0 && name != "." && name != ".." &&
          ::fstatat(folder, one->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
        if (st.st_gid == nobodys) st.st_gid = at.gid;
        filled = FUSE_FILL_DIR_PLUS;
      }
      if (fill(buffer, one->d_name, &st, 0, filled) != 0) return -ENOMEM;
      errno = 0;
    }
    return errno == 0 ? 0 : -errno;
  });
}

int sync_folder(const char*, int, fuse_file_info* info) {
  return result_of(::fsync(handle<OpenFolder>(info)->fd));
}

int close_folder(const char*, fuse_file_info* info) {
  delete handle<OpenFolder>(info);
  return 0;
}

int file_system(const char*, struct statvfs* out) {
  return guarded([&](Served& at) -> Result<int> { return result_of(::fstatvfs(at.tree.root(), out)); });
}

bool ours(const char* name) {
  return std::string_view(name).starts_with(user);
}

// Of a file or folder; links and the rest have no such attributes.
Result<UniqueFd> open_attributed(Served& at, const char* path) {
  BH_TRY(const Place place, find(at, path));
  BH_TRY(const struct stat st, look(place));
  if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)) return fail("no attributes", EOPNOTSUPP);
  return open_beneath(place.folder.get(), place.name, O_RDONLY | O_NONBLOCK | O_NOCTTY);
}

int set_attribute(const char* path, const char* name, const char* value, std::size_t size, int flags) {
  return guarded([&](Served& at) -> Result<int> {
    if (!ours(name)) return -EOPNOTSUPP;
    BH_TRY(const UniqueFd fd, open_attributed(at, path));
    BH_TRY(const Place place, find(at, path));
    BH_CHECK(at.keeper.change(place, relative(path)));
    return result_of(::fsetxattr(fd.get(), name, value, size, flags));
  });
}

int get_attribute(const char* path, const char* name, char* value, std::size_t size) {
  return guarded([&](Served& at) -> Result<int> {
    if (!ours(name)) return -EOPNOTSUPP;
    BH_TRY(const UniqueFd fd, open_attributed(at, path));
    const ssize_t n = ::fgetxattr(fd.get(), name, value, size);
    return n < 0 ? -errno : static_cast<int>(n);
  });
}

int list_attributes(const char* path, char* list, std::size_t size) {
  return guarded([&](Served& at) -> Result<int> {
    BH_TRY(const UniqueFd fd, open_attributed(at, path));
    BH_TRY(const Attributes attributes, read_attributes(fd.get()));
    std::string names;
    for (const auto& [name, value] : attributes) {
      if (ours(name.c_str())) names += name + '\0';
    }
    if (size == 0) return static_cast<int>(names.size());
    if (names.size() > size) return -ERANGE;
    names.copy(list, names.size());
    return static_cast<int>(names.size());
  });
}

int remove_attribute(const char* path, const char* name) {
  return guarded([&](Served& at) -> Result<int> {
    if (!ours(name)) return -EOPNOTSUPP;
    BH_TRY(const UniqueFd fd, open_attributed(at, path));
    BH_TRY(const Place place, find(at, path));
    BH_CHECK(at.keeper.change(place, relative(path)));
    return result_of(::fremovexattr(fd.get(), name));
  });
}

void* begin_mount(fuse_conn_info* connection, fuse_config* config) {
  // splice(2) and its pipes: calls that the filter need not allow.
  connection->want &= ~static_cast<unsigned>(FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE |
                                             FUSE_CAP_WRITEBACK_CACHE);
  config->use_ino = 1;
  config->nullpath_ok = 1;  // what has a handle needs no path: a file can outlive its name
  config->auto_cache = 1;
  config->entry_timeout = believed;
  config->attr_timeout = believed;
  config->negative_timeout = 0;
  return ::fuse_get_context()->private_data;
}

fuse_operations operations() {
  fuse_operations all{};
  all.init = begin_mount;
  all.getattr = get_attributes;
  all.readlink = read_link;
  all.mknod = make_node;
  all.mkdir = make_folder;
  all.symlink = make_link;
  all.unlink = remove_file;
  all.rmdir = remove_folder;
  all.rename = rename_entry;
  all.link = link_entry;
  all.chmod = change_mode;
  all.chown = change_owner;
  all.utimens = set_times;
  all.truncate = truncate_file;
  all.open = open_file;
  all.create = create_file;
  all.read = read_file;
  all.write = write_file;
  all.fallocate = allocate;
  all.flush = flush_file;
  all.fsync = sync_file;
  all.release = close_file;
  all.opendir = open_folder;
  all.readdir = read_folder;
  all.fsyncdir = sync_folder;
  all.releasedir = close_folder;
  all.statfs = file_system;
  all.setxattr = set_attribute;
  all.getxattr = get_attribute;
  all.listxattr = list_attributes;
  all.removexattr = remove_attribute;
  return all;
}

}  // namespace

Result<Connection> Connection::begin(int device, Served& at) {
  const fuse_operations all = operations();
  std::string name = "bulkhead-keep";
  char* words[] = {name.data(), nullptr};
  fuse_args arguments = FUSE_ARGS_INIT(1, words);
  ::fuse* made = ::fuse_new(&arguments, &all, sizeof all, &at);
  ::fuse_opt_free_args(&arguments);
  if (made == nullptr) return fail("libfuse can't begin");
  Connection connection(made);
  if (::fuse_mount(made, ("/dev/fd/" + std::to_string(device)).c_str()) != 0) return fail("libfuse refuses /dev/fuse");
  return connection;
}

Connection::~Connection() {
  if (fuse_ != nullptr) ::fuse_destroy(fuse_);
}

int Connection::serve() {
  fuse_loop_config* config = ::fuse_loop_cfg_create();
  ::fuse_loop_cfg_set_max_threads(config, threads);
  const int ended = ::fuse_loop_mt(fuse_, config);
  ::fuse_loop_cfg_destroy(config);
  return ended;
}

}  // namespace bulkhead::keep

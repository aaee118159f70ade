#include "keep/filesystem.h"

#define FUSE_USE_VERSION 312
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fuse3/fuse_lowlevel.h>
#include <stdio.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <array>
#include <memory>
#include <mutex>
#include <new>
#include <shared_mutex>
#include <string>
#include <vector>

#include "base/sys.h"

namespace bulkhead::keep {
namespace {

constexpr unsigned threads = 8;

using File = std::shared_ptr<OpenFile>;
using Shared = std::shared_lock<std::shared_mutex>;
using Alone = std::unique_lock<std::shared_mutex>;

Served& served(fuse_req_t request) {
  return *static_cast<Served*>(::fuse_req_userdata(request));
}

const File& handle(const fuse_file_info* info) {
  return *reinterpret_cast<File*>(info->fh);  // NOLINT(performance-no-int-to-ptr): libfuse keeps it as a number
}

int code_of(const Error& error) {
  return error.code == 0 ? EIO : error.code;
}

// C calls us: nothing may be thrown through it. `work` answers, unless it returns an error.
template <class Work>
void answer(fuse_req_t request, const Work& work) {
  int code = EIO;
  try {
    const Result<void> done = work(served(request));
    if (done) return;
    code = code_of(done.error());
  } catch (const std::bad_alloc&) {
    code = ENOMEM;
  } catch (...) {
    code = EIO;
  }
  (void)::fuse_reply_err(request, code);
}

Result<std::string> path_of(Served& at, fuse_ino_t id) {
  auto path = at.names.path(id);
  return path ? Result<std::string>(std::move(*path)) : fail("it has no name any more", ENOENT);
}

// Whoever has no name any more is found by what is open of it.
struct Found {
  About about;
  File held;
};

Found find(Served& at, fuse_ino_t id, const fuse_file_info* info, bool writable) {
  Found out;
  out.about.path = at.names.path(id);
  if (info != nullptr) {
    out.held = handle(info);
  } else if (!out.about.path) {
    out.held = at.names.open_file(id, writable);
  }
  out.about.file = out.held.get();
  return out;
}

Result<std::string> below(Served& at, fuse_ino_t parent, const char* name) {
  BH_TRY(std::string path, path_of(at, parent));
  return path.empty() ? std::string(name) : path + "/" + name;
}

double belief(Served& at, Names::Id id, const struct stat& st, bool watched) {
  if (S_ISDIR(st.st_mode)) return at.names.watched(id) ? long_belief : short_belief;
  return watched && st.st_nlink == 1 ? long_belief : short_belief;
}

// Who reaches the mount through another server (virtiofsd) takes a number for a file for as long as it holds the
// mount's, which keeps nothing of the host's from being given away again: then it is the one that the kernel has from
// us.
struct stat shown(Served& at, Names::Id id, const struct stat& st) {
  struct stat out = at.folder.shown(st);
  if (at.own_numbers) out.st_ino = id;
  return out;
}

// The kernel is told of `name`; from now on it will say when it forgets it.
fuse_entry_param told(Served& at, fuse_ino_t parent, const char* name, const struct stat& st, bool watched) {
  fuse_entry_param entry{};
  bool replaced = false;
  entry.ino = at.names.found(parent, name, st, replaced);
  if (replaced) at.watch.doubt_below(entry.ino);
  entry.attr = shown(at, entry.ino, st);
  entry.entry_timeout = watched ? long_belief : short_belief;
  entry.attr_timeout = belief(at, entry.ino, st, watched);
  return entry;
}

// `unknown`: Names::unknown() before the name was looked at. What the host did meanwhile it may have done to this one.
fuse_entry_param unless_changed(Served& at, std::uint64_t unknown, fuse_entry_param entry) {
  if (at.names.unknown() != unknown) entry.entry_timeout = entry.attr_timeout = short_belief;
  return entry;
}

void reply(fuse_req_t request, Served& at, const fuse_entry_param& entry) {
  if (::fuse_reply_entry(request, &entry) == -ENOENT) at.names.forget(entry.ino, 1);  // it was interrupted
}

// What the workload is about to do with that name; unless it was done, no event will tell of it.
class Doing {
 public:
  Doing(Served& at, fuse_ino_t folder, const char* name, int events = 1)
      : at_(at), folder_(folder), name_(name), events_(events) {
    for (int i = 0; i < events_; ++i) at_.names.doing(folder_, name_);
  }
  Doing(const Doing&) = delete;
  Doing& operator=(const Doing&) = delete;
  ~Doing() {
    for (int i = 0; i < events_; ++i) at_.names.not_done(folder_, name_);
  }
  void done() { events_ = 0; }

 private:
  Served& at_;
  fuse_ino_t folder_;
  const char* name_;
  int events_;
};

// Alone where the name could make its folder a repository.
template <class Work>
auto still(Served& at, const char* name, const Work& work) {
  if (at.folder.protection().on() && Protection::completes(name)) {
    const Alone held(at.names.still());
    return work();
  }
  const Shared held(at.names.still());
  return work();
}

template <class Make>
void make(fuse_req_t request, fuse_ino_t parent, const char* name, const Make& make) {
  answer(request, [&](Served& at) -> Result<void> {
    const bool watched = at.watch.look_at(parent);
    BH_TRY(const fuse_entry_param entry, still(at, name, [&]() -> Result<fuse_entry_param> {
             BH_TRY(const std::string path, below(at, parent, name));
             Doing doing(at, parent, name);
             BH_TRY(const struct stat st, make(at, path));
             doing.done();
             at.names.asks_again(parent);
             return told(at, parent, name, st, watched);
           }));
    reply(request, at, entry);
    return {};
  });
}

// ---- names

void look_up(fuse_req_t request, fuse_ino_t parent, const char* name) {
  answer(request, [&](Served& at) -> Result<void> {
    const bool watched = at.watch.look_at(parent);
    const Shared held(at.names.still());
    BH_TRY(const std::string path, below(at, parent, name));
    const std::uint64_t unknown = at.names.unknown();
    const auto st = at.folder.look(About{.path = path});
    if (!st && st.error().code == ENOENT && watched && at.names.absent(parent, name) && at.names.unknown() == unknown) {
      fuse_entry_param none{};
      none.entry_timeout = long_belief;
      (void)::fuse_reply_entry(request, &none);
      return {};
    }
    if (!st) return tl::unexpected(st.error());
    reply(request, at, unless_changed(at, unknown, told(at, parent, name, *st, watched)));
    return {};
  });
}

void forget(fuse_req_t request, fuse_ino_t id, std::uint64_t times) {
  served(request).names.forget(id, times);
  ::fuse_reply_none(request);
}

void forget_many(fuse_req_t request, std::size_t count, fuse_forget_data* all) {
  for (std::size_t i = 0; i < count; ++i) served(request).names.forget(all[i].ino, all[i].nlookup);
  ::fuse_reply_none(request);
}

void read_link(fuse_req_t request, fuse_ino_t id) {
  answer(request, [&](Served& at) -> Result<void> {
    const Shared held(at.names.still());
    BH_TRY(const std::string path, path_of(at, id));
    BH_TRY(const std::string target, at.folder.read_link(path));
    (void)::fuse_reply_readlink(request, target.c_str());
    return {};
  });
}

void make_node(fuse_req_t request, fuse_ino_t parent, const char* name, mode_t mode, dev_t) {
  make(request, parent, name, [&](Served& at, const std::string& path) { return at.folder.make_node(path, mode); });
}

void make_folder(fuse_req_t request, fuse_ino_t parent, const char* name, mode_t mode) {
  make(request, parent, name, [&](Served& at, const std::string& path) { return at.folder.make_folder(path, mode); });
}

void make_link(fuse_req_t request, const char* target, fuse_ino_t parent, const char* name) {
  make(request, parent, name, [&](Served& at, const std::string& path) { return at.folder.make_link(path, target); });
}

void link_entry(fuse_req_t request, fuse_ino_t id, fuse_ino_t parent, const char* name) {
  make(request, parent, name, [&](Served& at, const std::string& path) -> Result<struct stat> {
    // Two names are two files to us, and that server takes them for one: it would lose both with the first.
    if (at.own_numbers) return fail("no second name for a file here", EPERM);
    BH_TRY(const std::string from, path_of(at, id));
    auto made = at.folder.link(from, path);
    // The kernel takes the other name for another file.
    if (made) at.watch.doubt(id);
    return made;
  });
}

template <class Remove>
void remove_entry(fuse_req_t request, fuse_ino_t parent, const char* name, const Remove& remove) {
  answer(request, [&](Served& at) -> Result<void> {
    const Alone held(at.names.still());
    BH_TRY(const std::string path, below(at, parent, name));
    Doing doing(at, parent, name);
    BH_CHECK(remove(at, path));
    doing.done();
    at.names.removed(parent, name);
    (void)::fuse_reply_err(request, 0);
    return {};
  });
}

void remove_file(fuse_req_t request, fuse_ino_t parent, const char* name) {
  remove_entry(request, parent, name, [](Served& at, const std::string& path) { return at.folder.remove(path); });
}

void remove_folder(fuse_req_t request, fuse_ino_t parent, const char* name) {
  remove_entry(request, parent, name,
               [](Served& at, const std::string& path) { return at.folder.remove_folder(path); });
}

void rename_entry(fuse_req_t request, fuse_ino_t from, const char* old_name, fuse_ino_t to, const char* new_name,
                  unsigned flags) {
  answer(request, [&](Served& at) -> Result<void> {
    const bool exchange = (flags & RENAME_EXCHANGE) != 0;
    const Alone held(at.names.still());
    BH_TRY(const std::string source, below(at, from, old_name));
    BH_TRY(const std::string target, below(at, to, new_name));
    Doing one(at, from, old_name, exchange ? 2 : 1), other(at, to, new_name, exchange ? 2 : 1);
    BH_CHECK(at.folder.rename(source, target, flags));
    one.done();
    other.done();
    at.names.renamed(from, old_name, to, new_name, exchange);
    (void)::fuse_reply_err(request, 0);
    return {};
  });
}

// ---- attributes

void get_attributes(fuse_req_t request, fuse_ino_t id, fuse_file_info* info) {
  answer(request, [&](Served& at) -> Result<void> {
    if (id == Names::root || S_ISDIR(at.names.about(id).seen.mode)) (void)at.watch.look_at(id);
    const bool watched = at.names.parent_watched(id);
    const Shared held(at.names.still());
    Found found = find(at, id, info, false);
    if (info != nullptr) found.about.path.reset();
    BH_TRY(const struct stat st, at.folder.look(found.about));
    if (at.watch.answered(id, st)) at.watch.doubt_below(id);
    const struct stat answer = shown(at, id, st);
    (void)::fuse_reply_attr(request, &answer, belief(at, id, st, watched));
    return {};
  });
}

constexpr unsigned times_set =
    FUSE_SET_ATTR_ATIME | FUSE_SET_ATTR_MTIME | FUSE_SET_ATTR_ATIME_NOW | FUSE_SET_ATTR_MTIME_NOW;

timespec time_of(int set, int now, int to_set, const timespec& given) {
  if ((to_set & now) != 0) return {.tv_sec = 0, .tv_nsec = UTIME_NOW};
  return (to_set & set) != 0 ? given : timespec{.tv_sec = 0, .tv_nsec = UTIME_OMIT};
}

Result<void> set_size(Served& at, fuse_ino_t id, const Found& found, off_t size) {
  if (found.held) return at.folder.truncate(*found.held, size);
  std::unique_ptr<OpenFile> file;
  {
    const Shared held(at.names.still());
    BH_TRY(const std::string path, path_of(at, id));
    BH_TRY(file, at.folder.open(path, O_WRONLY));
  }
  return at.folder.truncate(*file, size);
}

void set_attributes(fuse_req_t request, fuse_ino_t id, struct stat* wanted, int to_set, fuse_file_info* info) {
  answer(request, [&](Served& at) -> Result<void> {
    if ((to_set & FUSE_SET_ATTR_SIZE) != 0) {
      const Found found = find(at, id, info, true);
      BH_CHECK(set_size(at, id, found, wanted->st_size));
    }
    const bool watched = at.names.parent_watched(id);
    const Shared held(at.names.still());
    const Found found = find(at, id, info, false);
    if ((to_set & FUSE_SET_ATTR_MODE) != 0) BH_CHECK(at.folder.set_mode(found.about, wanted->st_mode));
    if ((to_set & (FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID)) != 0) {
      const auto same = static_cast<uid_t>(-1);
      BH_CHECK(at.folder.set_owner(found.about, (to_set & FUSE_SET_ATTR_UID) != 0 ? wanted->st_uid : same,
                                   (to_set & FUSE_SET_ATTR_GID) != 0 ? wanted->st_gid : same));
    }
    if ((static_cast<unsigned>(to_set) & times_set) != 0) {
      const timespec times[2] = {time_of(FUSE_SET_ATTR_ATIME, FUSE_SET_ATTR_ATIME_NOW, to_set, wanted->st_atim),
                                 time_of(FUSE_SET_ATTR_MTIME, FUSE_SET_ATTR_MTIME_NOW, to_set, wanted->st_mtim)};
      BH_CHECK(at.folder.set_times(found.about, times));
    }
    About about = found.about;
    if (about.file != nullptr) about.path.reset();
    BH_TRY(const struct stat st, at.folder.look(about));
    if (at.watch.answered(id, st)) at.watch.doubt_below(id);
    const struct stat answer = shown(at, id, st);
    (void)::fuse_reply_attr(request, &answer, belief(at, id, st, watched));
    return {};
  });
}

template <class Work>
void attribute(fuse_req_t request, fuse_ino_t id, const Work& work) {
  answer(request, [&](Served& at) -> Result<void> {
    const Shared held(at.names.still());
    BH_TRY(const std::string path, path_of(at, id));
    return work(at, path);
  });
}

void set_attribute(fuse_req_t request, fuse_ino_t id, const char* name, const char* value, std::size_t size,
                   int flags) {
  attribute(request, id, [&](Served& at, const std::string& path) -> Result<void> {
    BH_CHECK(at.folder.set_attribute(path, name, std::string_view(value, size), flags));
    (void)::fuse_reply_err(request, 0);
    return {};
  });
}

void remove_attribute(fuse_req_t request, fuse_ino_t id, const char* name) {
  attribute(request, id, [&](Served& at, const std::string& path) -> Result<void> {
    BH_CHECK(at.folder.remove_attribute(path, name));
    (void)::fuse_reply_err(request, 0);
    return {};
  });
}

Result<void> reply_bytes(fuse_req_t request, const std::string& bytes, std::size_t size) {
  if (size == 0) {
    (void)::fuse_reply_xattr(request, bytes.size());
  } else if (bytes.size() > size) {
    return fail("it is longer", ERANGE);
  } else {
    (void)::fuse_reply_buf(request, bytes.data(), bytes.size());
  }
  return {};
}

void get_attribute(fuse_req_t request, fuse_ino_t id, const char* name, std::size_t size) {
  // Asked for before each write; there are none.
  if (!std::string_view(name).starts_with("user.")) {
    (void)::fuse_reply_err(request, EOPNOTSUPP);
    return;
  }
  attribute(request, id, [&](Served& at, const std::string& path) -> Result<void> {
    BH_TRY(const std::string value, at.folder.get_attribute(path, name));
    return reply_bytes(request, value, size);
  });
}

void list_attributes(fuse_req_t request, fuse_ino_t id, std::size_t size) {
  attribute(request, id, [&](Served& at, const std::string& path) -> Result<void> {
    BH_TRY(const std::vector<std::string> names, at.folder.list_attributes(path));
    std::string all;
    for (const std::string& name : names) all += name + '\0';
    return reply_bytes(request, all, size);
  });
}

// ---- open files

void keep_open(Served& at, fuse_ino_t id, std::unique_ptr<OpenFile> file, fuse_file_info* info) {
  auto held = std::make_unique<File>(std::move(file));
  at.names.opened(id, *held);
  info->fh = reinterpret_cast<std::uint64_t>(held.release());
}

void close_file(Served& at, fuse_ino_t id, fuse_file_info* info) {
  const std::unique_ptr<const File> held(&handle(info));
  at.names.closed(id, held->get());
}

Result<void> begin_with_nothing(Served& at, const fuse_file_info* info, OpenFile& file) {
  return (info->flags & O_TRUNC) != 0 ? at.folder.truncate(file, 0) : Result<void>();
}

// Of a file without a name, what is open of it, once more.
Result<std::unique_ptr<OpenFile>> open_again(Served& at, fuse_ino_t id, int flags) {
  const bool writing = (flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC) != 0;
  const File there = at.names.open_file(id, writing);
  if (!there) return fail("it has no name any more", ENOENT);
  auto file = std::make_unique<OpenFile>();
  BH_TRY(file->fd, sys::duplicate(there->fd.get()));
  file->readable = there->readable;
  file->writable = there->writable;
  file->free = there->free.load();
  file->path = there->path;
  return file;
}

void open_file(fuse_req_t request, fuse_ino_t id, fuse_file_info* info) {
  answer(request, [&](Served& at) -> Result<void> {
    std::unique_ptr<OpenFile> file;
    {
      const Shared held(at.names.still());
      if (const auto path = at.names.path(id)) {
        BH_TRY(file, at.folder.open(*path, info->flags));
      } else {
        BH_TRY(file, open_again(at, id, info->flags));
      }
    }
    BH_CHECK(begin_with_nothing(at, info, *file));
    BH_TRY(const struct stat st, sys::stat_fd(file->fd.get(), ""));
    // What was read of it before holds while its attributes do, which the kernel asks for then.
    info->keep_cache = 1;
    if ((info->flags & O_TRUNC) != 0) {
      at.names.asks_again(id);
    } else if (const Names::Told known = at.names.about(id); !known.loose && known.seen != Seen::of(st)) {
      info->keep_cache = 0;  // nobody told of it yet, or will: a memory map of the host's
      at.watch.doubt_at_once(id);
    }
    keep_open(at, id, std::move(file), info);
    if (::fuse_reply_open(request, info) == -ENOENT) close_file(at, id, info);
    return {};
  });
}

void create_file(fuse_req_t request, fuse_ino_t parent, const char* name, mode_t mode, fuse_file_info* info) {
  answer(request, [&](Served& at) -> Result<void> {
    const bool watched = at.watch.look_at(parent);
    std::unique_ptr<OpenFile> file;
    BH_CHECK(still(at, name, [&]() -> Result<void> {
      BH_TRY(const std::string path, below(at, parent, name));
      Doing doing(at, parent, name);
      BH_TRY(file, at.folder.create(path, info->flags, mode));
      doing.done();
      return {};
    }));
    BH_CHECK(begin_with_nothing(at, info, *file));
    BH_TRY(const struct stat st, sys::stat_fd(file->fd.get(), name));
    at.names.asks_again(parent);
    const fuse_entry_param entry = told(at, parent, name, st, watched);
    keep_open(at, entry.ino, std::move(file), info);
    if (::fuse_reply_create(request, &entry, info) == -ENOENT) {
      close_file(at, entry.ino, info);
      at.names.forget(entry.ino, 1);
    }
    return {};
  });
}

void read_file(fuse_req_t request, fuse_ino_t, std::size_t size, off_t offset, fuse_file_info* info) {
  answer(request, [&](Served&) -> Result<void> {
    const auto buffer = std::make_unique_for_overwrite<char[]>(size);
    const ssize_t n = ::pread(handle(info)->fd.get(), buffer.get(), size, offset);
    if (n < 0) return fail("", errno);
    (void)::fuse_reply_buf(request, buffer.get(), static_cast<std::size_t>(n));
    return {};
  });
}

void write_file(fuse_req_t request, fuse_ino_t id, const char* bytes, std::size_t size, off_t offset,
                fuse_file_info* info) {
  answer(request, [&](Served& at) -> Result<void> {
    at.names.asks_again(id);
    BH_TRY(const std::size_t written, at.folder.write(*handle(info), bytes, size, offset));
    (void)::fuse_reply_write(request, written);
    return {};
  });
}

void allocate(fuse_req_t request, fuse_ino_t id, int mode, off_t offset, off_t length, fuse_file_info* info) {
  answer(request, [&](Served& at) -> Result<void> {
    at.names.asks_again(id);
    BH_CHECK(at.folder.allocate(*handle(info), mode, offset, length));
    (void)::fuse_reply_err(request, 0);
    return {};
  });
}

void sync_file(fuse_req_t request, fuse_ino_t, int data_only, fuse_file_info* info) {
  const int fd = handle(info)->fd.get();
  const int done = data_only != 0 ? ::fdatasync(fd) : ::fsync(fd);
  (void)::fuse_reply_err(request, done == 0 ? 0 : errno);
}

void release_file(fuse_req_t request, fuse_ino_t id, fuse_file_info* info) {
  close_file(served(request), id, info);
  (void)::fuse_reply_err(request, 0);
}

// ---- listings

// The kernel then lists folders without opening them, and remembers what it read as long as it believes the folder's
// own attributes. Linux 5.1.
void open_folder(fuse_req_t request, fuse_ino_t, fuse_file_info*) {
  (void)::fuse_reply_err(request, ENOSYS);
}

Result<UniqueFd> folder_at(Served& at, fuse_ino_t id) {
  const Shared held(at.names.still());
  BH_TRY(const std::string path, path_of(at, id));
  return open_beneath(at.folder.tree().root(), path, O_RDONLY | O_DIRECTORY);
}

// Where the last answer ended, or else a new one from there on.
Result<Names::Listing> listing(Served& at, fuse_ino_t id, off_t offset) {
  Names::Listing left = at.names.take_listing(id);
  if (!left || offset == 0) {
    BH_TRY(UniqueFd folder, folder_at(at, id));
    left.reset(::fdopendir(folder.get()));
    if (!left) return fail("", errno);
    (void)folder.release();
  }
  if (offset != 0) ::seekdir(left.get(), offset);
  return left;
}

Result<void> list(fuse_req_t request, Served& at, fuse_ino_t id, std::size_t size, off_t offset, bool plus) {
  const bool watched = at.watch.look_at(id);
  BH_TRY(Names::Listing stream, listing(at, id, offset));
  const int folder = ::dirfd(stream.get());
  const auto buffer = std::make_unique_for_overwrite<char[]>(size);
  std::size_t used = 0;
  std::vector<Names::Id> counted;
  errno = 0;
  const dirent* one = nullptr;
  while ((one = ::readdir(stream.get())) != nullptr) {
    const std::string_view name = one->d_name;
    fuse_entry_param entry{};
    entry.attr.st_ino = one->d_ino;
    entry.attr.st_mode = DTTOIF(one->d_type);
    const std::size_t needs = plus ? ::fuse_add_direntry_plus(request, nullptr, 0, one->d_name, nullptr, 0)
                                   : ::fuse_add_direntry(request, nullptr, 0, one->d_name, nullptr, 0);
    if (used + needs > size) break;
    struct stat st{};
    const std::uint64_t unknown = at.names.unknown();
    if (plus && name != "." && name != ".." && ::fstatat(folder, one->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
      entry = unless_changed(at, unknown, told(at, id, one->d_name, st, watched));
      counted.push_back(entry.ino);
    }
    used += plus ? ::fuse_add_direntry_plus(request, buffer.get() + used, size - used, one->d_name, &entry, one->d_off)
                 : ::fuse_add_direntry(request, buffer.get() + used, size - used, one->d_name, &entry.attr, one->d_off);
    errno = 0;
  }
  if (one == nullptr && errno != 0 && used == 0) return fail("", errno);
  if (one != nullptr) at.names.leave_listing(id, std::move(stream));
  if (::fuse_reply_buf(request, buffer.get(), used) == -ENOENT) {
    for (const Names::Id counted_id : counted) at.names.forget(counted_id, 1);
  }
  return {};
}

void read_folder(fuse_req_t request, fuse_ino_t id, std::size_t size, off_t offset, fuse_file_info*) {
  answer(request, [&](Served& at) { return list(request, at, id, size, offset, false); });
}

void read_folder_plus(fuse_req_t request, fuse_ino_t id, std::size_t size, off_t offset, fuse_file_info*) {
  answer(request, [&](Served& at) { return list(request, at, id, size, offset, true); });
}

void sync_folder(fuse_req_t request, fuse_ino_t id, int, fuse_file_info*) {
  answer(request, [&](Served& at) -> Result<void> {
    BH_TRY(const UniqueFd folder, folder_at(at, id));
    if (::fsync(folder.get()) != 0) return fail("", errno);
    (void)::fuse_reply_err(request, 0);
    return {};
  });
}

void file_system(fuse_req_t request, fuse_ino_t) {
  answer(request, [&](Served& at) -> Result<void> {
    struct statvfs about{};
    if (::fstatvfs(at.folder.tree().root(), &about) != 0) return fail("", errno);
    (void)::fuse_reply_statfs(request, &about);
    return {};
  });
}

void begin_mount(void*, fuse_conn_info* connection) {
  // splice(2) and its pipes: calls that the filter need not allow. Who writes back later would tell us of nothing.
  connection->want &= ~static_cast<unsigned>(FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE |
                                             FUSE_CAP_WRITEBACK_CACHE);
  // A listing tells of each name in it, not only of those that fit into its first answer.
  connection->want &= ~static_cast<unsigned>(FUSE_CAP_READDIRPLUS_AUTO);
  // A link's target never changes but by another link, which is another number.
  connection->want |= connection->capable & static_cast<unsigned>(FUSE_CAP_CACHE_SYMLINKS);
}

fuse_lowlevel_ops operations() {
  fuse_lowlevel_ops all{};
  all.init = begin_mount;
  all.lookup = look_up;
  all.forget = forget;
  all.forget_multi = forget_many;
  all.getattr = get_attributes;
  all.setattr = set_attributes;
  all.readlink = read_link;
  all.mknod = make_node;
  all.mkdir = make_folder;
  all.symlink = make_link;
  all.unlink = remove_file;
  all.rmdir = remove_folder;
  all.rename = rename_entry;
  all.link = link_entry;
  all.open = open_file;
  all.create = create_file;
  all.read = read_file;
  all.write = write_file;
  all.fallocate = allocate;
  all.fsync = sync_file;
  all.release = release_file;
  all.opendir = open_folder;
  all.readdir = read_folder;
  all.readdirplus = read_folder_plus;
  all.fsyncdir = sync_folder;
  all.statfs = file_system;
  all.setxattr = set_attribute;
  all.getxattr = get_attribute;
  all.listxattr = list_attributes;
  all.removexattr = remove_attribute;
  return all;
}

}  // namespace

Result<Connection> Connection::begin(int device, Served& at) {
  const fuse_lowlevel_ops all = operations();
  std::string name = "bulkhead-keep";
  char* words[] = {name.data(), nullptr};
  fuse_args arguments = FUSE_ARGS_INIT(1, words);
  ::fuse_session* made = ::fuse_session_new(&arguments, &all, sizeof all, &at);
  ::fuse_opt_free_args(&arguments);
  if (made == nullptr) return fail("libfuse can't begin");
  Connection connection(made);
  if (::fuse_session_mount(made, ("/dev/fd/" + std::to_string(device)).c_str()) != 0) {
    return fail("libfuse refuses /dev/fuse");
  }
  return connection;
}

Connection::~Connection() {
  if (session_ != nullptr) ::fuse_session_destroy(session_);
}

int Connection::serve() {
  fuse_loop_config* config = ::fuse_loop_cfg_create();
  ::fuse_loop_cfg_set_max_threads(config, threads);
  const int ended = ::fuse_session_loop_mt(session_, config);
  ::fuse_loop_cfg_destroy(config);
  return ended;
}

Doubts Connection::doubts() const {
  return {.name =
              [session = session_](Names::Id parent, const std::string& name) {
                // A mount of the session's within stays where it is, and so does whoever has its folder open.
                // Linux 6.2.
                if (::fuse_lowlevel_notify_expire_entry(session, parent, name.data(), name.size(),
                                                        FUSE_LL_EXPIRE_ONLY) == -ENOSYS) {
                  (void)::fuse_lowlevel_notify_inval_entry(session, parent, name.data(), name.size());
                }
              },
          .file =
              [session = session_](Names::Id id, bool content) {
                return ::fuse_lowlevel_notify_inval_inode(session, id, content ? 0 : -1, 0) == 0;
              }};
}

}  // namespace bulkhead::keep

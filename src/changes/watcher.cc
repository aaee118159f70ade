#include "changes/watcher.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <memory>
#include <utility>

#include "base/sys.h"

namespace bulkhead::changes {
namespace {

constexpr std::uint32_t in_folder =
    IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_MODIFY | IN_ATTRIB | IN_EXCL_UNLINK;
constexpr std::uint32_t of_file = IN_MODIFY | IN_ATTRIB;
constexpr std::size_t most_moves = 10'000;  // halves
constexpr int reads = 64;                   // before somebody else has a turn
constexpr int most_attempts = 5;

std::string below(const std::string& path, const std::string& name) {
  return path.empty() ? name : path + "/" + name;
}

}  // namespace

Watcher::Watcher(const std::vector<Mount>& mounts, std::size_t at_most, Gather& gather,
                 std::function<void(std::string_view)> unseen)
    : at_most_(at_most), gather_(gather), tell_(std::move(unseen)), events_(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK)) {
  for (std::size_t i = 0; i < mounts.size(); ++i) {
    auto folder = sys::open_at(mounts[i].top.get(), ".", O_RDONLY | O_DIRECTORY);
    tops_.push_back(folder ? std::move(*folder) : UniqueFd());
    if (!events_) {
      this->unseen(i, no_inotify);
      continue;
    }
    const std::string path = "/proc/self/fd/" + std::to_string(mounts[i].top.get());
    const bool is_folder = folder || folder.error().code != ENOTDIR;
    const int watch = ::inotify_add_watch(events_.get(), path.c_str(), is_folder ? in_folder : of_file);
    if (watch < 0 || (is_folder && !tops_.back())) {
      this->unseen(i, errno == ENOSPC ? no_watches : no_access);
    } else if (tree_.add_top(watch, i) && is_folder) {
      looks_.push_back({.watch = watch});
    }
  }
}

std::vector<int> Watcher::folders() const {
  std::vector<int> out;
  for (const UniqueFd& top : tops_) {
    if (top) out.push_back(top.get());
  }
  return out;
}

void Watcher::unseen(std::size_t mount, std::string_view reason, std::uint64_t count) {
  gather_.unseen(mount, reason, count, Clock::now());
  if (std::ranges::find(told_, reason) != told_.end()) return;
  told_.push_back(reason);
  tell_(reason);
}

// Name by name: nothing that was a folder when it was judged may be a link when it is opened.
UniqueFd Watcher::open(const Place& place) {
  UniqueFd at;
  const int top = tops_.at(place.mount).get();
  for (std::size_t from = 0; from < place.path.size();) {
    const std::size_t to = std::min(place.path.find('/', from), place.path.size());
    const std::string name = place.path.substr(from, to - from);
    const int folder = at ? at.get() : top;
    at.reset(::openat(folder, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!at) return at;
    from = to + 1;
  }
  if (!at) at.reset(::openat(top, ".", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  return at;
}

void Watcher::look() {
  if (looks_.empty()) return;
  const Look look = std::move(looks_.front());
  looks_.pop_front();
  UniqueFd folder;
  const int watch = enter(look, folder);
  if (watch >= 0 && folder) list(watch, std::move(folder), look.why);
}

int Watcher::enter(const Look& look, UniqueFd& folder) {
  const auto above = tree_.place(look.watch >= 0 ? look.watch : look.parent);
  if (!above) return -1;  // it is gone
  if (look.watch >= 0) {
    folder = open(*above);
    return look.watch;
  }
  folder = open({above->mount, below(above->path, look.name)});
  if (!folder) {
    if (errno == EACCES || errno == EPERM) unseen(above->mount, no_access);
    if (errno == ENOENT && look.attempts < most_attempts) {
      late_.push_back(look);
      ++late_.back().attempts;
    }
    return -1;
  }
  if (tree_.size() >= at_most_) {
    unseen(above->mount, no_watches);
    return -1;
  }
  const int watch = ::fchdir(folder.get()) != 0 ? -1 : ::inotify_add_watch(events_.get(), ".", in_folder | IN_ONLYDIR);
  if (watch < 0) {
    unseen(above->mount, errno == EACCES || errno == EPERM ? no_access : no_watches);
    return -1;
  }
  if (!tree_.knows(watch)) {
    tree_.add(watch, look.parent, look.name);
    return watch;
  }
  // Another mount's top, or what was moved there and has not been heard of yet.
  if (tree_.is_top(watch)) return -1;
  if (look.why != Why::first) tree_.move(watch, look.parent, look.name);
  return look.why == Why::again ? watch : -1;
}

void Watcher::list(int watch, UniqueFd folder, Why why) {
  const std::unique_ptr<DIR, int (*)(DIR*)> stream(::fdopendir(folder.get()), ::closedir);
  if (!stream) return;
  (void)folder.release();
  const Place place = *tree_.place(watch);
  std::uint64_t left_out = 0;
  while (const dirent* entry = ::readdir(stream.get())) {
    const std::string name = static_cast<const char*>(entry->d_name);
    if (name == "." || name == "..") continue;
    const bool is_folder = entry->d_type == DT_DIR;
    // Made before the folder was watched.
    if (why == Why::made) gather_.add({place.mount, below(place.path, name)}, create, is_folder, Clock::now());
    if (!is_folder && entry->d_type != DT_UNKNOWN) continue;
    if (tree_.size() + looks_.size() >= at_most_) {
      ++left_out;
    } else {
      looks_.push_back({.parent = watch, .name = name, .why = why});
    }
  }
  if (left_out > 0) unseen(place.mount, no_watches, left_out);
}

void Watcher::hear() {
  alignas(inotify_event) std::array<char, 65536> buffer;
  for (int i = 0; i < reads; ++i) {
    const ssize_t n = ::read(events_.get(), buffer.data(), buffer.size());
    if (n <= 0) break;
    for (ssize_t at = 0; at < n;) {
      const auto* one = reinterpret_cast<const inotify_event*>(buffer.data() + at);
      event(*one, one->len == 0 ? std::string() : std::string(static_cast<const char*>(one->name)));
      at += static_cast<ssize_t>(sizeof(inotify_event)) + one->len;
    }
  }
  for (Look& look : std::exchange(late_, {})) looks_.push_back(std::move(look));
}

void Watcher::event(const inotify_event& one, const std::string& name) {
  if ((one.mask & IN_Q_OVERFLOW) != 0) return everything_again();
  if ((one.mask & IN_IGNORED) != 0) return leave(one.wd);
  const auto place = tree_.place(one.wd);
  if (!place) return;
  const Clock::time_point now = Clock::now();
  const bool folder = (one.mask & IN_ISDIR) != 0;
  if (name.empty()) {
    // Of any other folder the one above tells.
    if (!tree_.is_top(one.wd)) return;
    if ((one.mask & IN_MODIFY) != 0) gather_.add(*place, write, folder, now);
    if ((one.mask & IN_ATTRIB) != 0) gather_.add(*place, attributes, folder, now);
    return;
  }
  const Place what{place->mount, below(place->path, name)};
  if ((one.mask & IN_CREATE) != 0) {
    gather_.add(what, create, folder, now);
    if (folder) look_into(one.wd, name);
  }
  if ((one.mask & IN_MODIFY) != 0) gather_.add(what, write, folder, now);
  if ((one.mask & IN_ATTRIB) != 0) gather_.add(what, attributes, folder, now);
  if ((one.mask & IN_DELETE) != 0) gather_.add(what, removed, folder, now);
  if ((one.mask & IN_MOVED_FROM) != 0) {
    if (moves_.size() == most_moves) settle();
    moves_.insert_or_assign(one.cookie, Moved{one.wd, name, folder});
    gather_.expect(now);
  }
  if ((one.mask & IN_MOVED_TO) != 0) moved_to(one, what, name, folder);
}

void Watcher::moved_to(const inotify_event& one, const Place& place, const std::string& name, bool folder) {
  const Clock::time_point now = Clock::now();
  const auto other = moves_.extract(one.cookie);
  if (!other) {
    gather_.add(place, move_in, folder, now);
    if (folder) look_into(one.wd, name);
    return;
  }
  const Moved& from = other.mapped();
  if (const auto above = tree_.place(from.parent)) {
    gather_.add_move({above->mount, below(above->path, from.name)}, place, folder, now);
  }
  if (!folder) return;
  if (const auto watch = tree_.child(from.parent, from.name)) {
    tree_.move(*watch, one.wd, name);
  } else {
    look_into(one.wd, name);
  }
}

// A folder that was not there before, or not watched yet: nothing was said of what is in it.
void Watcher::look_into(int parent, const std::string& name) {
  if (tree_.size() + looks_.size() < at_most_) {
    looks_.push_back({.parent = parent, .name = name, .why = Why::made});
  } else if (const auto above = tree_.place(parent)) {
    unseen(above->mount, no_watches);
  }
}

void Watcher::settle() {
  const Clock::time_point now = Clock::now();
  for (const auto& [cookie, from] : std::exchange(moves_, {})) {
    const auto above = tree_.place(from.parent);
    if (!above) continue;
    gather_.add({above->mount, below(above->path, from.name)}, move_out, from.folder, now);
    if (!from.folder) continue;
    if (const auto watch = tree_.child(from.parent, from.name)) {
      for (const int gone : tree_.remove(*watch)) (void)::inotify_rm_watch(events_.get(), gone);
    }
  }
}

// The kernel's watch is gone with its folder. What is below it in the tree has gone before it, or is told of next.
void Watcher::leave(int watch) {
  for (const int gone : tree_.remove(watch)) {
    if (gone != watch) (void)::inotify_rm_watch(events_.get(), gone);
  }
}

// Some events were lost, and among them perhaps a folder's.
void Watcher::everything_again() {
  moves_.clear();
  looks_.clear();
  late_.clear();
  for (const int top : tree_.tops()) {
    const std::size_t mount = tree_.place(top)->mount;
    unseen(mount, overflow, 0);
    if (tops_[mount]) looks_.push_back({.watch = top, .why = Why::again});
  }
}

}  // namespace bulkhead::changes

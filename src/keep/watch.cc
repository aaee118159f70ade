#include "keep/watch.h"

#include <errno.h>
#include <linux/magic.h>
#include <poll.h>
#include <sys/inotify.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "base/sys.h"

namespace bulkhead::keep {
namespace {

constexpr std::uint32_t names_change = IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO;
constexpr std::uint32_t files_change = IN_MODIFY | IN_ATTRIB;
// An answer of ours may be on its way into the kernel while the doubt about it is heard, which then changes nothing.
constexpr auto said_again = std::chrono::milliseconds(300);

// Others than this machine's kernel change files elsewhere, and nobody is told.
bool local(int folder) {
  constexpr std::array<unsigned long, 10> known{0xEF53,       // ext4
                                                0x58465342,   // xfs
                                                0x9123683E,   // btrfs
                                                0xF2F52010,   // f2fs
                                                0x2FC12FC1,   // zfs
                                                0xCA451A4E,   // bcachefs
                                                0x01021994,   // tmpfs
                                                0x858458F6,   // ramfs
                                                0x3153464A,   // jfs
                                                0x794C7630};  // overlayfs
  struct statfs about{};
  return ::fstatfs(folder, &about) == 0 &&
         std::ranges::find(known, static_cast<unsigned long>(about.f_type)) != known.end();
}

}  // namespace

Watch::Watch(LiveFolder& folder, Names& names, std::function<void()> exhausted, Add add)
    : folder_(folder),
      names_(names),
      exhausted_(std::move(exhausted)),
      add_watch_(add ? std::move(add)
                     : [](int events, std::uint32_t what) { return ::inotify_add_watch(events, ".", what); }) {
  if (auto pipe = sys::pipe()) {
    woken_ = std::move(*pipe);
    (void)sys::set_nonblocking(woken_.first.get(), true);
    (void)sys::set_nonblocking(woken_.second.get(), true);
  }
  if (local(folder_.tree().root())) events_.reset(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
}

bool Watch::look_at(Names::Id id) {
  if (!events_) return false;
  if (names_.watched(id)) return true;
  const auto path = names_.path(id);
  if (!path) return false;
  const auto folder = open_beneath(folder_.tree().root(), *path, O_PATH | O_DIRECTORY);
  if (!folder) return false;
  const std::scoped_lock held(mutex_);
  if (::fchdir(folder->get()) != 0) return false;
  const int watch =
      add_watch_(events_.get(), names_change | files_change | IN_ONLYDIR | IN_DONT_FOLLOW | IN_EXCL_UNLINK);
  if (watch >= 0) {
    names_.set_watch(id, watch);
    return true;
  }
  if (errno == ENOSPC && !said_.exchange(true) && exhausted_) exhausted_();
  return false;
}

void Watch::doubt(Names::Id id) {
  {
    const std::scoped_lock held(own_mutex_);
    own_.insert({id, "", false});
  }
  (void)!::write(woken_.second.get(), "", 1);
}

void Watch::doubt_at_once(Names::Id id) {
  const std::scoped_lock held(telling_);
  if (doubts_.file(id, false)) names_.asks_again(id);
}

bool Watch::answered(Names::Id id, const struct stat& st) {
  const std::scoped_lock held(telling_);
  return names_.told(id, st);
}

// What it holds of a file's content the kernel drops by itself when it asks for attributes and finds others.
void Watch::say(const Doubt& doubt) {
  if (doubt.asked_anyway) return;
  if (!doubt.name.empty()) return doubts_.name(doubt.id, doubt.name);
  if (S_ISDIR(names_.about(doubt.id).seen.mode)) {
    (void)doubts_.file(doubt.id, doubt.content);
    return;
  }
  const std::scoped_lock held(telling_);
  if (names_.about(doubt.id).loose) return;
  if (doubts_.file(doubt.id, false)) names_.asks_again(doubt.id);
}

// Whoever has mapped a file asks for nothing.
void Watch::say_again(const Doubt& doubt) {
  if (!doubt.name.empty()) return doubts_.name(doubt.id, doubt.name);
  const Names::Told told = names_.about(doubt.id);
  if (S_ISREG(told.seen.mode)) {
    const bool asked_since = !told.loose;
    if (asked_since ? !differs(doubt.id, told.seen, false) : doubt.asked_anyway) return;
  }
  (void)doubts_.file(doubt.id, doubt.content);
}

void Watch::doubt_below(Names::Id folder) {
  const std::vector<Names::Entry> entries = names_.below(folder);
  {
    const std::scoped_lock held(own_mutex_);
    add(entries, own_);
  }
  (void)!::write(woken_.second.get(), "", 1);
}

void Watch::add(const std::vector<Names::Entry>& entries, std::set<Doubt>& out) {
  for (const Names::Entry& one : entries) {
    if (one.parent != 0 && !one.name.empty()) out.insert({one.parent, one.name, false});
    if (one.id != 0) out.insert({one.id, "", true});
  }
}

void Watch::everything(std::set<Doubt>& out) {
  add(names_.all(), out);
  folder_.protection().look_again();
}

bool Watch::differs(Names::Id id, const Seen& seen, bool only_file) {
  const auto path = names_.path(id);
  if (!path) return false;  // it has no name here any more, and nobody asks by it
  const auto now = folder_.look(About{.path = path});
  if (!now) return true;
  const Seen there = Seen::of(*now);
  return only_file ? !there.same_file(seen) || (there.mode & S_IFMT) != (seen.mode & S_IFMT) : there != seen;
}

void Watch::event(int watch, std::uint32_t what, std::string_view name, std::set<Doubt>& out) {
  if ((what & IN_Q_OVERFLOW) != 0) return everything(out);
  if ((what & IN_IGNORED) != 0) return names_.unwatched(watch);
  const auto folder = names_.by_watch(watch);
  if (!folder) return;
  if (name.empty()) {
    const Names::Told told = names_.about(*folder);
    if (!told.loose && differs(*folder, told.seen, false)) out.insert({*folder, ""});
    return;
  }
  const bool name_changed = (what & names_change) != 0;
  const Names::Told told = names_.about(*folder, name, name_changed);
  if (!name_changed) {
    if (told.child && (told.loose || differs(*told.child, told.seen, false))) {
      out.insert({*told.child, "", (what & IN_MODIFY) != 0, told.loose});
    }
    return;
  }
  if (told.own) return;
  out.insert({*folder, "", true});  // its listing
  if (told.absent || (told.child && differs(*told.child, told.seen, true))) {
    out.insert({*folder, std::string(name), false});
    // Whoever is in that folder asks for names in it without asking for its own.
    if (told.child && S_ISDIR(told.seen.mode)) {
      names_.lose_watch(*told.child);
      add(names_.below(*told.child), out);
    }
  }
  if ((what & (IN_CREATE | IN_MOVED_TO)) != 0) {
    if (const auto path = names_.path(*folder)) {
      folder_.protection().host_made(folder_.tree(), (path->empty() ? "" : *path + "/") + std::string(name));
    }
  }
}

void Watch::hear() {
  std::set<Doubt> out;
  alignas(inotify_event) std::array<char, 65536> buffer;
  for (;;) {
    const ssize_t n = ::read(events_.get(), buffer.data(), buffer.size());
    if (n <= 0) break;
    for (ssize_t at = 0; at < n;) {
      const auto* one = reinterpret_cast<const inotify_event*>(buffer.data() + at);
      event(one->wd, one->mask, one->len == 0 ? std::string_view() : std::string_view(one->name), out);
      at += static_cast<ssize_t>(sizeof(inotify_event)) + one->len;
    }
    if (static_cast<std::size_t>(n) < buffer.size() / 2) break;
  }
  {
    const std::scoped_lock held(own_mutex_);
    out.merge(own_);
    own_.clear();
  }
  {
    const std::scoped_lock held(mutex_);  // none of them is taken up again meanwhile
    for (const int watch : names_.left_watches()) (void)::inotify_rm_watch(events_.get(), watch);
  }
  const Clock::time_point later = Clock::now() + said_again;
  for (const Doubt& one : out) {
    say(one);
    if (again_.insert_or_assign(one, later).second) again_at_.emplace(later, one);
  }
}

void Watch::stop() {
  stopped_ = true;
  (void)!::write(woken_.second.get(), "", 1);
}

void Watch::run() {
  while (!stopped_) {
    int timeout = -1;
    if (!again_at_.empty()) {
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(again_at_.begin()->first - Clock::now()).count();
      timeout = static_cast<int>(std::max<std::int64_t>(left, 0));
    }
    pollfd fds[] = {{events_.get(), POLLIN, 0}, {woken_.first.get(), POLLIN, 0}};
    (void)::poll(fds, 2, timeout);
    char bytes[64];
    while (::read(woken_.first.get(), bytes, sizeof bytes) > 0) {
    }
    hear();
    while (!again_at_.empty() && again_at_.begin()->first <= Clock::now()) {
      const Doubt one = std::move(again_at_.begin()->second);
      again_at_.erase(again_at_.begin());
      const auto last = again_.find(one);
      if (last->second > Clock::now()) {  // it was said once more since
        again_at_.emplace(last->second, one);
        continue;
      }
      again_.erase(last);
      say_again(one);
    }
  }
}

}  // namespace bulkhead::keep

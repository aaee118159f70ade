// Tells the kernel when the host changed something of what it believes (names.h), by inotify(7): one watch for each
// folder that was looked into, of this process's user (fs.inotify.max_user_watches). Where a folder can't have one,
// what the kernel is told of it is believed for a second.
//
// Also not seen by inotify, and so believed no longer: files with several names, and file systems that others change
// (NFS and its kin). Seen when it is opened or after `long_belief` at the latest: what the host writes by a memory map.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "base/sys.h"
#include "keep/folder.h"
#include "keep/names.h"

namespace bulkhead::keep {

constexpr double short_belief = 1.0, long_belief = 60.0;  // seconds

// How the kernel is told. But for a file's attributes alone, each may block while the workload's own operation there is
// under way.
struct Doubts {
  std::function<void(Names::Id parent, const std::string& name)> name;  // may mean something else by now
  // Attributes, and what was read of it or listed in it. False: the kernel does not know it (yet).
  std::function<bool(Names::Id id, bool content)> file;
};

class Watch {
 public:
  // inotify_add_watch(2) on the working directory.
  using Add = std::function<int(int events, std::uint32_t what)>;
  // `exhausted` hears once when a folder can't be watched for want of watches. Never fails: without inotify, nothing is
  // believed for long. `add`: the kernel's own, but for a test of what no ordinary user can bring about.
  Watch(LiveFolder& folder, Names& names, std::function<void()> exhausted, Add add = {});

  // Watches that folder from now on, if that is possible; to be called before what is in it is looked at.
  bool look_at(Names::Id folder);
  // It has changed by the workload's own doing in a way the kernel does not know of.
  void doubt(Names::Id id);
  // It was seen to have changed, and no event told of it yet: when this returns, the kernel knows.
  void doubt_at_once(Names::Id id);
  // Names::told(), so that the kernel is not told to ask for what it is just being answered: it would throw the answer
  // away (fuse_change_attributes() in its fs/fuse/inode.c) and go on with the size it knew before.
  bool answered(Names::Id id, const struct stat& st);
  // That folder is another one than before.
  void doubt_below(Names::Id folder);

  // To be called first of all.
  void begin(Doubts doubts) { doubts_ = std::move(doubts); }
  // Until stop().
  void run();
  void stop();

 private:
  using Clock = std::chrono::steady_clock;
  struct Doubt {
    Names::Id id = 0;
    std::string name = {};  // of that folder; empty: the file itself
    bool content = false;
    bool asked_anyway = false;  // the kernel will ask, or is asking, so it is not told at once
    auto operator<=>(const Doubt&) const = default;
  };

  void hear();
  void event(int watch, std::uint32_t what, std::string_view name, std::set<Doubt>& out);
  void everything(std::set<Doubt>& out);
  static void add(const std::vector<Names::Entry>& entries, std::set<Doubt>& out);
  bool differs(Names::Id id, const Seen& seen, bool only_file);
  void say(const Doubt& doubt);
  void say_again(const Doubt& doubt);

  LiveFolder& folder_;
  Names& names_;
  std::function<void()> exhausted_;
  const Add add_watch_;
  std::atomic<bool> said_ = false, stopped_ = false;
  std::mutex mutex_;  // of watches, and of the working directory: how inotify_add_watch(2) is told of a descriptor
  UniqueFd events_;
  sys::Pair woken_;
  std::mutex own_mutex_;
  std::set<Doubt> own_;
  // What was said, or heard of what the kernel asks for anyway: when it is said again, each once.
  std::map<Doubt, Clock::time_point> again_;
  std::multimap<Clock::time_point, Doubt> again_at_;
  Doubts doubts_;
  std::mutex telling_;  // of what is told of files' attributes; nothing blocks under it
};

}  // namespace bulkhead::keep

// inotify's events -> changes; and the folders that have to be watched for that, as they come and go. What a session
// does in there can be hostile: names of any bytes, folders moved while they are looked into, more of them than there
// are watches. What is not seen because of it is counted (Gather::unseen).
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "changes/changes.h"
#include "changes/gather.h"
#include "changes/tree.h"

struct inotify_event;

namespace bulkhead::changes {

class Watcher {
 public:
  using Clock = Gather::Clock;
  // Why something is not seen, in file.unseen and to the supervisor.
  static constexpr std::string_view no_watches = "watches", no_access = "access", overflow = "overflow",
                                    no_inotify = "inotify";
  // Before the caller is confined: the tops need /proc. `at_most`: watches. `unseen` hears each reason once.
  Watcher(const std::vector<Mount>& mounts, std::size_t at_most, Gather& gather,
          std::function<void(std::string_view reason)> unseen);

  // The tops that are folders, to be listed.
  std::vector<int> folders() const;
  // -1: there is no inotify for it.
  int events() const { return events_.get(); }
  // Folders are left to look into.
  bool busy() const { return !looks_.empty() || !late_.empty(); }
  // Looks into one of them.
  void look();
  // What has happened. Does not block.
  void hear();
  // A move of which the other half has not come by now went elsewhere.
  void settle();

 private:
  enum class Why { first, made, again };
  struct Look {
    int watch = -1;         // of a folder that is watched
    int parent = -1;        // otherwise: it is that one's
    std::string name = {};  // …
    Why why = Why::first;
    int attempts = 0;
  };
  struct Moved {
    int parent;
    std::string name;
    bool folder;
  };

  void event(const inotify_event& one, const std::string& name);
  void moved_to(const inotify_event& one, const Place& place, const std::string& name, bool folder);
  void look_into(int parent, const std::string& name);
  UniqueFd open(const Place& place);
  // The watch of what `look` names, and the folder itself; -1 where there is nothing to look into.
  int enter(const Look& look, UniqueFd& folder);
  void list(int watch, UniqueFd folder, Why why);
  void leave(int watch);
  void unseen(std::size_t mount, std::string_view reason, std::uint64_t count = 1);
  void everything_again();

  std::vector<UniqueFd> tops_;  // by mount; unset: it is a file
  std::size_t at_most_;
  Gather& gather_;
  std::function<void(std::string_view)> tell_;
  std::vector<std::string_view> told_;
  UniqueFd events_;
  Tree tree_;
  std::deque<Look> looks_;
  std::vector<Look> late_;                // not found: it was moved perhaps, which is heard of next
  std::map<std::uint32_t, Moved> moves_;  // by cookie: half of them
};

}  // namespace bulkhead::changes

// What the kernel was told of the folder: a number for each name that it knows (a node), which path that is now, and
// what it may believe and for how long. Nodes are names, not files: a number leads to a path, and what is done there is
// done to what stands there by then. A file with two names is two nodes; one that was replaced gets another.
//
// The kernel believes what it was told for long where a watch (watch.h) will say that the host changed something, and
// for a second elsewhere.
#pragma once

#include <dirent.h>
#include <sys/stat.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace bulkhead::keep {

struct OpenFile;

// What of a file the kernel was told.
struct Seen {
  dev_t device = 0;
  ino_t inode = 0;
  mode_t mode = 0;
  nlink_t links = 0;
  off_t size = 0;
  std::int64_t modified = 0, changed = 0;  // nanoseconds
  bool operator==(const Seen&) const = default;

  static Seen of(const struct stat& st);
  bool same_file(const Seen& other) const { return device == other.device && inode == other.inode; }
};

class Names {
 public:
  using Id = std::uint64_t;
  static constexpr Id root = 1;  // FUSE_ROOT_ID

  Names();

  // Who does something at a path holds this shared from before the path is asked for until it is done; who gives a
  // folder another path, or would make one a repository, holds it alone.
  std::shared_mutex& still() { return still_; }

  // Relative to the folder, "" for it. Nothing: it has no name any more.
  std::optional<std::string> path(Id id);
  // `name` in `parent` was found, and the kernel is told of it (once more): its number. `replaced`: it is another
  // folder than it was told of before, so what it believes of what is below has to be doubted.
  Id found(Id parent, std::string_view name, const struct stat& st, bool& replaced);
  // It is told what is at `id` now. True: it is another folder, as above.
  bool told(Id id, const struct stat& st);
  // The kernel will ask for its attributes before it uses them: it was told to, or the workload wrote to it.
  void asks_again(Id id);
  // The kernel forgot that it was told so often.
  void forget(Id id, std::uint64_t times);

  // Done by the workload; the kernel knows, and asks again for what that changed.
  void removed(Id parent, std::string_view name);
  void renamed(Id from, std::string_view old_name, Id to, std::string_view new_name, bool exchanged);

  // Files that are open, for when they have no name any more.
  void opened(Id id, const std::shared_ptr<OpenFile>& file);
  void closed(Id id, const OpenFile* file);
  // One of them; with `writable` one that can be written. Null: there is none.
  std::shared_ptr<OpenFile> open_file(Id id, bool writable);

  // A folder's listing that is half read (readdir(3)); null: none is.
  using Listing = std::unique_ptr<DIR, int (*)(DIR*)>;
  Listing take_listing(Id id);
  void leave_listing(Id id, Listing listing);

  // ---- for watch.h
  bool watched(Id id);
  // Of the folder it is in.
  bool parent_watched(Id id);
  // Its watch from now on. Returns the number of a folder that had it before, which is another name of this one.
  void set_watch(Id id, int watch);
  std::optional<Id> by_watch(int watch);
  // It is another folder by now, and its watch on the one that it was.
  void lose_watch(Id id);
  // The watch is gone.
  void unwatched(int watch);
  // Watches of folders that were forgotten meanwhile.
  std::vector<int> left_watches();

  // It was told that there is no such name. False: too many are remembered, so it is not to be believed.
  bool absent(Id folder, std::string_view name);
  // The workload is about to do something at this name, of which the watch will tell, too; or it did not come to it.
  void doing(Id folder, std::string_view name);
  void not_done(Id folder, std::string_view name);

  struct Told {
    std::optional<Id> child;  // that the kernel knows by that name
    bool loose = false;       // it will ask for its attributes before it uses them
    Seen seen;
    bool own = false;     // the workload's own doing
    bool absent = false;  // it was told that there is no such name
  };
  // What the kernel believes of a name that a watch is about. `changed_names`: it came, went or moved.
  Told about(Id folder, std::string_view name, bool changed_names);
  Told about(Id id);
  // How often about() was asked of a name that the kernel knew nothing of. Where this is another number once it is told
  // of a name than it was before the name was looked at, the host may have changed it in between: no watch will say so.
  std::uint64_t unknown() const { return unknown_; }

  // Every name the kernel knows, in no order: everything may have changed.
  struct Entry {
    Id parent = 0, id = 0;
    std::string name;
  };
  std::vector<Entry> all();
  // The same of a folder.
  std::vector<Entry> below(Id id);

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
  };
  struct Node;
  using Children = std::unordered_map<std::string, Node*, Hash, std::equal_to<>>;
  // Of a folder alone.
  struct Folder {
    Children children;
    std::unordered_set<std::string, Hash, std::equal_to<>> absent;
    std::unordered_multiset<std::string, Hash, std::equal_to<>> doing;
    Listing listing{nullptr, ::closedir};
    int watch = -1;
  };
  struct Node {
    Id id = 0;
    Node* parent = nullptr;  // null: no name any more
    std::string name;
    std::uint64_t lookups = 0;
    Seen seen;
    bool loose = true;
    std::list<std::weak_ptr<OpenFile>> open;
    std::unique_ptr<Folder> folder;
  };

  Node* node(Id id);
  Folder& folder(Node& node);
  void detach(Node& node);
  void attach(Node& node, Node& parent, std::string_view name);
  void drop_if_unused(Node& node);
  void lose_watch(Node& node);
  bool see(Node& node, const struct stat& st);
  void collect(Node& node, std::vector<Entry>& out);

  std::shared_mutex still_;
  std::mutex mutex_;  // of all below
  std::unordered_map<Id, std::unique_ptr<Node>> nodes_;
  std::unordered_map<int, Id> watches_;
  std::vector<int> left_;
  std::size_t absent_count_ = 0;
  std::atomic<std::uint64_t> unknown_ = 0;
  Id next_ = root + 1;
};

}  // namespace bulkhead::keep

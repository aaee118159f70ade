// Which inode is whose, and what has to be kept before an operation. Every operation of the workload's asks here first;
// what can't be kept is refused. Several threads at once: those that are about one inode wait for each other, so a huge
// file's copy holds up nobody else.
#pragma once

#include <sys/stat.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "keep/mirror.h"
#include "keep/place.h"

namespace bulkhead::keep {

class Keeper {
 public:
  // `quota`: bytes that copies may take in all (what is moved or linked takes none). `refused` hears of the first
  // operation that it stops.
  Keeper(Mirror mirror, std::uint64_t quota, std::function<void()> refused);

  // The workload made it: from now on it is its own.
  void made(const struct stat& st);
  // Its last name is gone.
  void ended(const struct stat& st);
  // Nothing more is to be kept of it.
  bool free(const struct stat& st);

  // An entry of the folder (at `path`) is about to be made, removed or renamed, or the folder itself changed.
  Result<void> folder(int fd, std::string_view path);
  // What stands there is about to change: attributes, times, length.
  Result<void> change(const Place& place, std::string_view path);
  // The same of a file that is open for reading.
  Result<void> change(int fd, std::string_view path);
  // It is about to lose this name. True: the name is gone already, it is kept by having been moved away.
  Result<bool> remove(const Place& place, std::string_view path);
  // It, and what is below it, is about to get another path, or (`removed`) something else gets this one.
  Result<void> move(const Place& place, std::string_view path);

 private:
  struct Inode {
    bool own = false;                    // made by the workload
    bool done = false;                   // kept as a copy, or a folder whose line is written
    bool shared = false;                 // had more than one name, so each is kept for itself
    std::vector<std::string> kept = {};  // paths in the mirror; of this very inode where not done
  };
  struct Key {
    dev_t device;
    ino_t inode;
    bool operator==(const Key&) const = default;
  };
  struct Hash {
    std::size_t operator()(const Key& key) const { return std::hash<std::uint64_t>()(key.inode ^ (key.device << 48)); }
  };

  static Key key_of(const struct stat& st) { return {st.st_dev, st.st_ino}; }
  std::mutex& stripe(const struct stat& st) { return stripes_[st.st_ino % stripes_.size()]; }
  Inode known(const struct stat& st);
  void remember(const struct stat& st, Inode inode);
  Result<void> charge(const struct stat& st);
  Result<void> change_locked(const struct stat& st, std::string_view path,
                             const std::function<Result<std::string>()>& copy);
  Result<void> link_or_copy(const struct stat& st, const Place& place, std::string_view path);
  Result<void> move_below(int folder, std::string_view path, int depth);

  Mirror mirror_;
  const std::uint64_t quota_;
  std::function<void()> refused_;
  std::atomic<std::uint64_t> used_ = 0;
  std::atomic<bool> said_ = false;
  std::mutex mutex_;  // of inodes_
  std::unordered_map<Key, Inode, Hash> inodes_;
  std::array<std::mutex, 64> stripes_;
};

}  // namespace bulkhead::keep

// The kept folder of one mount:
//
//   files/          an original at the path it had; folders above it are 0700, what they were is in folders.jsonl
//   again-1/ …      where files/ has one of that path already: what the host put there during the session
//   folders.jsonl   one line for each folder of the mount that was changed: {"path","mode","mtime","xattrs"},
//                   "uid" and "gid" where they are not the kept folder's own
//   making/         copies that are not whole yet; worth nothing once the session has ended
#pragma once

#include <sys/stat.h>

#include <mutex>
#include <set>
#include <string>
#include <string_view>

#include "keep/original.h"
#include "keep/place.h"

namespace bulkhead::keep {

class Mirror {
 public:
  // `folder`: empty, or what an earlier run left.
  static Result<Mirror> open(UniqueFd folder);
  Mirror(Mirror&& other) noexcept;
  Mirror& operator=(Mirror&&) = delete;
  ~Mirror() = default;

  // Each returns the place in the mirror, relative to its folder: "files/a/b".
  Result<std::string> take(const Place& from, std::string_view path);  // moves it: EXDEV where that can't be
  Result<std::string> link(const Place& from, std::string_view path);  // a second name of it
  Result<std::string> copy(const Place& from, std::string_view path);
  Result<std::string> copy(int open_file, std::string_view path);
  // Once more under another path.
  Result<std::string> again(const std::string& kept, std::string_view path);
  // Where `kept` is a second name of a file that is about to change: puts a copy there.
  Result<void> separate(const std::string& kept);

  Result<struct stat> look_at(const std::string& kept);

  // What `fd` (the folder at `path`) is like, before it is changed. Once for each path.
  Result<void> folder(int fd, std::string_view path);

 private:
  Mirror() = default;
  template <class Put>
  Result<std::string> put(std::string_view path, const Put& put);
  Result<Place> place_for(const std::string& generation, std::string_view path);
  Result<Place> fresh();
  Result<Place> find(const std::string& kept);
  Result<std::string> settle(const Place& made, std::string_view path);

  UniqueFd root_, making_, journal_;
  std::mutex mutex_;
  std::set<std::string, std::less<>> folders_;
  std::uint64_t count_ = 0;
};

}  // namespace bulkhead::keep

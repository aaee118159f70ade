// Finding a path beneath a folder that others change at the same time.
#pragma once

#include <sys/stat.h>

#include <string>
#include <string_view>

#include "base/fd.h"
#include "base/result.h"

namespace bulkhead::keep {

// A name in an open folder: what every operation is done by.
struct Place {
  UniqueFd folder;   // O_PATH
  std::string name;  // without a slash; "." for the root itself
};

class Tree {
 public:
  explicit Tree(UniqueFd root) : root_(std::move(root)) {}

  int root() const { return root_.get(); }
  // `path`: relative to the root, with or without a slash in front. No link is followed, no mount is crossed.
  Result<Place> find(std::string_view path) const;

 private:
  UniqueFd root_;
};

// "/a/b" and "a/b" -> "a/b"; "/" -> "".
std::string_view relative(std::string_view path);
// "a/b" -> "a"; "a" -> "".
std::string_view parent_of(std::string_view path);

// Beneath `folder` without following any link: openat2(2), again where a rename came between.
Result<UniqueFd> open_beneath(int folder, const std::string& path, std::uint64_t flags, mode_t mode = 0);
Result<struct stat> look(const Place& place);  // lstat

}  // namespace bulkhead::keep

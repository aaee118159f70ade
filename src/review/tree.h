// Looking into a tree whose owner may be hostile, or that changes meanwhile. A path is one below the tree's root,
// without a leading slash; "" is the root itself. Nothing leads out of the tree: no symbolic link is followed, no other
// file system entered (openat2(2), Linux 5.6).
#pragma once

#include <sys/stat.h>

#include <optional>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"

namespace bulkhead::review {

class Tree {
 public:
  explicit Tree(UniqueFd root) : root_(std::move(root)) {}

  int root() const { return root_.get(); }
  // To read its names.
  Result<UniqueFd> folder(const std::string& path) const;
  // The folder an entry is in, for *at() calls with leaf(path).
  Result<UniqueFd> parent(const std::string& path) const;
  // A regular file's content, and nothing else's.
  Result<UniqueFd> file(const std::string& path) const;
  // The entry itself, not where a link leads. No value: there is none.
  Result<std::optional<struct stat>> look(const std::string& path) const;
  Result<std::string> link(const std::string& path) const;
  // An extended attribute of the entry itself. No value: it has none of that name.
  Result<std::optional<std::string>> attribute(const std::string& path, const char* name) const;

 private:
  UniqueFd root_;
};

std::string leaf(const std::string& path);
std::string parent_of(const std::string& path);
std::string below(const std::string& path, const std::string& name);
bool at_or_below(const std::string& path, const std::string& folder);

Result<std::string> read_link_at(int folder, const std::string& name);
std::optional<struct stat> look_at(int folder, const std::string& name);

// Removes an entry with everything below, also what its owner made unreadable for himself.
Result<void> erase_tree(int parent, const std::string& name);

}  // namespace bulkhead::review

// Which watch of inotify's stands for which folder. Watches are numbered by the kernel; each is one inode, so a folder
// that is renamed keeps its own.
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace bulkhead::changes {

struct Place {
  std::size_t mount = 0;
  std::string path = {};  // below it; empty: itself
  auto operator<=>(const Place&) const = default;
};

class Tree {
 public:
  // False: that watch is known, as another mount's or as a folder in one.
  bool add_top(int watch, std::size_t mount);
  // The parent is known, the watch is not.
  void add(int watch, int parent, const std::string& name);
  // That folder stands there now; whatever stood there does not. Of what can't be (a top; below itself) nothing
  // changes.
  void move(int watch, int parent, const std::string& name);
  // With everything below. What is left out comes back: its watches are of no use.
  std::vector<int> remove(int watch);

  bool knows(int watch) const { return nodes_.contains(watch); }
  bool is_top(int watch) const;
  std::optional<int> child(int parent, const std::string& name) const;
  std::optional<Place> place(int watch) const;
  std::vector<int> tops() const;
  std::size_t size() const { return nodes_.size(); }

 private:
  struct Node {
    int parent = -1;  // -1: a top
    std::string name = {};
    std::size_t mount = 0;
    std::map<std::string, int> children = {};
  };
  bool is_below(int watch, int above) const;
  void detach(const Node& node);

  std::map<int, Node> nodes_;
};

}  // namespace bulkhead::changes

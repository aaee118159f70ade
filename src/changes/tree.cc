#include "changes/tree.h"

#include <ranges>

namespace bulkhead::changes {

bool Tree::add_top(int watch, std::size_t mount) {
  return nodes_.try_emplace(watch, Node{.mount = mount}).second;
}

void Tree::add(int watch, int parent, const std::string& name) {
  const auto above = nodes_.find(parent);
  if (above == nodes_.end() || knows(watch)) return;
  if (const auto old = child(parent, name)) (void)remove(*old);
  above->second.children[name] = watch;
  nodes_.emplace(watch, Node{.parent = parent, .name = name, .mount = above->second.mount});
}

bool Tree::is_below(int watch, int above) const {
  for (auto node = nodes_.find(watch); node != nodes_.end(); node = nodes_.find(node->second.parent)) {
    if (node->first == above) return true;
  }
  return false;
}

void Tree::detach(const Node& node) {
  const auto above = nodes_.find(node.parent);
  if (above == nodes_.end()) return;
  above->second.children.erase(node.name);
}

void Tree::move(int watch, int parent, const std::string& name) {
  const auto node = nodes_.find(watch);
  if (node == nodes_.end() || is_top(watch) || !knows(parent) || is_below(parent, watch)) return;
  if (const auto old = child(parent, name); old && *old != watch) {
    if (is_below(watch, *old)) return;  // it is moved out of what it replaces, which then was not there any more
    (void)remove(*old);
  }
  detach(node->second);
  node->second.parent = parent;
  node->second.name = name;
  nodes_.at(parent).children[name] = watch;
}

std::vector<int> Tree::remove(int watch) {
  const auto node = nodes_.find(watch);
  if (node == nodes_.end()) return {};
  detach(node->second);
  std::vector<int> out{watch};
  for (std::size_t i = 0; i < out.size(); ++i) {
    for (const int below : nodes_.at(out[i]).children | std::views::values) out.push_back(below);
  }
  for (const int gone : out) nodes_.erase(gone);
  return out;
}

bool Tree::is_top(int watch) const {
  const auto node = nodes_.find(watch);
  return node != nodes_.end() && node->second.parent == -1;
}

std::optional<int> Tree::child(int parent, const std::string& name) const {
  const auto node = nodes_.find(parent);
  if (node == nodes_.end()) return std::nullopt;
  const auto found = node->second.children.find(name);
  if (found == node->second.children.end()) return std::nullopt;
  return found->second;
}

std::optional<Place> Tree::place(int watch) const {
  auto node = nodes_.find(watch);
  if (node == nodes_.end()) return std::nullopt;
  // A folder is moved with all that is below it, so its name is put together when it is asked for. The mount is the
  // top's: it may have been moved from one to another.
  std::vector<const std::string*> names;
  for (; node->second.parent != -1; node = nodes_.find(node->second.parent)) names.push_back(&node->second.name);
  Place out{.mount = node->second.mount};
  for (const std::string* name : names | std::views::reverse) {
    if (!out.path.empty()) out.path += '/';
    out.path += *name;
  }
  return out;
}

std::vector<int> Tree::tops() const {
  std::vector<int> out;
  for (const auto& [watch, node] : nodes_) {
    if (node.parent == -1) out.push_back(watch);
  }
  return out;
}

}  // namespace bulkhead::changes

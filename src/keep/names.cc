#include "keep/names.h"

#include <algorithm>

#include "keep/folder.h"

namespace bulkhead::keep {
namespace {

constexpr std::size_t most_absent = 100'000;

std::int64_t nanoseconds(const timespec& at) {
  return std::int64_t{at.tv_sec} * 1'000'000'000 + at.tv_nsec;
}

}  // namespace

Seen Seen::of(const struct stat& st) {
  return {.device = st.st_dev,
          .inode = st.st_ino,
          .mode = st.st_mode,
          .links = st.st_nlink,
          .size = st.st_size,
          .modified = nanoseconds(st.st_mtim),
          .changed = nanoseconds(st.st_ctim)};
}

Names::Names() {
  auto made = std::make_unique<Node>();
  made->id = root;
  made->lookups = 1;
  made->seen.mode = S_IFDIR;
  nodes_.emplace(root, std::move(made));
}

Names::Node* Names::node(Id id) {
  const auto at = nodes_.find(id);
  return at == nodes_.end() ? nullptr : at->second.get();
}

Names::Folder& Names::folder(Node& node) {
  if (!node.folder) node.folder = std::make_unique<Folder>();
  return *node.folder;
}

std::optional<std::string> Names::path(Id id) {
  const std::scoped_lock held(mutex_);
  const Node* at = node(id);
  std::string out;
  for (; at != nullptr && at->id != root; at = at->parent) {
    out = out.empty() ? at->name : at->name + "/" + out;
  }
  if (at == nullptr) return std::nullopt;
  return out;
}

void Names::attach(Node& node, Node& parent, std::string_view name) {
  Folder& into = folder(parent);
  node.parent = &parent;
  node.name = name;
  into.children.insert_or_assign(std::string(name), &node);
  if (const auto known = into.absent.find(name); known != into.absent.end()) {
    into.absent.erase(known);
    --absent_count_;
  }
}

// Its number stays, for what is open or below it.
void Names::detach(Node& node) {
  if (node.parent == nullptr) return;
  Node& parent = *node.parent;
  const auto at = parent.folder->children.find(node.name);
  if (at != parent.folder->children.end() && at->second == &node) parent.folder->children.erase(at);
  node.parent = nullptr;
  drop_if_unused(parent);
}

void Names::drop_if_unused(Node& start) {
  for (Node* at = &start; at != nullptr && at->id != root && at->lookups == 0;) {
    if (at->folder && !at->folder->children.empty()) return;
    Node* const parent = at->parent;
    if (at->folder) {
      absent_count_ -= at->folder->absent.size();
      if (at->folder->watch >= 0) {
        watches_.erase(at->folder->watch);
        left_.push_back(at->folder->watch);
      }
    }
    if (parent != nullptr) {
      const auto found = parent->folder->children.find(at->name);
      if (found != parent->folder->children.end() && found->second == at) parent->folder->children.erase(found);
    }
    nodes_.erase(at->id);
    at = parent;
  }
}

void Names::lose_watch(Node& node) {
  if (!node.folder || node.folder->watch < 0) return;
  watches_.erase(node.folder->watch);
  left_.push_back(node.folder->watch);
  node.folder->watch = -1;
  node.folder->doing.clear();
}

void Names::lose_watch(Id id) {
  const std::scoped_lock held(mutex_);
  if (Node* const at = node(id)) lose_watch(*at);
}

// True: it is another folder than before. Its watch is on the one that it was.
bool Names::see(Node& node, const struct stat& st) {
  const Seen seen = Seen::of(st);
  const bool replaced = S_ISDIR(seen.mode) && node.seen.inode != 0 && !node.seen.same_file(seen);
  if (replaced) lose_watch(node);
  node.seen = seen;
  node.loose = false;
  return replaced;
}

Names::Id Names::found(Id parent, std::string_view name, const struct stat& st, bool& replaced) {
  const std::scoped_lock held(mutex_);
  replaced = false;
  Node* const above = node(parent);
  if (above == nullptr) return 0;
  const Seen seen = Seen::of(st);
  Node* at = nullptr;
  if (const auto known = folder(*above).children.find(name); known != above->folder->children.end()) at = known->second;
  // Of a folder that was replaced the number stays: whoever is in it, or what is mounted on it, sees what is there now.
  const bool same = at != nullptr && (at->seen.mode & S_IFMT) == (seen.mode & S_IFMT) &&
                    (S_ISDIR(seen.mode) || at->seen.same_file(seen));
  if (at != nullptr && !same) {
    detach(*at);
    at = nullptr;
  }
  if (at == nullptr) {
    auto made = std::make_unique<Node>();
    at = made.get();
    at->id = next_++;
    nodes_.emplace(at->id, std::move(made));
    attach(*at, *above, name);
  }
  ++at->lookups;
  replaced = see(*at, st);
  return at->id;
}

bool Names::told(Id id, const struct stat& st) {
  const std::scoped_lock held(mutex_);
  Node* const at = node(id);
  return at != nullptr && see(*at, st);
}

void Names::forget(Id id, std::uint64_t times) {
  const std::scoped_lock held(mutex_);
  Node* const at = node(id);
  if (at == nullptr || id == root) return;
  at->lookups -= std::min(at->lookups, times);
  drop_if_unused(*at);
}

void Names::removed(Id parent, std::string_view name) {
  const std::scoped_lock held(mutex_);
  Node* const above = node(parent);
  if (above == nullptr) return;
  above->loose = true;
  if (const auto known = folder(*above).children.find(name); known != above->folder->children.end()) {
    Node& gone = *known->second;
    gone.loose = true;
    detach(gone);
    drop_if_unused(gone);
  }
}

void Names::renamed(Id from, std::string_view old_name, Id to, std::string_view new_name, bool exchanged) {
  const std::scoped_lock held(mutex_);
  Node* const source = node(from);
  Node* const target = node(to);
  if (source == nullptr || target == nullptr) return;
  source->loose = target->loose = true;
  const auto take = [&](Node& above, std::string_view name) -> Node* {
    const auto known = folder(above).children.find(name);
    if (known == above.folder->children.end()) return nullptr;
    Node* const one = known->second;
    above.folder->children.erase(known);
    one->parent = nullptr;
    one->loose = true;
    return one;
  };
  Node* const moved = take(*source, old_name);
  Node* const there = take(*target, new_name);
  if (moved != nullptr) attach(*moved, *target, new_name);
  if (there != nullptr && exchanged) attach(*there, *source, old_name);
  if (there != nullptr && !exchanged) drop_if_unused(*there);
}

void Names::asks_again(Id id) {
  const std::scoped_lock held(mutex_);
  if (Node* const at = node(id)) at->loose = true;
}

void Names::opened(Id id, const std::shared_ptr<OpenFile>& file) {
  const std::scoped_lock held(mutex_);
  if (Node* const at = node(id)) at->open.push_back(file);
}

void Names::closed(Id id, const OpenFile* file) {
  const std::scoped_lock held(mutex_);
  Node* const at = node(id);
  if (at == nullptr) return;
  at->open.remove_if([&](const std::weak_ptr<OpenFile>& one) {
    const auto held_by = one.lock();
    return held_by == nullptr || held_by.get() == file;
  });
}

std::shared_ptr<OpenFile> Names::open_file(Id id, bool writable) {
  const std::scoped_lock held(mutex_);
  Node* const at = node(id);
  if (at == nullptr) return nullptr;
  for (const std::weak_ptr<OpenFile>& one : at->open) {
    auto file = one.lock();
    if (file && (file->writable || !writable)) return file;
  }
  return nullptr;
}

Names::Listing Names::take_listing(Id id) {
  const std::scoped_lock held(mutex_);
  Node* const at = node(id);
  return at == nullptr || !at->folder ? Listing(nullptr, ::closedir) : std::move(at->folder->listing);
}

void Names::leave_listing(Id id, Listing listing) {
  const std::scoped_lock held(mutex_);
  if (Node* const at = node(id)) folder(*at).listing = std::move(listing);
}

bool Names::watched(Id id) {
  const std::scoped_lock held(mutex_);
  const Node* const at = node(id);
  return at != nullptr && at->folder && at->folder->watch >= 0;
}

bool Names::parent_watched(Id id) {
  const std::scoped_lock held(mutex_);
  const Node* const at = node(id);
  return at != nullptr && at->parent != nullptr && at->parent->folder->watch >= 0;
}

void Names::set_watch(Id id, int watch) {
  const std::scoped_lock held(mutex_);
  Node* const at = node(id);
  if (at == nullptr) {
    left_.push_back(watch);
    return;
  }
  // Another number had it: the host moved the folder, and the kernel is being told so.
  if (const auto before = watches_.find(watch); before != watches_.end() && before->second != id) {
    if (Node* const other = node(before->second); other != nullptr && other->folder) other->folder->watch = -1;
  }
  folder(*at).watch = watch;
  watches_.insert_or_assign(watch, id);
  std::erase(left_, watch);  // the same folder, looked into again
}

std::optional<Names::Id> Names::by_watch(int watch) {
  const std::scoped_lock held(mutex_);
  const auto at = watches_.find(watch);
  return at == watches_.end() ? std::nullopt : std::optional(at->second);
}

void Names::unwatched(int watch) {
  const std::scoped_lock held(mutex_);
  const auto at = watches_.find(watch);
  if (at == watches_.end()) return;
  if (Node* const one = node(at->second); one != nullptr && one->folder) {
    one->folder->watch = -1;
    one->folder->doing.clear();
  }
  watches_.erase(at);
}

std::vector<int> Names::left_watches() {
  const std::scoped_lock held(mutex_);
  return std::exchange(left_, {});
}

bool Names::absent(Id id, std::string_view name) {
  const std::scoped_lock held(mutex_);
  Node* const at = node(id);
  if (at == nullptr || absent_count_ >= most_absent) return false;
  if (folder(*at).absent.emplace(name).second) ++absent_count_;
  return true;
}

void Names::doing(Id id, std::string_view name) {
  const std::scoped_lock held(mutex_);
  Node* const at = node(id);
  if (at != nullptr && at->folder && at->folder->watch >= 0) at->folder->doing.emplace(name);
}

void Names::not_done(Id id, std::string_view name) {
  const std::scoped_lock held(mutex_);
  Node* const at = node(id);
  if (at == nullptr || !at->folder) return;
  const auto one = at->folder->doing.find(name);
  if (one != at->folder->doing.end()) at->folder->doing.erase(one);
}

Names::Told Names::about(Id id, std::string_view name, bool changed_names) {
  const std::scoped_lock held(mutex_);
  Told out;
  Node* const at = node(id);
  if (at == nullptr || !at->folder) {
    ++unknown_;
    return out;
  }
  Folder& in = *at->folder;
  if (changed_names) {
    if (const auto one = in.doing.find(name); one != in.doing.end()) {
      in.doing.erase(one);
      out.own = true;
    }
    if (const auto one = in.absent.find(name); one != in.absent.end()) {
      in.absent.erase(one);
      --absent_count_;
      out.absent = true;
    }
  }
  if (const auto known = in.children.find(name); known != in.children.end()) {
    out.child = known->second->id;
    out.loose = known->second->loose;
    out.seen = known->second->seen;
  } else if (!out.absent && !out.own) {
    ++unknown_;
  }
  return out;
}

Names::Told Names::about(Id id) {
  const std::scoped_lock held(mutex_);
  Told out;
  if (const Node* const at = node(id)) {
    out.child = id;
    out.loose = at->loose;
    out.seen = at->seen;
  }
  return out;
}

// What it was told is not there, it is to ask for again, too.
void Names::collect(Node& node, std::vector<Entry>& out) {
  if (node.folder) {
    for (const std::string& name : node.folder->absent) out.push_back({node.id, 0, name});
    absent_count_ -= node.folder->absent.size();
    node.folder->absent.clear();
    node.folder->doing.clear();
  }
  out.push_back({node.parent == nullptr ? 0 : node.parent->id, node.id, node.name});
}

std::vector<Names::Entry> Names::all() {
  const std::scoped_lock held(mutex_);
  std::vector<Entry> out;
  for (const auto& [id, one] : nodes_) collect(*one, out);
  return out;
}

std::vector<Names::Entry> Names::below(Id id) {
  const std::scoped_lock held(mutex_);
  std::vector<Entry> out;
  std::vector<Node*> left{node(id)};
  while (!left.empty()) {
    Node* const at = left.back();
    left.pop_back();
    if (at == nullptr) continue;
    collect(*at, out);
    if (!at->folder) continue;
    for (const auto& [name, child] : at->folder->children) left.push_back(child);
  }
  return out;
}

}  // namespace bulkhead::keep

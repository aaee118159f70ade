#include "review/changes.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <tuple>

#include "base/sys.h"
#include "base/text.h"
#include "review/content.h"

namespace bulkhead::review {
namespace {

constexpr const char* opaque_name = "user.overlay.opaque";
constexpr const char* origin_name = "user.overlay.origin";  // what was copied up has one (empty: no file handles)
constexpr mode_t permissions = 01777;
constexpr mode_t set_id = S_ISUID | S_ISGID;

std::int64_t nanoseconds(const timespec& t) {
  return t.tv_sec * 1'000'000'000LL + t.tv_nsec;
}

bool is_whiteout(const struct stat& st) {
  return S_ISCHR(st.st_mode) && st.st_rdev == ::makedev(0, 0);
}

// What no layer may bring to the host.
std::string why_refused(const struct stat& st) {
  if (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode) || S_ISLNK(st.st_mode)) return "";
  if (S_ISFIFO(st.st_mode)) return "a FIFO is not brought to the host";
  if (S_ISSOCK(st.st_mode)) return "a socket is not brought to the host";
  return "a device is not brought to the host";
}

class Scanner {
 public:
  Scanner(const Review& review, Tree host, Tree upper, std::optional<Base> base, std::set<std::string> settled)
      : review_(review),
        host_(std::move(host)),
        upper_(std::move(upper)),
        base_(std::move(base)),
        settled_(std::move(settled)) {}

  Result<Changes> run() {
    std::vector<Folder> waiting{{"", true, false, ""}};
    while (!waiting.empty()) {
      const Folder folder = std::move(waiting.back());
      waiting.pop_back();
      BH_CHECK(visit(folder, waiting));
    }
    // A folder goes after what is in it, and comes before.
    std::ranges::sort(removed_, std::ranges::greater(), &Change::path);
    std::ranges::sort(others_, {}, [](const Change& c) { return std::tie(c.path, c.unread); });
    Changes changes;
    changes.seen = std::move(seen_);
    changes.list = std::move(removed_);
    std::ranges::move(others_, std::back_inserter(changes.list));
    find_renames(host_, upper_, changes);
    return changes;
  }

 private:
  // A folder of the layer that is to be read.
  struct Folder {
    std::string path;
    bool on_host = false;  // there is a folder at the same place
    bool opaque = false;   // what the host has in it is hidden: it was removed, and made anew
    std::string conflict;  // of everything in it
  };

  bool settled(const std::string& path) const { return settled_.contains(path); }

  // A folder that the workload made, and an earlier apply of a part brought to the host.
  bool is_ours(const std::string& path, bool folder) const {
    return folder && settled(path) && base_ && !base_->contains(path);
  }

  void add(Change change) {
    if (settled(change.path)) return;
    // Of several reasons the first is enough.
    if (change.refused.empty() && change.path.size() >= PATH_MAX - 64) change.refused = "its path is too long";
    (change.kind == Kind::removed ? removed_ : others_).push_back(std::move(change));
  }

  // Is what stands on the host still what the workload saw there? Else why not.
  std::string judge(const std::string& path, const struct stat& now) {
    std::string why = differs(path, now);
    seen_[path] = why.empty() ? mark_of(now) : Mark{};
    return why;
  }

  std::string differs(const std::string& path, const struct stat& now) const {
    const bool folder = S_ISDIR(now.st_mode);
    if (base_) {
      const auto known = base_->find(path);
      if (known == base_->end()) return is_ours(path, folder) ? "" : "the host has one of its own there by now";
      // A folder is itself whatever comes and goes in it.
      const bool same =
          folder ? known->second.inode == now.st_ino && S_ISDIR(known->second.mode) : known->second == mark_of(now);
      return same ? "" : "the host's has changed since";
    }
    const std::int64_t since = review_.info().since_seconds * 1'000'000'000LL + review_.info().since_nanoseconds;
    return !folder && nanoseconds(now.st_ctim) >= since ? "the host's has changed since the session began" : "";
  }

  // There is nothing on the host; was there, when the workload began? A folder that was copied up says so itself, and
  // stays where it was (overlayfs moves none that has anything below). A file that was copied up may have been moved.
  std::string judge_absent(const std::string& path, bool folder) {
    bool was = false;
    if (base_) {
      was = base_->contains(path);
    } else if (const auto origin = upper_.attribute(path, origin_name); folder && origin) {
      was = origin->has_value();
    }
    if (!was) return "";
    seen_[path] = Mark{};
    return "the host's was removed or moved since";
  }

  Result<void> visit(const Folder& folder, std::vector<Folder>& waiting) {
    auto upper = upper_.folder(folder.path);
    if (!upper) {
      Change change{.path = folder.path, .kind = Kind::added};
      change.refused = "it can't be read: " + upper.error().message;
      change.unread = true;
      add(std::move(change));
      return {};
    }
    UniqueFd host;
    if (folder.on_host) {
      BH_TRY(host, host_.folder(folder.path));
    }
    BH_TRY(std::vector<std::string> names, sys::list_directory(upper->get()));
    std::ranges::sort(names);
    for (const std::string& name : names) {
      const std::optional<struct stat> after = look_at(upper->get(), name);
      if (!after) continue;  // a session that runs has removed it meanwhile
      const std::optional<struct stat> before = host ? look_at(host.get(), name) : std::nullopt;
      BH_CHECK(entry(folder, below(folder.path, name), before, *after, waiting));
    }
    if (host && folder.opaque) {
      BH_TRY(const std::vector<std::string> hidden, sys::list_directory(host.get()));
      for (const std::string& name : hidden) {
        if (std::ranges::binary_search(names, name)) continue;
        BH_CHECK(remove(below(folder.path, name), folder.conflict));
      }
    }
    return {};
  }

  Result<void> entry(const Folder& folder, const std::string& path, const std::optional<struct stat>& before,
                     const struct stat& after, std::vector<Folder>& waiting) {
    if (is_whiteout(after)) return before ? remove(path, folder.conflict) : Result<void>();
    if (S_ISDIR(after.st_mode)) return directory(folder, path, before, after, waiting);
    Change change{.path = path, .before = before, .after = after, .conflict = folder.conflict};
    change.refused = why_refused(after);
    if (S_ISREG(after.st_mode) && (after.st_mode & S_IRUSR) == 0) {
      if (const auto readable = upper_.file(path); !readable) {
        change.refused = "it can't be read: " + readable.error().message;
        change.unread = true;
      }
    }
    if (!before) {
      if (is_mount_point(path) && after.st_size == 0) return {};
      change.kind = Kind::added;
      if (change.conflict.empty()) change.conflict = judge_absent(path, false);
      note_set_id(change, 0);
      add(std::move(change));
      return {};
    }
    if (S_ISDIR(before->st_mode)) {
      BH_CHECK(remove(path, folder.conflict));
      change.before.reset();
      change.kind = Kind::added;
      note_set_id(change, 0);
      add(std::move(change));
      return {};
    }
    if (change.conflict.empty()) change.conflict = judge(path, *before);
    BH_TRY(const bool same, same_entry(change));
    if (!same) add(std::move(change));
    return {};
  }

  Result<void> directory(const Folder& folder, const std::string& path, const std::optional<struct stat>& before,
                         const struct stat& after, std::vector<Folder>& waiting) {
    const auto mark = upper_.attribute(path, opaque_name);
    if (!mark) {  // without its mark nobody knows what it stands for; so is one with mode 000
      Change change{.path = path, .kind = before ? Kind::changed : Kind::added, .before = before, .after = after};
      change.refused = "it can't be read: " + mark.error().message;
      change.unread = true;
      add(std::move(change));
      return {};
    }
    const bool opaque = folder.opaque || *mark == "y";
    std::string conflict = folder.conflict;
    if (before && S_ISDIR(before->st_mode)) {
      if (const std::string why = judge(path, *before); conflict.empty() && !opaque) conflict = why;
      if ((after.st_mode & permissions) != (before->st_mode & permissions) ||
          nanoseconds(after.st_mtim) != nanoseconds(before->st_mtim)) {
        const bool mode = (after.st_mode & permissions) != (before->st_mode & permissions);
        Change change{.path = path, .kind = mode ? Kind::changed : Kind::touched, .before = before, .after = after};
        change.content = false;
        change.conflict = conflict;
        add(std::move(change));
      }
      // What the host has put into such a folder since was never hidden from the workload.
      waiting.push_back({path, true, opaque && !is_ours(path, true), conflict});
      return {};
    }
    if (!before && is_mount_point(path)) {
      BH_TRY(const UniqueFd made, upper_.folder(path));
      BH_TRY(const std::vector<std::string> names, sys::list_directory(made.get()));
      if (names.empty()) return {};
    }
    if (before) BH_CHECK(remove(path, conflict));
    if (conflict.empty() && !before && !opaque && folder.on_host && !settled(path)) conflict = judge_absent(path, true);
    Change change{.path = path, .kind = Kind::added, .after = after, .conflict = conflict};
    note_set_id(change, S_ISGID);  // a folder's is inherited, and does nothing by itself
    add(std::move(change));
    waiting.push_back({path, false, opaque, conflict});
    return {};
  }

  bool is_mount_point(const std::string& path) const {
    return std::ranges::any_of(review_.info().inner,
                               [&](const std::string& inner) { return at_or_below(inner, path); });
  }

  static void note_set_id(Change& change, mode_t allowed) {
    if (change.after && !S_ISLNK(change.after->st_mode) && (change.after->st_mode & set_id & ~allowed) != 0) {
      change.note = "without its set-user-ID or set-group-ID bit";
    }
  }

  // Neither is a folder. Fills in what kind of change it is.
  Result<bool> same_entry(Change& change) const {
    const struct stat &a = *change.before, &b = *change.after;
    const bool same_type = (a.st_mode & S_IFMT) == (b.st_mode & S_IFMT);
    bool same = same_type;
    if (same && S_ISREG(a.st_mode)) {
      auto here = host_.file(change.path), there = upper_.file(change.path);
      if (!there) {
        change.refused = "it can't be read: " + there.error().message;
        change.unread = true;
        return false;
      }
      if (!here) {
        if (change.conflict.empty()) change.conflict = "the host's can't be read: " + here.error().message;
        return false;
      }
      BH_TRY(same, same_content(here->get(), there->get()));
    } else if (same && S_ISLNK(a.st_mode)) {
      BH_TRY(const std::string here, host_.link(change.path));
      BH_TRY(const std::string there, upper_.link(change.path));
      same = here == there;
      if (same) return true;  // links have no mode, and nobody looks at their times
    } else if (same) {
      // A FIFO or the like that was there and was copied up: the host's stays.
      return true;
    }
    change.kind = Kind::changed;
    if (!same) {
      note_set_id(change, 0);
      return false;
    }
    change.content = false;
    const mode_t bits = permissions | set_id;
    if ((a.st_mode & bits) != (b.st_mode & bits)) {
      if ((b.st_mode & set_id & ~a.st_mode) != 0) note_set_id(change, 0);
      if ((a.st_mode & permissions) != (b.st_mode & permissions) || change.note.empty()) return false;
    }
    change.kind = Kind::touched;
    return nanoseconds(a.st_mtim) == nanoseconds(b.st_mtim) && change.note.empty();
  }

  // Everything the host has at and below `path`.
  Result<void> remove(const std::string& path, const std::string& conflict) {
    std::vector<std::string> waiting{path};
    while (!waiting.empty()) {
      const std::string at = std::move(waiting.back());
      waiting.pop_back();
      BH_TRY(const std::optional<struct stat> before, host_.look(at));
      if (!before) continue;
      Change change{.path = at, .kind = Kind::removed, .before = before, .conflict = conflict};
      if (change.conflict.empty()) change.conflict = judge(at, *before);
      if (S_ISDIR(before->st_mode)) {
        if (auto folder = host_.folder(at); folder) {
          BH_TRY(const std::vector<std::string> names, sys::list_directory(folder->get()));
          for (const std::string& name : names) waiting.push_back(below(at, name));
        } else if (change.conflict.empty()) {
          change.conflict = "it can't be read: " + folder.error().message;
        }
      }
      add(std::move(change));
    }
    return {};
  }

  const Review& review_;
  Tree host_, upper_;
  std::optional<Base> base_;
  std::set<std::string> settled_;
  std::vector<Change> removed_, others_;
  Base seen_;
};

nlohmann::json to_json(const Mark& mark) {
  return {mark.inode, mark.size, mark.mtime, mark.ctime, mark.mode};
}

}  // namespace

const char* name_of(Kind kind) {
  switch (kind) {
    case Kind::removed:
      return "removed";
    case Kind::changed:
      return "changed";
    case Kind::added:
      return "added";
    case Kind::touched:
      return "touched";
  }
  return "?";
}

Mark mark_of(const struct stat& st) {
  return {st.st_ino, static_cast<std::uint64_t>(st.st_size), nanoseconds(st.st_mtim), nanoseconds(st.st_ctim),
          st.st_mode};
}

Result<std::optional<Base>> read_base(const Review& review) {
  BH_TRY(const std::optional<std::string> text, review.read("base.json"));
  if (!text) return std::nullopt;
  Base base;
  const nlohmann::json object = nlohmann::json::parse(*text, nullptr, false);
  try {
    for (const auto& [path, mark] : object.items()) {
      BH_TRY(const std::string decoded, decode_path(path));
      base[decoded] = {mark.at(0).get<std::uint64_t>(), mark.at(1).get<std::uint64_t>(), mark.at(2).get<std::int64_t>(),
                       mark.at(3).get<std::int64_t>(), mark.at(4).get<std::uint32_t>()};
    }
  } catch (const nlohmann::json::exception&) {
    return fail("review " + review.info().id + " is damaged: its base.json makes no sense");
  }
  return base;
}

Result<Changes> scan(const Review& review) {
  BH_TRY(UniqueFd folder, review.open_folder());
  BH_TRY(UniqueFd upper, review.open_upper());
  BH_TRY(std::optional<Base> base, read_base(review));
  BH_TRY(std::set<std::string> settled, review.settled());
  return Scanner(review, Tree(std::move(folder)), Tree(std::move(upper)), std::move(base), std::move(settled)).run();
}

void find_renames(const Tree& host, const Tree& upper, Changes& changes) {
  int comparisons = 1000;  // of files of one size; beyond that a rename is a removal and an addition
  for (Change& gone : changes.list) {
    if (gone.kind != Kind::removed || !S_ISREG(gone.before->st_mode) || gone.before->st_size == 0) continue;
    UniqueFd old;
    for (Change& come : changes.list) {
      if (come.kind != Kind::added || !come.renamed.empty() || !come.refused.empty() || !come.after ||
          !S_ISREG(come.after->st_mode) || come.after->st_size != gone.before->st_size) {
        continue;
      }
      if (--comparisons < 0) return;
      if (!old) {
        auto opened = host.file(gone.path);
        if (!opened) break;
        old = std::move(*opened);
      }
      const auto fresh = upper.file(come.path);
      if (!fresh) continue;
      if (const auto same = same_content(old.get(), fresh->get()); !same || !*same) continue;
      gone.renamed = come.path;
      come.renamed = gone.path;
      break;
    }
  }
}

Result<bool> seal(Review& review) {
  BH_TRY(const std::optional<Base> before, read_base(review));
  if (before) return true;
  BH_TRY(const Changes changes, scan(review));
  if (std::ranges::none_of(changes.list, worth_keeping)) {
    BH_CHECK(review.erase());
    return false;
  }
  nlohmann::json base = nlohmann::json::object();
  for (const auto& [path, mark] : changes.seen) base[encode_path(path)] = to_json(mark);
  BH_CHECK(review.write("base.json", base.dump() + "\n"));
  // Only a mount needs it, and it has a folder that nobody may read.
  if (const auto layers = sys::open_at(review.directory(), "layers", O_PATH | O_DIRECTORY | O_NOFOLLOW); layers) {
    (void)erase_tree(layers->get(), "work");
  }
  return true;
}

bool worth_keeping(const Change& change) {
  if (change.unread) return true;
  if (!change.refused.empty()) return false;  // a socket or the like: nothing of it could be kept
  return change.kind != Kind::touched || !change.after || !S_ISDIR(change.after->st_mode);
}

}  // namespace bulkhead::review

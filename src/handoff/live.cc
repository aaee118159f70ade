#include "handoff/live.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/sys.h"
#include "base/text.h"
#include "policy/digest.h"
#include "session/state/state.h"
#include "trust/find.h"

namespace bulkhead::handoff {
namespace {

using nlohmann::json;
using trust::Content;
using trust::Fingerprint;
using trust::Snapshot;
using Side = trust::Trees::Side;

constexpr std::uint64_t inside = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
constexpr std::uint64_t one_name = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS;
constexpr std::size_t max_files = 2000;
constexpr std::size_t max_state = std::size_t{64} << 20;
constexpr std::uint64_t max_hashed = std::uint64_t{512} << 20;
constexpr std::string_view suffix = ".json";

struct Split {
  std::string folder, name;
};

Split split_path(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return {"", path};
  return {path.substr(0, slash), path.substr(slash + 1)};
}

// Beneath the folder; a link above the last name is followed where it leads to a place in the folder, as git, editors
// and the walk do (trust/find.h).
Result<UniqueFd> open_parent(int folder, const std::string& path) {
  const std::string up = split_path(path).folder;
  return sys::open_at2(folder, up.empty() ? "." : up, O_PATH | O_DIRECTORY, inside);
}

Content read_now(int folder, const std::string& path) {
  const Split parts = split_path(path);
  const auto parent = open_parent(folder, path);
  Content out;
  if (!parent) {
    out.problem = "can't be read (" + parent.error().message + ")";
    return out;
  }
  out = trust::read_content(folder, parent->get(), parts.folder, parts.name);
  if (out.problem.empty() || out.kind != Content::Kind::file) return out;
  const auto file = sys::open_at2(parent->get(), parts.name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, one_name);
  if (!file) return out;
  if (auto digest = sha256_hex_of(file->get(), max_hashed); digest) out.sha256 = std::move(*digest);
  return out;
}

bool is_there(int folder, const std::string& path) {
  const auto parent = open_parent(folder, path);
  struct stat st{};
  return parent && ::fstatat(parent->get(), split_path(path).name.c_str(), &st, AT_SYMLINK_NOFOLLOW) == 0;
}

// The folder as it was, from what was kept of it, and as it is.
class LiveTrees : public trust::Trees {
 public:
  LiveTrees(int folder, const Snapshot& before) : folder_(folder), before_(before) {}

  Content read(const std::string& path, Side side) override {
    return side == Side::after ? read_now(folder_, path) : as_it_was(before_.entries.at(path));
  }

  std::vector<std::string> names(const std::string& folder, Side side) override {
    if (side == Side::before) {
      if (before_.repositories.contains(folder)) return {"HEAD", "objects", "refs"};
      return {};
    }
    const auto fd = sys::open_at2(folder_, folder.empty() ? "." : folder, O_RDONLY | O_DIRECTORY, inside);
    auto names = fd ? sys::list_directory(fd->get()) : fail("");
    return names ? std::move(*names) : std::vector<std::string>();
  }

 private:
  static Content as_it_was(const Snapshot::Entry& entry) {
    Content out;
    out.kind = S_ISLNK(entry.mark.mode) ? Content::Kind::link : Content::Kind::file;
    out.executable = out.kind == Content::Kind::file && (entry.mark.mode & 0111) != 0;
    out.sha256 = entry.sha256;
    out.target = entry.target;
    if (entry.text) {
      out.bytes = *entry.text;
    } else if (!entry.read || entry.counts) {
      out.problem = "what it was is not kept";
    }
    return out;
  }

  int folder_;
  const Snapshot& before_;
};

bool differs(const Snapshot::Entry& before, const Snapshot::Entry& after) {
  if (before.mark != after.mark) return true;
  return before.read && after.read && (before.sha256 != after.sha256 || before.target != after.target);
}

std::vector<trust::Change> changes_between(int folder, const Snapshot& before, const Snapshot& after) {
  std::vector<trust::Change> out;
  for (const auto& [path, now] : after.entries) {
    const auto was = before.entries.find(path);
    if (was == before.entries.end()) {
      out.push_back({path, false, true});
    } else if (differs(was->second, now)) {
      out.push_back({path, true, true});
    }
  }
  for (const auto& [path, was] : before.entries) {
    // It may have been passed over, or have become something that no rule is about.
    if (!after.entries.contains(path) && !is_there(folder, path)) out.push_back({path, true, false});
  }
  return out;
}

json to_json(const Fingerprint& one) {
  return {{"kind", static_cast<int>(one.kind)},
          {"executable", one.executable},
          {"target", hex(one.target)},
          {"sha256", one.sha256}};
}

std::string unhexed(const json& value) {
  auto bytes = unhex(value.get<std::string>());
  if (!bytes) throw json::other_error::create(0, "not hex", nullptr);
  return std::move(*bytes);
}

Fingerprint fingerprint_from(const json& object) {
  Fingerprint out;
  out.kind = static_cast<Fingerprint::Kind>(std::clamp(object.at("kind").get<int>(), 0, 3));
  out.executable = object.at("executable").get<bool>();
  out.target = unhexed(object.at("target"));
  out.sha256 = object.at("sha256").get<std::string>();
  return out;
}

json to_json(const LiveFile& file) {
  json does = json::array();
  for (const std::string& line : file.handed.does) does.push_back(hex(line));
  json out{{"path", hex(file.handed.path)},
           {"class", static_cast<int>(file.handed.kind)},
           {"added", file.handed.added},
           {"removed", file.handed.removed},
           {"does", does},
           {"before", to_json(file.handed.before)},
           {"after", to_json(file.handed.after)},
           {"packages", hex(file.handed.packages)},
           {"rule", file.id},
           {"who", file.who},
           {"when", file.trigger},
           {"secret", file.secret},
           {"session", file.session},
           {"time", file.time}};
  if (file.text) out["text"] = *file.text;
  return out;
}

LiveFile file_from(const json& object) {
  LiveFile out;
  out.handed.path = unhexed(object.at("path"));
  out.handed.kind = static_cast<trust::Class>(std::clamp(object.at("class").get<int>(), 0, 2));
  out.handed.added = object.at("added").get<bool>();
  out.handed.removed = object.at("removed").get<bool>();
  for (const json& line : object.at("does")) out.handed.does.push_back(unhexed(line));
  out.handed.before = fingerprint_from(object.at("before"));
  out.handed.after = fingerprint_from(object.at("after"));
  out.handed.packages = unhexed(object.at("packages"));
  out.id = object.at("rule").get<std::string>();
  out.who = object.at("who").get<std::string>();
  out.trigger = object.at("when").get<std::string>();
  out.secret = object.at("secret").get<bool>();
  out.session = object.at("session").get<std::string>();
  out.time = object.at("time").get<std::string>();
  if (object.contains("text")) out.text = object.at("text").get<std::string>();
  return out;
}

json to_json(const LiveFolder& folder) {
  json files = json::array();
  for (const LiveFile& file : folder.files) files.push_back(to_json(file));
  return {{"v", 1},
          {"path", hex(folder.project.path)},
          {"inode", folder.project.inode},
          {"born", folder.project.born},
          {"session", folder.session},
          {"time", folder.time},
          {"files", files},
          {"more", folder.more},
          {"incomplete", hex(folder.incomplete)}};
}

Result<LiveFolder> folder_from(const std::string& text) {
  const json object = json::parse(text, nullptr, false);
  try {
    if (object.at("v") != 1) return fail("is of another version");
    LiveFolder out;
    out.project.path = unhexed(object.at("path"));
    out.project.inode = object.at("inode").get<std::uint64_t>();
    out.project.born = object.at("born").get<std::string>();
    out.session = object.at("session").get<std::string>();
    out.time = object.at("time").get<std::string>();
    for (const json& one : object.at("files")) out.files.push_back(file_from(one));
    out.more = object.at("more").get<std::size_t>();
    out.incomplete = unhexed(object.at("incomplete"));
    return out;
  } catch (const json::exception&) {
    return fail("is torn or not Bulkhead's");
  }
}

}  // namespace

Result<Compared> compare(int folder, const Snapshot& before, const trust::Catalogue& catalogue,
                         const trust::Project* pinned) {
  Snapshot after;
  after.above = before.above;
  // Of what builds run, only what differs is read.
  BH_TRY(const trust::Found found, trust::find_controls(folder, catalogue, {.builds_read = 0}, &after));
  Compared out;
  out.incomplete = trust::why_incomplete(before, after);
  LiveTrees trees(folder, before);
  trust::Surroundings around;
  around.above = before.above;
  const trust::Classified classified =
      trust::classify(catalogue, changes_between(folder, before, after), trees, around);
  for (const trust::Handed& one : classified.handed) {
    if (trust::is_trusted(one, pinned)) continue;
    LiveFile file;
    file.handed = one;
    const trust::Rule& rule = catalogue.rule(one.rule);
    file.id = rule.id;
    file.who = rule.who;
    file.trigger = rule.trigger;
    file.secret = rule.secret;
    const auto was = before.entries.find(one.path);
    if (was != before.entries.end() && S_ISREG(was->second.mark.mode)) file.text = was->second.text;
    out.files.push_back(std::move(file));
  }
  return out;
}

Now state_of(const LiveFile& file, int folder, const trust::Project* pinned) {
  trust::Handed now = file.handed;
  now.after = is_there(folder, now.path) ? trust::fingerprint_of(read_now(folder, now.path)) : Fingerprint();
  if (trust::is_trusted(now, pinned)) return Now::trusted;
  const Fingerprint& before = file.handed.before;
  const bool known = before.kind == Fingerprint::Kind::none || !before.sha256.empty();
  if (known && now.after == before) return Now::back;
  return now.after == file.handed.after ? Now::as_left : Now::changed;
}

std::optional<std::string> text_now(const LiveFile& file, int folder) {
  if (file.handed.removed) return "";
  if (file.handed.after.kind != Fingerprint::Kind::file) return std::nullopt;
  Content content = read_now(folder, file.handed.path);
  const bool text = content.problem.empty() && content.bytes.find('\0') == std::string::npos;
  if (!text || trust::fingerprint_of(content) != file.handed.after) return std::nullopt;
  return std::move(content.bytes);
}

Result<LiveStore> LiveStore::open(const session::Paths& paths, bool make) {
  LiveStore out;
  BH_TRY(const session::Store store, make ? session::Store::open(paths) : session::Store::open_existing(paths));
  auto folder = store.folder("handoff", make);
  if (!folder && folder.error().code == ENOENT && !make) return out;
  if (!folder) return tl::unexpected(std::move(folder).error());
  out.folder_ = std::move(*folder);
  // The folder itself, once more: no file is left for that.
  BH_TRY(out.lock_, sys::open_at(out.folder_.get(), ".", O_RDONLY | O_DIRECTORY));
  if (::flock(out.lock_.get(), LOCK_EX) != 0) return fail_errno("flock", "handoff", errno);
  return out;
}

Result<LiveFolder> LiveStore::read(const std::string& key) const {
  const std::string name = key + std::string(suffix);
  BH_TRY(const UniqueFd fd, sys::open_at2(folder_.get(), name, O_RDONLY | O_NONBLOCK, one_name));
  BH_TRY(const struct stat st, sys::stat_fd(fd.get(), name));
  if (!S_ISREG(st.st_mode) || st.st_uid != ::geteuid()) return fail("\"" + name + "\" is no file of yours");
  BH_TRY(const std::string text, sys::read_all(fd.get(), max_state, name));
  auto folder = folder_from(text);
  if (!folder) return fail("\"handoff/" + name + "\" " + folder.error().message);
  if (folder->project.key() != key) return fail("\"handoff/" + name + "\" is about another folder than its name says");
  return folder;
}

std::optional<LiveFolder> LiveStore::find(const trust::Project& folder, std::string& problem) const {
  if (!folder_) return std::nullopt;
  auto found = read(folder.key());
  if (found) return std::move(*found);
  if (found.error().code != ENOENT) problem = found.error().message;
  return std::nullopt;
}

std::vector<LiveFolder> LiveStore::list(std::vector<std::string>& problems) const {
  std::vector<LiveFolder> out;
  if (!folder_) return out;
  const auto names = sys::list_directory(folder_.get());
  if (!names) problems.push_back(names.error().message);
  for (const std::string& name : names.value_or(std::vector<std::string>())) {
    if (!name.ends_with(suffix) || name.starts_with('.')) continue;
    auto folder = read(name.substr(0, name.size() - suffix.size()));
    if (folder) {
      out.push_back(std::move(*folder));
    } else if (folder.error().code != ENOENT) {
      problems.push_back(folder.error().message);
    }
  }
  std::ranges::sort(out, {}, [](const LiveFolder& one) { return one.project.path; });
  return out;
}

Result<void> LiveStore::save(const LiveFolder& folder) const {
  const std::string name = folder.project.key() + std::string(suffix);
  if (!folder.files.empty() || folder.more > 0 || !folder.incomplete.empty()) {
    return sys::replace_at(folder_.get(), name, to_json(folder).dump() + "\n", 0600);
  }
  if (::unlinkat(folder_.get(), name.c_str(), 0) != 0 && errno != ENOENT) return fail_errno("unlink", name, errno);
  return {};
}

void join(LiveFolder& into, std::vector<LiveFile> files) {
  for (LiveFile& fresh : files) {
    const auto same = [&](const LiveFile& one) { return one.handed.path == fresh.handed.path; };
    const auto earlier = std::ranges::find_if(into.files, same);
    if (earlier != into.files.end()) {
      fresh.handed.before = earlier->handed.before;
      fresh.handed.added = earlier->handed.added;
      fresh.text = std::move(earlier->text);
      into.files.erase(earlier);
      if (fresh.handed.before == fresh.handed.after) continue;
    }
    into.files.push_back(std::move(fresh));
  }
  std::ranges::sort(into.files, [](const LiveFile& a, const LiveFile& b) {
    return std::pair(a.handed.kind, std::string_view(a.handed.path)) <
           std::pair(b.handed.kind, std::string_view(b.handed.path));
  });
  if (into.files.size() > max_files) {
    into.more += into.files.size() - max_files;
    into.files.resize(max_files);
  }
}

}  // namespace bulkhead::handoff

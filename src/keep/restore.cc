#include "keep/restore.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <tuple>

#include "base/sys.h"
#include "base/text.h"
#include "keep/original.h"
#include "keep/place.h"

namespace bulkhead::keep {
namespace {

constexpr std::size_t max_about = 64 * 1024;
constexpr std::size_t max_lines = std::size_t{256} << 20;
constexpr std::size_t piece = std::size_t{1} << 20;
constexpr int deepest = 512;

std::string below(const std::string& folder, const std::string& name) {
  return folder.empty() ? name : folder + "/" + name;
}

bool at_or_below(const std::string& path, const std::string& folder) {
  return folder.empty() || path == folder || path.starts_with(folder + "/");
}

Result<std::vector<std::string>> names_in(int folder) {
  BH_TRY(const UniqueFd listed, open_beneath(folder, ".", O_RDONLY | O_DIRECTORY));
  BH_TRY(std::vector<std::string> names, sys::list_directory(listed.get()));
  std::sort(names.begin(), names.end());
  return names;
}

Result<Tree> kept_tree(int store, const KeptFolder& of) {
  BH_TRY(UniqueFd folder, open_beneath(store, of.session + "/" + of.name, O_RDONLY | O_DIRECTORY));
  return Tree(std::move(folder));
}

// By the path it had, through no link.
Result<Tree> mounted_tree(const KeptFolder& of) {
  BH_TRY(UniqueFd folder, sys::open_at2(AT_FDCWD, of.folder, O_PATH | O_DIRECTORY | O_CLOEXEC, RESOLVE_NO_SYMLINKS));
  return Tree(std::move(folder));
}

Result<bool> same_content(const Place& a, const Place& b, const struct stat& st) {
  if (S_ISLNK(st.st_mode)) {
    char one[4097], other[4097];
    const ssize_t n = ::readlinkat(a.folder.get(), a.name.c_str(), one, sizeof one);
    const ssize_t m = ::readlinkat(b.folder.get(), b.name.c_str(), other, sizeof other);
    return n >= 0 && n == m &&
           std::string_view(one, static_cast<std::size_t>(n)) == std::string_view(other, static_cast<std::size_t>(m));
  }
  if (!S_ISREG(st.st_mode)) return true;
  BH_TRY(const UniqueFd one, open_beneath(a.folder.get(), a.name, O_RDONLY | O_NONBLOCK | O_NOCTTY));
  BH_TRY(const UniqueFd other, open_beneath(b.folder.get(), b.name, O_RDONLY | O_NONBLOCK | O_NOCTTY));
  BH_TRY(Attributes first, read_attributes(one.get()));
  BH_TRY(Attributes second, read_attributes(other.get()));
  std::sort(first.begin(), first.end());
  std::sort(second.begin(), second.end());
  if (first != second) return false;
  std::string left(piece, '\0'), right(piece, '\0');
  for (off_t at = 0; at < st.st_size;) {
    const ssize_t n = ::pread(one.get(), left.data(), left.size(), at);
    if (n <= 0) return fail_errno("pread", a.name, n < 0 ? errno : EIO);
    ssize_t got = 0;
    while (got < n) {
      const ssize_t m = ::pread(other.get(), right.data() + got, static_cast<std::size_t>(n - got), at + got);
      if (m <= 0) return false;
      got += m;
    }
    if (left.compare(0, static_cast<std::size_t>(n), right, 0, static_cast<std::size_t>(n)) != 0) return false;
    at += n;
  }
  return true;
}

Now compare(const Place& kept, const Result<Place>& place) {
  if (!place) return Now::missing;
  const auto is = look(*place), was = look(kept);
  if (!is || !was) return Now::missing;
  if (is->st_dev == was->st_dev && is->st_ino == was->st_ino) return Now::same;
  const bool metadata = is->st_mode == was->st_mode && is->st_uid == was->st_uid && is->st_gid == was->st_gid &&
                        is->st_size == was->st_size && is->st_mtim.tv_sec == was->st_mtim.tv_sec &&
                        is->st_mtim.tv_nsec == was->st_mtim.tv_nsec;
  // Times alone say nothing: who changed the content may have put them back.
  const auto content = metadata ? same_content(kept, *place, *was) : Result<bool>(false);
  return content && *content ? Now::same : Now::changed;
}

Result<void> collect(const Tree& kept, const Tree* mounted, const std::string& generation, const std::string& path,
                     int depth, std::vector<KeptOriginal>& out) {
  if (depth == deepest) return fail("folders too deep", ENAMETOOLONG);
  BH_TRY(const UniqueFd folder, open_beneath(kept.root(), below(generation, path), O_RDONLY | O_DIRECTORY));
  BH_TRY(const std::vector<std::string> names, names_in(folder.get()));
  for (const std::string& name : names) {
    const std::string at = below(path, name);
    BH_TRY(const Place place, kept.find(generation + "/" + at));
    BH_TRY(const struct stat st, look(place));
    if (S_ISDIR(st.st_mode)) {
      BH_CHECK(collect(kept, mounted, generation, at, depth + 1, out));
      continue;
    }
    KeptOriginal one;
    one.path = at;
    one.kept = generation + "/" + at;
    one.type = S_ISREG(st.st_mode) ? 'f' : S_ISLNK(st.st_mode) ? 'l' : 'o';
    one.size = static_cast<std::uint64_t>(st.st_size);
    if (mounted != nullptr) one.now = compare(place, mounted->find(at));
    out.push_back(std::move(one));
  }
  return {};
}

std::vector<std::string> generations(const std::vector<std::string>& names) {
  std::vector<std::string> out{"files"};
  for (int i = 1;; ++i) {
    const std::string name = "again-" + std::to_string(i);
    if (std::find(names.begin(), names.end(), name) == names.end()) return out;
    out.push_back(name);
  }
}

// What a folder was like (mirror.h). A line that is half written ends the list.
struct Folder {
  mode_t mode = 0;
  uid_t uid = 0;
  gid_t gid = 0;
  timespec times[2] = {};
  Attributes attributes;
};

Result<std::map<std::string, Folder>> folder_lines(const Tree& kept) {
  std::map<std::string, Folder> out;
  BH_TRY(const struct stat own, sys::stat_fd(kept.root(), "kept"));
  auto fd = open_beneath(kept.root(), "folders.jsonl", O_RDONLY);
  if (!fd && fd.error().code == ENOENT) return out;
  if (!fd) return tl::unexpected(std::move(fd).error());
  BH_TRY(const std::string text, sys::read_all(fd->get(), max_lines, "folders.jsonl"));
  for (const std::string& line : split(text, '\n')) {
    const nlohmann::json object = nlohmann::json::parse(line, nullptr, false);
    if (!object.is_object()) continue;
    try {
      std::optional<std::string> path = object.contains("path") ? object.at("path").get<std::string>()
                                                                : unhex(object.at("path_hex").get<std::string>());
      if (!path) continue;
      Folder folder;
      folder.mode = object.at("mode").get<mode_t>();
      folder.uid = object.value("uid", own.st_uid);
      folder.gid = object.value("gid", own.st_gid);
      folder.times[0].tv_nsec = UTIME_OMIT;
      folder.times[1] = {object.at("mtime").at(0).get<time_t>(), object.at("mtime").at(1).get<long>()};
      for (const auto& [name, value] : object.value("xattrs", nlohmann::json::object()).items()) {
        auto plain_name = unhex(name), plain_value = unhex(value.get<std::string>());
        if (plain_name && plain_value) folder.attributes.emplace_back(*plain_name, *plain_value);
      }
      out.emplace(*path, std::move(folder));  // the first is what it was at the start
    } catch (const nlohmann::json::exception&) {
      continue;
    }
  }
  return out;
}

class Restorer {
 public:
  Restorer(Tree kept, Tree mounted, std::map<std::string, Folder> folders)
      : kept_(std::move(kept)), mounted_(std::move(mounted)), folders_(std::move(folders)) {}

  Result<void> file(const KeptOriginal& original, Restored& out) {
    BH_TRY(const Place from, kept_.find(original.kept));
    BH_TRY(const Place to, place_for(original.path, out));
    if (compare(from, mounted_.find(original.path)) == Now::same) return {};
    BH_TRY(const UniqueFd folder, open_beneath(to.folder.get(), ".", O_RDONLY | O_DIRECTORY));
    BH_TRY(const struct stat before, sys::stat_fd(folder.get(), original.path));
    // Whole and on the disk before anything is moved out of its way.
    const Place made{UniqueFd(::fcntl(to.folder.get(), F_DUPFD_CLOEXEC, 3)),
                     ".bulkhead-restore-" + std::to_string(::getpid()) + "-" + std::to_string(count_++)};
    BH_CHECK(copy_node(from, made));
    auto placed = put_aside(to, original.path, out);
    if (placed &&
        ::renameat2(made.folder.get(), made.name.c_str(), to.folder.get(), to.name.c_str(), RENAME_NOREPLACE) != 0) {
      placed = fail_errno("rename", original.path, errno);
    }
    if (!placed) {
      (void)::unlinkat(made.folder.get(), made.name.c_str(), 0);
      return placed;
    }
    out.files.push_back(original.path);
    // To be as it was is not to change the folder; what else had changed it, its line knows.
    const timespec times[2] = {before.st_atim, before.st_mtim};
    return ::futimens(folder.get(), times) == 0 ? Result<void>() : fail_errno("futimens", original.path, errno);
  }

  // Folders as they were, the innermost first: what is done in one changes its time.
  Result<void> folders(const std::string& path, Restored& out) {
    for (const auto& [name, was] : folders_) {
      if (at_or_below(name, path) && !name.empty()) (void)place_for(name + "/.", out);
    }
    for (auto it = folders_.rbegin(); it != folders_.rend(); ++it) {
      if (!at_or_below(it->first, path)) continue;
      auto fd = open_beneath(mounted_.root(), it->first, O_RDONLY | O_DIRECTORY);
      if (!fd) continue;  // said already, with what is in it
      if (auto done = apply(fd->get(), it->second); !done)
        out.failed.push_back(it->first + ": " + done.error().message);
    }
    return {};
  }

 private:
  static Result<void> apply(int fd, const Folder& was) {
    BH_CHECK(write_attributes(fd, was.attributes));
    (void)!::fchown(fd, was.uid, was.gid);
    if (::fchmod(fd, was.mode) != 0) return fail_errno("fchmod", "folder", errno);
    return ::futimens(fd, was.times) == 0 ? Result<void>() : fail_errno("futimens", "folder", errno);
  }

  // With the folders above it, made where they are missing. What is no folder there goes aside.
  Result<Place> place_for(const std::string& path, Restored& out) {
    BH_TRY(UniqueFd folder, open_beneath(mounted_.root(), ".", O_PATH | O_DIRECTORY));
    for (std::size_t begin = 0;;) {
      const std::size_t slash = path.find('/', begin);
      std::string name = path.substr(begin, slash == std::string::npos ? slash : slash - begin);
      if (slash == std::string::npos) return Place{std::move(folder), std::move(name)};
      auto next = open_beneath(folder.get(), name, O_PATH | O_DIRECTORY);
      if (!next) {
        const std::string here = path.substr(0, slash);
        const Place place{std::move(folder), name};
        BH_CHECK(put_aside(place, here, out));
        const auto was = folders_.find(here);
        const mode_t mode = was == folders_.end() ? 0755 : was->second.mode;
        if (::mkdirat(place.folder.get(), name.c_str(), mode | 0700) != 0) return fail_errno("mkdir", here, errno);
        next = open_beneath(place.folder.get(), name, O_PATH | O_DIRECTORY);
      }
      if (!next) return tl::unexpected(std::move(next).error());
      folder = std::move(*next);
      begin = slash + 1;
    }
  }

  Result<void> put_aside(const Place& place, const std::string& path, Restored& out) {
    const auto st = look(place);
    if (!st && st.error().code == ENOENT) return {};
    if (!st) return tl::unexpected(st.error());
    BH_TRY(const Place to, aside(path, out));
    if (::renameat2(place.folder.get(), place.name.c_str(), to.folder.get(), to.name.c_str(), RENAME_NOREPLACE) != 0) {
      if (errno != EXDEV) return fail_errno("rename", path, errno);
      if (S_ISDIR(st->st_mode)) return fail("a folder stands there; move it away first", EEXIST);
      BH_CHECK(copy_node(place, to));
      if (::unlinkat(place.folder.get(), place.name.c_str(), 0) != 0) return fail_errno("unlink", path, errno);
    }
    out.aside.push_back(path);
    return {};
  }

  Result<Place> aside(const std::string& path, Restored& out) {
    for (int i = 1; out.replaced.empty(); ++i) {
      const std::string name = "replaced-" + std::to_string(i);
      if (::mkdirat(kept_.root(), name.c_str(), 0700) == 0)
        out.replaced = name;
      else if (errno != EEXIST)
        return fail_errno("mkdir", name, errno);
    }
    BH_TRY(UniqueFd folder, open_beneath(kept_.root(), out.replaced, O_PATH | O_DIRECTORY));
    for (std::size_t begin = 0;;) {
      const std::size_t slash = path.find('/', begin);
      std::string name = path.substr(begin, slash == std::string::npos ? slash : slash - begin);
      if (slash == std::string::npos) return Place{std::move(folder), std::move(name)};
      if (::mkdirat(folder.get(), name.c_str(), 0700) != 0 && errno != EEXIST) return fail_errno("mkdir", name, errno);
      BH_TRY(folder, open_beneath(folder.get(), name, O_PATH | O_DIRECTORY));
      begin = slash + 1;
    }
  }

  Tree kept_, mounted_;
  std::map<std::string, Folder> folders_;
  int count_ = 0;
};

}  // namespace

const char* name_of(Now now) {
  switch (now) {
    case Now::missing:
      return "missing";
    case Now::changed:
      return "changed";
    case Now::same:
      return "same";
  }
  return "?";
}

Result<std::vector<KeptFolder>> kept_folders(int store) {
  std::vector<KeptFolder> out;
  if (store < 0) return out;
  BH_TRY(const std::vector<std::string> sessions, names_in(store));
  for (const std::string& session : sessions) {
    const auto opened = open_beneath(store, session, O_RDONLY | O_DIRECTORY);
    if (!opened) continue;
    BH_TRY(const std::vector<std::string> names, names_in(opened->get()));
    for (const std::string& name : names) {
      const auto file = open_beneath(opened->get(), name + "/mount.json", O_RDONLY);
      const auto text = file ? sys::read_all(file->get(), max_about, "mount.json") : Result<std::string>();
      const nlohmann::json about = nlohmann::json::parse(text ? *text : "", nullptr, false);
      if (!about.is_object()) continue;
      try {
        auto folder = unhex(about.at("folder").get<std::string>());
        if (folder)
          out.push_back(
              {session, name, *folder, about.at("started").get<std::string>(), about.at("order").get<std::int64_t>()});
      } catch (const nlohmann::json::exception&) {
        continue;
      }
    }
  }
  std::ranges::sort(out, {}, [](const KeptFolder& one) { return std::tie(one.order, one.session, one.name); });
  return out;
}

Result<std::vector<KeptOriginal>> kept_originals(int store, const KeptFolder& of) {
  BH_TRY(const Tree kept, kept_tree(store, of));
  const auto mounted = mounted_tree(of);  // gone: everything is missing
  BH_TRY(const std::vector<std::string> names, names_in(kept.root()));
  std::vector<KeptOriginal> out;
  for (const std::string& generation : generations(names)) {
    if (std::find(names.begin(), names.end(), generation) == names.end()) continue;
    BH_CHECK(collect(kept, mounted ? &*mounted : nullptr, generation, "", 0, out));
  }
  std::ranges::sort(out, {}, [](const KeptOriginal& one) {
    return std::make_tuple(std::string_view(one.path), !one.kept.starts_with("files/"), std::string_view(one.kept));
  });
  return out;
}

Result<Restored> restore(int store, const KeptFolder& of, const std::string& path) {
  BH_TRY(const std::vector<KeptOriginal> originals, kept_originals(store, of));
  BH_TRY(Tree kept, kept_tree(store, of));
  BH_TRY(Tree mounted, mounted_tree(of));
  auto folders = folder_lines(kept);
  if (!folders) return tl::unexpected(std::move(folders).error());
  Restorer restorer(std::move(kept), std::move(mounted), std::move(*folders));
  Restored out;
  std::string last;
  for (const KeptOriginal& one : originals) {
    if (!at_or_below(one.path, path) || (one.path == last && !last.empty())) continue;
    last = one.path;
    if (auto done = restorer.file(one, out); !done) out.failed.push_back(one.path + ": " + done.error().message);
  }
  BH_CHECK(restorer.folders(path, out));
  return out;
}

Result<std::uint64_t> kept_bytes(int store, const std::string& session) {
  constexpr std::uint64_t block = 512;  // st_blocks' unit
  std::uint64_t bytes = 0;
  std::vector<std::string> waiting{session};
  while (!waiting.empty()) {
    const std::string at = std::move(waiting.back());
    waiting.pop_back();
    BH_TRY(const UniqueFd folder, open_beneath(store, at, O_RDONLY | O_DIRECTORY));
    BH_TRY(const std::vector<std::string> names, sys::list_directory(folder.get()));
    for (const std::string& name : names) {
      struct stat st{};
      if (::fstatat(folder.get(), name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) continue;
      if (S_ISDIR(st.st_mode)) {
        waiting.push_back(at + "/" + name);
      } else if (st.st_nlink == 1) {
        bytes += static_cast<std::uint64_t>(st.st_blocks) * block;
      }
    }
  }
  return bytes;
}

Result<void> forget(int store, const std::string& session) {
  return sys::remove_tree(store, session);
}

}  // namespace bulkhead::keep

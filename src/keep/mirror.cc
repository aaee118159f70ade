#include "keep/mirror.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include <nlohmann/json.hpp>

#include "base/sys.h"
#include "base/text.h"

namespace bulkhead::keep {
namespace {

constexpr int generations = 100;
constexpr unsigned nobodys = 65534;  // the kernel's overflow uid and gid

Result<UniqueFd> folder_in(int parent, const std::string& name) {
  if (::mkdirat(parent, name.c_str(), 0700) != 0 && errno != EEXIST) return fail_errno("mkdir", name, errno);
  return open_beneath(parent, name, O_RDONLY | O_DIRECTORY);
}

Result<void> sync_folder(const Place& place) {
  BH_TRY(const UniqueFd folder, open_beneath(place.folder.get(), ".", O_RDONLY | O_DIRECTORY));
  return ::fsync(folder.get()) == 0 ? Result<void>() : fail_errno("fsync", "kept folder", errno);
}

}  // namespace

Mirror::Mirror(Mirror&& other) noexcept
    : root_(std::move(other.root_)),
      making_(std::move(other.making_)),
      journal_(std::move(other.journal_)),
      folders_(std::move(other.folders_)) {}

Result<Mirror> Mirror::open(UniqueFd folder) {
  Mirror mirror;
  mirror.root_ = std::move(folder);
  BH_TRY(mirror.making_, folder_in(mirror.root_.get(), "making"));
  BH_TRY(const UniqueFd files, folder_in(mirror.root_.get(), "files"));
  BH_TRY(mirror.journal_,
         sys::open_at(mirror.root_.get(), "folders.jsonl", O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW, 0600));
  return mirror;
}

Result<Place> Mirror::place_for(const std::string& generation, std::string_view path) {
  BH_TRY(UniqueFd folder, folder_in(root_.get(), generation));
  for (std::string_view rest = path;;) {
    const std::size_t slash = rest.find('/');
    const std::string name(rest.substr(0, slash));
    if (slash == std::string_view::npos) return Place{std::move(folder), name};
    BH_TRY(folder, folder_in(folder.get(), name));
    rest.remove_prefix(slash + 1);
  }
}

// In the first generation that has room at that path.
template <class Put>
Result<std::string> Mirror::put(std::string_view path, const Put& put) {
  for (int i = 0; i < generations; ++i) {
    const std::string generation = i == 0 ? "files" : "again-" + std::to_string(i);
    auto to = place_for(generation, path);
    if (!to && (to.error().code == ENOTDIR || to.error().code == ELOOP)) continue;
    if (!to) return tl::unexpected(std::move(to).error());
    const int failed = put(*to) == 0 ? 0 : errno;
    if (failed == 0) return generation + "/" + std::string(path);
    if (failed != EEXIST) return fail_errno("keep", path, failed);
  }
  return fail("kept too often: " + std::string(path), EDQUOT);
}

Result<std::string> Mirror::take(const Place& from, std::string_view path) {
  return put(path, [&](const Place& to) {
    return ::renameat2(from.folder.get(), from.name.c_str(), to.folder.get(), to.name.c_str(), RENAME_NOREPLACE);
  });
}

Result<std::string> Mirror::link(const Place& from, std::string_view path) {
  return put(path, [&](const Place& to) {
    return ::linkat(from.folder.get(), from.name.c_str(), to.folder.get(), to.name.c_str(), 0);
  });
}

Result<Place> Mirror::fresh() {
  BH_TRY(UniqueFd folder, sys::duplicate(making_.get()));
  const std::scoped_lock held(mutex_);
  return Place{std::move(folder), std::to_string(::getpid()) + "-" + std::to_string(count_++)};
}

Result<Place> Mirror::find(const std::string& kept) {
  BH_TRY(UniqueFd root, sys::duplicate(root_.get()));
  return Tree(std::move(root)).find(kept);
}

Result<struct stat> Mirror::look_at(const std::string& kept) {
  BH_TRY(const Place place, find(kept));
  return look(place);
}

// A whole copy goes to its place, and that to the disk.
Result<std::string> Mirror::settle(const Place& made, std::string_view path) {
  auto kept = take(made, path);
  if (!kept) {
    (void)::unlinkat(made.folder.get(), made.name.c_str(), 0);
    return kept;
  }
  BH_TRY(const Place place, find(*kept));
  BH_CHECK(sync_folder(place));
  return kept;
}

Result<std::string> Mirror::copy(const Place& from, std::string_view path) {
  BH_TRY(const Place made, fresh());
  BH_CHECK(copy_node(from, made));
  return settle(made, path);
}

Result<std::string> Mirror::copy(int open_file, std::string_view path) {
  BH_TRY(const Place made, fresh());
  BH_CHECK(copy_open_file(open_file, made));
  return settle(made, path);
}

Result<std::string> Mirror::again(const std::string& kept, std::string_view path) {
  BH_TRY(const Place place, find(kept));
  auto linked = link(place, path);
  return linked ? linked : copy(place, path);
}

Result<void> Mirror::separate(const std::string& kept) {
  BH_TRY(const Place place, find(kept));
  BH_TRY(const Place made, fresh());
  BH_CHECK(copy_node(place, made));
  if (::renameat(made.folder.get(), made.name.c_str(), place.folder.get(), place.name.c_str()) != 0) {
    const int failed = errno;
    (void)::unlinkat(made.folder.get(), made.name.c_str(), 0);
    return fail_errno("rename", kept, failed);
  }
  return sync_folder(place);
}

Result<void> Mirror::folder(int fd, std::string_view path) {
  {
    const std::scoped_lock held(mutex_);
    if (folders_.contains(path)) return {};
  }
  BH_TRY(const struct stat st, sys::stat_fd(fd, path));
  BH_TRY(const Attributes attributes, read_attributes(fd));
  nlohmann::json line{{"mode", st.st_mode & 07777}, {"mtime", {st.st_mtim.tv_sec, st.st_mtim.tv_nsec}}};
  // The session's own number is whoever the kept folder belongs to on the disk: started as root they differ. Another's
  // has none here.
  if (st.st_uid != ::getuid() && st.st_uid != nobodys) line["uid"] = st.st_uid;
  if (st.st_gid != ::getgid() && st.st_gid != nobodys) line["gid"] = st.st_gid;
  if (valid_utf8(path)) {
    line["path"] = path;
  } else {
    line["path_hex"] = hex(path);
  }
  for (const auto& [name, value] : attributes) line["xattrs"][hex(name)] = hex(value);
  const std::string text = line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
  if (!path.empty()) {
    // Its place in the mirror says that it was a folder; where a file of the name is kept, this line does.
    (void)place_for("files", std::string(path) + "/.");
  }
  const std::scoped_lock held(mutex_);
  if (folders_.contains(path)) return {};
  BH_CHECK(sys::write_all(journal_.get(), text, "folders.jsonl"));
  folders_.emplace(path);
  return {};
}

}  // namespace bulkhead::keep

#include "image/cache.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "base/own.h"
#include "base/sys.h"
#include "base/text.h"

namespace bulkhead::image {
namespace {

using nlohmann::json;

constexpr std::size_t max_note = 4U << 20;

constexpr OwnStore own{"the cache of images", "remove it, and it is made anew"};

Result<Entry> read_note(int folder, const std::string& digest) {
  BH_TRY(const UniqueFd file, sys::open_at(folder, "image.json", O_RDONLY | O_NOFOLLOW | O_NONBLOCK));
  BH_CHECK(judge_own(file.get(), "image.json", own));
  BH_TRY(const std::string text, sys::read_all(file.get(), max_note, "image.json"));
  const json note = json::parse(text, nullptr, false);
  const auto number = [&](const char* key) {
    const auto found = note.find(key);
    return found != note.end() && found->is_number_unsigned() ? found->get<std::uint64_t>() : 0;
  };
  if (!note.is_object() || number("version") != 1 || note.value("digest", json()) != json("sha256:" + digest) ||
      !note.value("environment", json()).is_object()) {
    return fail("its image.json is damaged");
  }
  Entry out;
  for (const auto& [name, value] : note["environment"].items()) {
    if (!value.is_string()) return fail("its image.json is damaged");
    out.environment[name] = value.get<std::string>();
  }
  out.size = {number("bytes"), number("files")};
  if (const auto from = note.find("path"); from != note.end() && from->is_string()) out.from = from->get<std::string>();
  return out;
}

// Its own name still, and not what has been moved away to be removed.
bool still_there(int parent, const std::string& name, int fd) {
  struct stat named{}, opened{};
  return ::fstatat(parent, name.c_str(), &named, AT_SYMLINK_NOFOLLOW) == 0 && ::fstat(fd, &opened) == 0 &&
         named.st_dev == opened.st_dev && named.st_ino == opened.st_ino;
}

// False: somebody else has it.
Result<bool> lock_now(int fd, int how, const std::string& name) {
  while (::flock(fd, how | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK) return false;
    if (errno != EINTR) return fail_errno("flock", name, errno);
  }
  return true;
}

bool is_digest(const std::string& name) {
  return name.size() == 64 &&
         std::ranges::all_of(name, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

Result<void> sync(int fd, const std::string& name) {
  return ::fsync(fd) == 0 ? Result<void>() : fail_errno("fsync", name, errno);
}

}  // namespace

Result<Cache> Cache::open(const std::string& folder, bool make) {
  const std::string path = folder + "/images";
  if (make) BH_CHECK(sys::make_directories(path, 0700));
  BH_TRY(const UniqueFd above, sys::open(folder, O_PATH | O_DIRECTORY));
  BH_CHECK(judge_own(above.get(), folder, own));
  BH_TRY(UniqueFd fd, own_folder(above.get(), "images", path, own));
  // By whatever mask it was made.
  if (::fchmod(fd.get(), 0700) != 0) return fail_errno("fchmod", path, errno);
  BH_TRY(std::string real, sys::path_of(fd.get()));
  return Cache(std::move(real), std::move(fd));
}

Result<std::optional<Entry>> Cache::find(const std::string& digest) const {
  const std::string path = path_ + "/" + digest;
  auto folder = own_folder(folder_.get(), digest, path, own);
  if (!folder && folder.error().code == ENOENT) return std::nullopt;
  if (!folder) return tl::unexpected(std::move(folder).error());
  BH_TRY(const bool locked, lock_now(folder->get(), LOCK_SH, path));
  if (!locked || !still_there(folder_.get(), digest, folder->get())) return std::nullopt;  // somebody removes it
  BH_TRY(const UniqueFd root, own_folder(folder->get(), "root", path + "/root", own));
  auto entry = read_note(folder->get(), digest);
  if (!entry)
    return fail(escape_for_terminal(path) + ": " + entry.error().message + "; remove it, and it is made anew");
  entry->folder = path + "/root";
  entry->use = std::move(*folder);
  return std::move(*entry);
}

Result<UniqueFd> Cache::lock(const std::string& digest) const {
  BH_TRY(UniqueFd file, sys::open_at(folder_.get(), digest + ".lock", O_RDWR | O_CREAT | O_NOFOLLOW, 0600));
  while (::flock(file.get(), LOCK_EX) != 0) {
    if (errno != EINTR) return fail_errno("flock", digest + ".lock", errno);
  }
  return file;
}

Result<std::string> Cache::begin(const std::string& digest) const {
  const std::string name = digest + ".new";
  BH_CHECK(sys::remove_tree(folder_.get(), name));
  if (::mkdirat(folder_.get(), name.c_str(), 0700) != 0) return fail_errno("mkdir", name, errno);
  return path_ + "/" + name;
}

Result<Entry> Cache::finish(const std::string& digest, const Entry& entry) const {
  const std::string name = digest + ".new";
  BH_TRY(const UniqueFd made, sys::open_at(folder_.get(), name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  const json note = {{"version", 1},       {"digest", "sha256:" + digest}, {"environment", entry.environment},
                     {"path", entry.from}, {"bytes", entry.size.bytes},    {"files", entry.size.files}};
  BH_CHECK(
      sys::replace_at(made.get(), "image.json", note.dump(2, ' ', false, json::error_handler_t::replace) + "\n", 0600));
  // All of it at once: a sync for each of thousands of files would take minutes.
  if (::syncfs(made.get()) != 0) return fail_errno("syncfs", name, errno);
  if (::renameat2(folder_.get(), name.c_str(), folder_.get(), digest.c_str(), RENAME_NOREPLACE) != 0) {
    return fail_errno("rename", name, errno);
  }
  BH_CHECK(sync(folder_.get(), path_));
  BH_TRY(auto made_entry, find(digest));
  if (!made_entry) return fail(escape_for_terminal(path_ + "/" + digest) + " was removed while it was made");
  return std::move(*made_entry);
}

void Cache::abandon(const std::string& digest) const {
  (void)sys::remove_tree(folder_.get(), digest + ".new");
}

void Cache::mark_used(const Entry& entry) const {
  (void)::futimens(entry.use.get(), nullptr);
}

Result<std::vector<Listed>> Cache::list() const {
  BH_TRY(const std::vector<std::string> names, sys::list_directory(folder_.get()));
  std::set<std::string> digests;
  for (const std::string& name : names) {
    const std::string digest = name.ends_with(".new") ? name.substr(0, name.size() - 4) : name;
    if (is_digest(digest)) digests.insert(digest);
  }
  std::vector<Listed> out;
  for (const std::string& digest : digests) {
    Listed one{.digest = digest, .size = {}, .from = "", .used = 0, .in_use = false, .damage = ""};
    // Held meanwhile: who looks for the entry below may find it locked, and then waits for this.
    BH_TRY(const UniqueFd making, sys::open_at(folder_.get(), digest + ".lock", O_RDWR | O_CREAT | O_NOFOLLOW, 0600));
    BH_TRY(const bool free, lock_now(making.get(), LOCK_EX, digest));
    one.in_use = !free;
    const auto folder = sys::open_at(folder_.get(), digest, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    if (folder) {
      BH_TRY(const struct stat st, sys::stat_fd(folder->get(), digest));
      one.used = st.st_mtime;
      if (free) {
        BH_TRY(const bool alone, lock_now(folder->get(), LOCK_EX, digest));
        one.in_use = !alone;
        ::flock(folder->get(), LOCK_UN);
      }
      auto entry = find(digest);
      if (!entry) one.damage = entry.error().message;
      if (entry && *entry) {
        one.size = (*entry)->size;
        one.from = (*entry)->from;
      }
    } else if (!one.in_use) {
      one.damage = "it was never finished";
    }
    out.push_back(std::move(one));
  }
  return out;
}

Result<Removal> Cache::remove(const std::string& digest) const {
  BH_TRY(const UniqueFd making, sys::open_at(folder_.get(), digest + ".lock", O_RDWR | O_CREAT | O_NOFOLLOW, 0600));
  BH_TRY(const bool ours, lock_now(making.get(), LOCK_EX, digest));
  if (!ours) return Removal::in_use;
  const std::string beside = digest + ".new";
  struct stat st{};
  const bool left = ::fstatat(folder_.get(), beside.c_str(), &st, AT_SYMLINK_NOFOLLOW) == 0;
  auto folder = sys::open_at(folder_.get(), digest, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  if (!folder && folder.error().code != ENOENT) return tl::unexpected(std::move(folder).error());
  if (!folder && !left) return Removal::not_there;
  if (folder) {
    BH_TRY(const bool alone, lock_now(folder->get(), LOCK_EX, digest));
    if (!alone) return Removal::in_use;
  }
  BH_CHECK(sys::remove_tree(folder_.get(), beside));
  if (!folder) return Removal::done;
  // Out of the way at once: what a crash leaves of it is thrown away by the next who wants it.
  if (::renameat(folder_.get(), digest.c_str(), folder_.get(), beside.c_str()) != 0) {
    return fail_errno("rename", digest, errno);
  }
  BH_CHECK(sys::remove_tree(folder_.get(), beside));
  return Removal::done;
}

}  // namespace bulkhead::image

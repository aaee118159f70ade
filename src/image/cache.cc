#include "image/cache.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "base/sys.h"
#include "base/text.h"

namespace bulkhead::image {
namespace {

using nlohmann::json;

constexpr std::size_t max_note = 4U << 20;

// Ours, and nobody else can write to it.
Result<void> judge(int fd, const std::string& path) {
  BH_TRY(const struct stat st, sys::stat_fd(fd, path));
  if (st.st_uid == ::geteuid() && (st.st_mode & 022) == 0) return {};
  return fail("the cache of images can't be believed: " + escape_for_terminal(path) + " " +
              (st.st_uid != ::geteuid() ? "belongs to uid " + std::to_string(st.st_uid)
                                        : std::string("can be written to by others")) +
              "; remove it, and it is made anew");
}

Result<UniqueFd> judged_folder(int parent, const std::string& name, const std::string& path) {
  BH_TRY(UniqueFd fd, sys::open_at(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  BH_CHECK(judge(fd.get(), path));
  return fd;
}

Result<Entry> read_note(int folder, const std::string& digest) {
  BH_TRY(const UniqueFd file, sys::open_at(folder, "image.json", O_RDONLY | O_NOFOLLOW | O_NONBLOCK));
  BH_CHECK(judge(file.get(), "image.json"));
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
  return out;
}

Result<void> sync(int fd, const std::string& name) {
  return ::fsync(fd) == 0 ? Result<void>() : fail_errno("fsync", name, errno);
}

}  // namespace

Result<Cache> Cache::open(const std::string& folder, bool make) {
  const std::string path = folder + "/images";
  if (make) BH_CHECK(sys::make_directories(path, 0700));
  BH_TRY(const UniqueFd above, sys::open(folder, O_PATH | O_DIRECTORY));
  BH_CHECK(judge(above.get(), folder));
  BH_TRY(UniqueFd fd, judged_folder(above.get(), "images", path));
  // By whatever mask it was made.
  if (::fchmod(fd.get(), 0700) != 0) return fail_errno("fchmod", path, errno);
  BH_TRY(std::string real, sys::path_of(fd.get()));
  return Cache(std::move(real), std::move(fd));
}

Result<std::optional<Entry>> Cache::find(const std::string& digest) const {
  const std::string path = path_ + "/" + digest;
  auto folder = judged_folder(folder_.get(), digest, path);
  if (!folder && folder.error().code == ENOENT) return std::nullopt;
  if (!folder) return tl::unexpected(std::move(folder).error());
  BH_TRY(const UniqueFd root, judged_folder(folder->get(), "root", path + "/root"));
  auto entry = read_note(folder->get(), digest);
  if (!entry)
    return fail(escape_for_terminal(path) + ": " + entry.error().message + "; remove it, and it is made anew");
  entry->folder = path + "/root";
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

Result<Entry> Cache::finish(const std::string& digest, const std::map<std::string, std::string>& environment,
                            const Size& size) const {
  const std::string name = digest + ".new";
  BH_TRY(const UniqueFd made, sys::open_at(folder_.get(), name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  const json note = {{"version", 1},
                     {"digest", "sha256:" + digest},
                     {"environment", environment},
                     {"bytes", size.bytes},
                     {"files", size.files}};
  BH_CHECK(
      sys::replace_at(made.get(), "image.json", note.dump(2, ' ', false, json::error_handler_t::replace) + "\n", 0600));
  // All of it at once: a sync for each of thousands of files would take minutes.
  if (::syncfs(made.get()) != 0) return fail_errno("syncfs", name, errno);
  if (::renameat2(folder_.get(), name.c_str(), folder_.get(), digest.c_str(), RENAME_NOREPLACE) != 0) {
    return fail_errno("rename", name, errno);
  }
  BH_CHECK(sync(folder_.get(), path_));
  return Entry{path_ + "/" + digest + "/root", environment, size};
}

void Cache::abandon(const std::string& digest) const {
  (void)sys::remove_tree(folder_.get(), digest + ".new");
}

}  // namespace bulkhead::image

#include "session/policy_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/sys.h"
#include "base/text.h"
#include "policy/load.h"
#include "policy/toml.h"

namespace bulkhead::session {
namespace {

constexpr const char* beginning = "version = 1\n";

tl::unexpected<Error> refuse(const std::string& path, const std::string& why) {
  return fail(escape_for_terminal(path) + " " + why);
}

bool unchanged(const struct stat& a, const struct stat& b) {
  return a.st_dev == b.st_dev && a.st_ino == b.st_ino && a.st_size == b.st_size &&
         a.st_mtim.tv_sec == b.st_mtim.tv_sec && a.st_mtim.tv_nsec == b.st_mtim.tv_nsec;
}

}  // namespace

Result<PolicyFile> PolicyFile::open(const std::string& path) {
  PolicyFile file;
  file.path_ = path;
  if (auto real = sys::real_path(path)) file.path_ = *real;
  const std::size_t slash = file.path_.rfind('/');
  if (slash == std::string::npos || slash + 1 == file.path_.size()) return refuse(path, "is no file's name");
  file.name_ = file.path_.substr(slash + 1);
  auto folder = sys::open(slash == 0 ? "/" : file.path_.substr(0, slash), O_RDONLY | O_DIRECTORY);
  if (!folder && folder.error().code != ENOENT) return tl::unexpected(std::move(folder).error());
  if (folder) file.folder_ = std::move(*folder);
  BH_TRY(Seen seen, file.look());
  file.text_ = std::move(seen.text);
  file.exists_ = seen.exists;
  return file;
}

Result<PolicyFile::Seen> PolicyFile::look() const {
  Seen seen;
  if (!folder_) return seen;
  auto file = sys::open_at(folder_.get(), name_, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  if (!file && file.error().code == ENOENT) return seen;
  if (!file) return tl::unexpected(std::move(file).error());
  BH_TRY(seen.status, sys::stat_fd(file->get(), path_));
  if (!S_ISREG(seen.status.st_mode)) return refuse(path_, "is no regular file");
  if (seen.status.st_uid != ::geteuid()) return refuse(path_, "belongs to another user");
  if ((seen.status.st_mode & S_IWOTH) != 0) return refuse(path_, "may be written by everybody");
  BH_TRY(seen.text, sys::read_all(file->get(), max_toml_bytes, path_));
  seen.exists = true;
  return seen;
}

Result<void> PolicyFile::append(const std::string& toml, const std::string& why) {
  if (!folder_) {
    const std::string folder = path_.substr(0, path_.size() - name_.size() - 1);
    BH_CHECK(sys::make_directories(folder, 0700));
    BH_TRY(folder_, sys::open(folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  }
  BH_TRY(const Seen now, look());
  if (now.exists != exists_ || now.text != text_) return refuse(path_, "has changed since the session began");
  std::string text = now.exists ? now.text : beginning;
  if (!text.empty() && text.back() != '\n') text += '\n';
  BH_TRY(const Document before, load_document(text, path_, "user"));
  text += "\n# " + escape_for_terminal(why) + "\n" + toml;
  BH_TRY(const Document after, load_document(text, path_, "user"));
  if (after.grants.size() != before.grants.size() + 1) return refuse(path_, "would not get exactly one grant more");
  BH_CHECK(replace(text, now));
  text_ = std::move(text);
  exists_ = true;
  return {};
}

Result<void> PolicyFile::replace(const std::string& text, const Seen& before) {
  // Nobody's change is lost that came while this was made.
  const auto last_look = [&](int file) -> Result<void> {
    if (before.exists && ::fchmod(file, before.status.st_mode & 0777) != 0) return fail_errno("fchmod", path_, errno);
    struct stat now{};
    const bool there = ::fstatat(folder_.get(), name_.c_str(), &now, AT_SYMLINK_NOFOLLOW) == 0;
    const bool same = there == before.exists && (!there || unchanged(now, before.status));
    return same ? Result<void>() : refuse(path_, "has changed since the session began");
  };
  return sys::replace_at(folder_.get(), name_, text, 0600, before.exists ? 0 : RENAME_NOREPLACE, last_look);
}

}  // namespace bulkhead::session

#include "trust/content.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <unistd.h>

#include "base/sys.h"
#include "base/text.h"
#include "policy/digest.h"

namespace bulkhead::trust {
namespace {

std::string reason(const Error& error) {
  if (error.code == EFBIG) return "larger than " + std::to_string(max_content >> 20) + " MiB, so it was not read";
  if (error.code == EACCES || error.code == EPERM) return "can't be read (no permission)";
  return "can't be read (" + error.message + ")";
}

const char* kind_of(mode_t mode) {
  if (S_ISFIFO(mode)) return "a FIFO";
  if (S_ISSOCK(mode)) return "a socket";
  if (S_ISDIR(mode)) return "a folder by now: it changed while it was looked at";
  return "a device";
}

// `path` is O_PATH and what it is has been judged: a regular file. Through /proc it is opened again, itself and nothing
// that has its name by now.
void read_regular(int path, const struct stat& st, Content& out) {
  out.executable = (st.st_mode & 0111) != 0;
  out.size = static_cast<std::uint64_t>(st.st_size);
  if (out.size > max_content) {
    out.problem = reason(Error{"", EFBIG});
    return;
  }
  auto fd = sys::open("/proc/self/fd/" + std::to_string(path), O_RDONLY | O_NONBLOCK | O_NOCTTY);
  if (!fd) {
    out.problem = reason(fd.error());
    return;
  }
  auto bytes = sys::read_all(fd->get(), max_content, "it");
  if (!bytes) {
    out.problem = reason(bytes.error());
    return;
  }
  out.bytes = std::move(*bytes);
  out.size = out.bytes.size();
}

// Where a link leads, if that is in the project.
void follow(int root, const std::string& path, Content& out) {
  auto to = sys::open_at2(root, path, O_PATH, RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS);
  if (!to) {
    const int code = to.error().code;
    out.problem = code == EXDEV || code == EPERM ? "leads out of the project, where what it holds can't be pinned"
                  : code == ENOENT               ? "leads nowhere: what will be there can't be pinned"
                  : code == ELOOP                ? "leads in a circle"
                                                 : reason(to.error());
    return;
  }
  const auto st = sys::stat_fd(to->get(), "it");
  const auto top = sys::path_of(root), place = sys::path_of(to->get());
  if (top && place && place->starts_with(*top + "/")) out.leads_to = place->substr(top->size() + 1);
  if (!st) {
    out.problem = reason(st.error());
  } else if (S_ISDIR(st->st_mode)) {
    out.folder = true;
  } else if (S_ISREG(st->st_mode)) {
    read_regular(to->get(), *st, out);
  } else {
    out.problem = std::string("leads to ") + kind_of(st->st_mode);
  }
}

}  // namespace

Content read_content(int root, int directory, const std::string& directory_path, const std::string& name) {
  Content out;
  auto path = sys::open_at2(directory, name, O_PATH | O_NOFOLLOW, RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS);
  const auto st = path ? sys::stat_fd(path->get(), "it") : tl::unexpected(path.error());
  if (!st) {
    out.problem = reason(st.error());
  } else if (S_ISLNK(st->st_mode)) {
    out.kind = Content::Kind::link;
    std::string target(PATH_MAX, '\0');
    const ssize_t length = ::readlinkat(path->get(), "", target.data(), target.size());
    target.resize(length > 0 ? static_cast<std::size_t>(length) : 0);
    out.target = std::move(target);
    follow(root, directory_path.empty() ? name : directory_path + "/" + name, out);
  } else if (S_ISREG(st->st_mode)) {
    read_regular(path->get(), *st, out);
  } else {
    out.kind = Content::Kind::other;
    out.problem = std::string("is ") + kind_of(st->st_mode);
  }
  if (out.problem.empty()) out.sha256 = sha256_hex(out.bytes);
  return out;
}

Content read_content(int fd) {
  Content out;
  const auto st = sys::stat_fd(fd, "it");
  if (!st) {
    out.problem = reason(st.error());
  } else if (S_ISREG(st->st_mode)) {
    read_regular(fd, *st, out);
  } else {
    out.kind = Content::Kind::other;
    out.problem = std::string("is ") + kind_of(st->st_mode);
  }
  if (out.problem.empty()) out.sha256 = sha256_hex(out.bytes);
  return out;
}

}  // namespace bulkhead::trust

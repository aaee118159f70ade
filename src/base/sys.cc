#include "base/sys.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <linux/openat2.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <charconv>
#include <memory>

#include "base/random.h"
#include "base/text.h"

namespace bulkhead {

Error errno_error(std::string_view syscall, std::string_view object, int code) {
  std::string text(syscall);
  if (!object.empty()) text += " \"" + escape_for_terminal(object) + "\"";
  const char* name = ::strerrorname_np(code);
  text += std::string(": ") + (name != nullptr ? name : "error") + " (" + ::strerror(code) + ")";
  return Error{std::move(text), code};
}

}  // namespace bulkhead

namespace bulkhead::sys {

Result<UniqueFd> open(const std::string& path, int flags, mode_t mode) {
  return open_at(AT_FDCWD, path, flags, mode);
}

Result<UniqueFd> open_at(int dir, const std::string& path, int flags, mode_t mode) {
  const int fd = ::openat(dir, path.c_str(), flags | O_CLOEXEC, mode);
  if (fd < 0) return fail_errno("open", path, errno);
  return UniqueFd(fd);
}

Result<UniqueFd> open_at2(int dir, const std::string& path, std::uint64_t flags, std::uint64_t resolve, mode_t mode) {
  open_how how{};
  how.flags = flags | O_CLOEXEC;
  how.mode = mode;
  how.resolve = resolve;
  const long fd = ::syscall(SYS_openat2, dir, path.c_str(), &how, sizeof how);
  if (fd < 0) return fail_errno("openat2", path, errno);
  return UniqueFd(static_cast<int>(fd));
}

Result<std::string> read_all(int fd, std::size_t limit, std::string_view name) {
  std::string out;
  char buffer[16384];
  // It may be a secret that is read.
  const std::unique_ptr<char, void (*)(char*)> wiped(buffer, [](char* bytes) { ::explicit_bzero(bytes, 16384); });
  for (;;) {
    const ssize_t n = ::read(fd, buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno("read", name, errno);
    if (n == 0) return out;
    if (out.size() + static_cast<std::size_t>(n) > limit) {
      return fail("\"" + escape_for_terminal(name) + "\" is larger than " + std::to_string(limit) + " bytes", EFBIG);
    }
    out.append(buffer, static_cast<std::size_t>(n));
  }
}

Result<std::string> read_file(const std::string& path, std::size_t limit) {
  BH_TRY(UniqueFd fd, open(path, O_RDONLY));
  return read_all(fd.get(), limit, path);
}

Result<void> write_all(int fd, std::string_view bytes, std::string_view name) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno("write", name, errno);
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
  return {};
}

Result<void> replace_at(int folder, const std::string& name, std::string_view bytes, mode_t mode, unsigned flags,
                        const std::function<Result<void>(int file)>& last_look) {
  const std::string beside = ".new-" + random_hex(8);
  BH_TRY(const UniqueFd file, open_at(folder, beside, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode));
  const auto replace = [&]() -> Result<void> {
    BH_CHECK(write_all(file.get(), bytes, name));
    if (last_look) BH_CHECK(last_look(file.get()));
    if (::fsync(file.get()) != 0) return fail_errno("fsync", name, errno);
    if (::renameat2(folder, beside.c_str(), folder, name.c_str(), flags) != 0) {
      return fail_errno("rename", name, errno);
    }
    return {};
  };
  if (auto done = replace(); !done) {
    ::unlinkat(folder, beside.c_str(), 0);
    return done;
  }
  return ::fsync(folder) == 0 ? Result<void>() : fail_errno("fsync", "the folder of " + name, errno);
}

Result<void> write_file_atomically(const std::string& path, std::string_view bytes, mode_t mode) {
  const auto slash = path.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  BH_TRY(const UniqueFd fd, open(folder, O_RDONLY | O_DIRECTORY));
  return replace_at(fd.get(), path.substr(slash == std::string::npos ? 0 : slash + 1), bytes, mode);
}

Result<void> make_directories(const std::string& path, mode_t mode) {
  for (std::size_t slash = path.find('/', 1);; slash = path.find('/', slash + 1)) {
    const std::string part = path.substr(0, slash);
    if (::mkdir(part.c_str(), mode) != 0 && errno != EEXIST && !is_directory(part)) {
      return fail_errno("mkdir", part, errno);
    }
    if (slash == std::string::npos) return {};
  }
}

Result<std::vector<std::string>> list_directory(int dir) {
  // A description of its own: readdir's position must not be shared with the caller's descriptor.
  BH_TRY(UniqueFd listing, open_at(dir, ".", O_RDONLY | O_DIRECTORY));
  const std::unique_ptr<DIR, int (*)(DIR*)> stream(::fdopendir(listing.get()), ::closedir);
  if (!stream) return fail_errno("fdopendir", "", errno);
  listing.release();
  std::vector<std::string> names;
  while (const dirent* entry = ::readdir(stream.get())) {
    const std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(name);
  }
  return names;
}

Result<struct stat> stat_fd(int fd, std::string_view name) {
  struct stat st{};
  if (::fstat(fd, &st) != 0) return fail_errno("fstat", name, errno);
  return st;
}

bool exists(const std::string& path) {
  return ::access(path.c_str(), F_OK) == 0;
}

bool is_directory(const std::string& path) {
  struct stat st{};
  return ::stat(path.c_str(), &st) == 0 && S_ISDIR(st.st_mode);
}

Result<std::string> read_link(const std::string& path) {
  char buffer[PATH_MAX];
  const ssize_t n = ::readlink(path.c_str(), buffer, sizeof buffer);
  if (n < 0) return fail_errno("readlink", path, errno);
  return std::string(buffer, static_cast<std::size_t>(n));
}

Result<std::string> real_path(const std::string& path) {
  char buffer[PATH_MAX];
  if (::realpath(path.c_str(), buffer) == nullptr) return fail_errno("realpath", path, errno);
  return std::string(buffer);
}

Result<std::string> path_of(int fd) {
  return read_link("/proc/self/fd/" + std::to_string(fd));
}

Result<Pair> pipe() {
  int fds[2];
  if (::pipe2(fds, O_CLOEXEC) != 0) return fail_errno("pipe2", "", errno);
  return Pair{UniqueFd(fds[0]), UniqueFd(fds[1])};
}

Result<Pair> socket_pair(int type) {
  int fds[2];
  if (::socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, fds) != 0) return fail_errno("socketpair", "", errno);
  return Pair{UniqueFd(fds[0]), UniqueFd(fds[1])};
}

Result<UniqueFd> memory_file(const std::string& name, std::string_view bytes) {
  UniqueFd fd(::memfd_create(name.c_str(), MFD_CLOEXEC));
  if (!fd) return fail_errno("memfd_create", name, errno);
  BH_CHECK(write_all(fd.get(), bytes, name));
  if (::lseek(fd.get(), 0, SEEK_SET) < 0) return fail_errno("lseek", name, errno);
  return fd;
}

Result<UniqueFd> duplicate(int fd, int at_least) {
  const int copy = ::fcntl(fd, F_DUPFD_CLOEXEC, at_least);
  if (copy < 0) return fail_errno("fcntl(F_DUPFD_CLOEXEC)", std::to_string(fd), errno);
  return UniqueFd(copy);
}

namespace {
Result<void> change_flag(int fd, int get, int set, int flag, bool on) {
  const int flags = ::fcntl(fd, get);
  if (flags < 0 || ::fcntl(fd, set, on ? flags | flag : flags & ~flag) != 0) {
    return fail_errno("fcntl", std::to_string(fd), errno);
  }
  return {};
}
}  // namespace

Result<void> set_nonblocking(int fd, bool on) {
  return change_flag(fd, F_GETFL, F_SETFL, O_NONBLOCK, on);
}
Result<void> set_close_on_exec(int fd, bool on) {
  return change_flag(fd, F_GETFD, F_SETFD, FD_CLOEXEC, on);
}

Result<UniqueFd> pidfd_open(pid_t pid) {
  const long fd = ::syscall(SYS_pidfd_open, pid, 0);
  if (fd < 0) return fail_errno("pidfd_open", std::to_string(pid), errno);
  return UniqueFd(static_cast<int>(fd));
}

Result<void> pidfd_send_signal(int pidfd, int signal) {
  if (::syscall(SYS_pidfd_send_signal, pidfd, signal, nullptr, 0) != 0) {
    return fail_errno("pidfd_send_signal", std::to_string(signal), errno);
  }
  return {};
}

Result<void> write_id_maps(pid_t pid, uid_t inside_uid, uid_t outside_uid, gid_t inside_gid, gid_t outside_gid) {
  const std::string proc = "/proc/" + (pid == 0 ? std::string("self") : std::to_string(pid)) + "/";
  const auto put = [&](const char* file, const std::string& text) -> Result<void> {
    BH_TRY(UniqueFd fd, open(proc + file, O_WRONLY));
    return write_all(fd.get(), text, proc + file);
  };
  // user_namespaces(7): an unprivileged gid_map needs setgroups denied first (Linux 3.19, CVE-2014-8989).
  BH_CHECK(put("setgroups", "deny"));
  BH_CHECK(put("uid_map", std::to_string(inside_uid) + " " + std::to_string(outside_uid) + " 1\n"));
  return put("gid_map", std::to_string(inside_gid) + " " + std::to_string(outside_gid) + " 1\n");
}

Result<std::string> boot_id() {
  BH_TRY(std::string id, read_file("/proc/sys/kernel/random/boot_id", 64));
  while (!id.empty() && id.back() == '\n') id.pop_back();
  return id;
}

Result<std::uint64_t> process_start_time(pid_t pid) {
  const std::string path = "/proc/" + std::to_string(pid) + "/stat";
  BH_TRY(const std::string text, read_file(path, 4096));
  // proc(5): field 2 is the name in parentheses and may itself hold spaces and parentheses.
  std::size_t at = text.rfind(')');
  for (int field = 2; field < 22 && at != std::string::npos; ++field) at = text.find(' ', at + 1);
  std::uint64_t ticks = 0;
  if (at == std::string::npos ||
      std::from_chars(text.data() + at + 1, text.data() + text.size(), ticks).ec != std::errc()) {
    return fail("\"" + path + "\" has an unexpected form");
  }
  return ticks;
}

}  // namespace bulkhead::sys

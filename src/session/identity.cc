#include "session/identity.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <charconv>
#include <memory>

#include "base/account.h"
#include "base/process.h"
#include "base/random.h"
#include "base/sys.h"

namespace bulkhead::session {
namespace {

constexpr uid_t first_session_uid = 70000;  // above 65535, below the usual subuid ranges (100000)
constexpr uid_t session_uids = 1000;

// Where the clones hang, in the private mount namespace only: a folder every Linux has, that any
// uid can reach and that nothing of a policy can lie in.
constexpr const char* stage = "/dev/shm";

std::string environment(const char* name) {
  const char* value = ::getenv(name);
  return value == nullptr ? "" : value;
}

bool parse_id(const std::string& text, uid_t& out) {
  const char* end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, out);
  return error == std::errc() && at == end && !text.empty();
}

uid_t free_session_uid() {
  for (;;) {
    const std::string random = random_bytes(2);
    const unsigned value = static_cast<unsigned char>(random[0]) * 256U + static_cast<unsigned char>(random[1]);
    const uid_t uid = first_session_uid + value % session_uids;
    if (!find_account(uid)) return uid;
  }
}

}  // namespace

Result<Identity> decide_identity() {
  Identity identity;
  identity.home = environment("HOME");
  if (::geteuid() != 0) {
    if (::getuid() != ::geteuid()) return fail("bulkhead must not be setuid; run it as yourself");
    identity.uid = ::getuid();
    identity.gid = ::getgid();
    if (const auto account = find_account(identity.uid)) {
      identity.name = account->name;
      if (identity.home.empty()) identity.home = account->home;
    }
  } else {
    identity.from_root = true;
    uid_t sudo_uid = 0;
    uid_t sudo_gid = 0;
    if (parse_id(environment("SUDO_UID"), sudo_uid) && parse_id(environment("SUDO_GID"), sudo_gid) && sudo_uid != 0 &&
        sudo_gid != 0) {
      identity.uid = sudo_uid;
      identity.gid = sudo_gid;
      if (const auto account = find_account(sudo_uid)) identity.name = account->name;
    } else {
      identity.uid = free_session_uid();
      identity.gid = identity.uid;
      identity.name = "bulkhead";
    }
  }
  if (identity.name.empty()) identity.name = environment("USER");
  if (identity.name.empty() || identity.name == "root") identity.name = "user";
  if (identity.home.empty() || identity.home[0] != '/' || identity.home == "/") {
    return fail("HOME is not set to a folder; set it, for example HOME=/root");
  }
  if (auto real = sys::real_path(identity.home); real) identity.home = *real;
  return identity;
}

Result<Sources> Sources::make(const Identity& identity) {
  Sources sources;
  sources.identity_ = identity;
  if (!identity.from_root) return sources;

  if (::unshare(CLONE_NEWNS) != 0) return fail_errno("unshare(CLONE_NEWNS)", "", errno);
  // What the host mounts from now on is not the session's (stage.cc).
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
    return fail_errno("mount(MS_PRIVATE)", "/", errno);
  }
  if (::mount("none", stage, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "size=64k,mode=711") != 0) {
    return fail_errno("mount(tmpfs)", stage, errno);
  }
  return sources;
}

Result<UniqueFd> Sources::open(const std::string& path) const {
  return sys::open(path, O_PATH);
}

Result<UniqueFd> Sources::mountable(UniqueFd fd, const std::string& name) {
  if (!identity_.from_root) return fd;
  BH_TRY(const struct stat st, sys::stat_fd(fd.get(), name));
  return clone(fd.get(), st).map_error([&](const Error& error) {
    return Error{"\"" + name + "\" belongs to uid " + std::to_string(st.st_uid) + " and cannot be mounted for uid " +
                     std::to_string(identity_.uid) + " here (" + error.message +
                     "); run Bulkhead as an ordinary user, from a folder of that user",
                 error.code};
  });
}

// A user namespace that nobody runs in: only its map matters (mount_setattr(2)).
Result<int> Sources::user_namespace(uid_t owner, gid_t group) {
  UniqueFd& known = user_namespaces_[{owner, group}];
  if (known) return known.get();
  BH_TRY(sys::Pair ready, sys::pipe());
  BH_TRY(Child keeper, fork_child({-1, ready.second.get(), 2}, [] {
           if (::unshare(CLONE_NEWUSER) != 0) return 1;
           (void)!::write(1, "x", 1);
           ::pause();
           return 0;
         }));
  ready.second.reset();
  char byte = 0;
  if (::read(ready.first.get(), &byte, 1) != 1) return fail("cannot make a user namespace for id-mapped mounts");
  BH_CHECK(sys::write_id_maps(keeper.pid(), owner, identity_.uid, group, identity_.gid));
  BH_TRY(known, sys::open("/proc/" + std::to_string(keeper.pid()) + "/ns/user", O_RDONLY));
  return known.get();
}

Result<void> Sources::map_onto_session(int tree, const struct stat& st) {
  if (st.st_uid == identity_.uid) return {};
  mount_attr attributes{};
  attributes.attr_set = MOUNT_ATTR_IDMAP;
  BH_TRY(const int user_ns, user_namespace(st.st_uid, st.st_gid));
  attributes.userns_fd = static_cast<std::uint64_t>(user_ns);
  if (::syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &attributes, sizeof attributes) != 0) {
    return fail_errno("mount_setattr(MOUNT_ATTR_IDMAP)", "", errno);
  }
  return {};
}

Result<std::pair<UniqueFd, UniqueFd>> Sources::together(const std::string& folder, const std::string& other) {
  std::string above = folder;
  while (!above.empty() && !other.starts_with(above + "/")) above.resize(above.rfind('/'));
  BH_TRY(const UniqueFd common, open(above.empty() ? "/" : above));
  std::uint64_t mount = 0;
  struct stat owner{};
  std::pair<UniqueFd, UniqueFd> out;
  for (const std::string& path : {other, folder}) {
    BH_TRY(const UniqueFd fd, open(path));
    BH_TRY(owner, sys::stat_fd(fd.get(), path));  // the folder's in the end
    struct statx about{}, top{};
    if (::statx(fd.get(), "", AT_EMPTY_PATH, STATX_MNT_ID, &about) != 0 ||
        ::statx(common.get(), "", AT_EMPTY_PATH, STATX_MNT_ID, &top) != 0) {
      return fail_errno("statx", path, errno);
    }
    mount = top.stx_mnt_id;
    if ((about.stx_mask & STATX_MNT_ID) == 0 || about.stx_mnt_id != mount) return fail("two mounts", EXDEV);
  }
  const UniqueFd tree(static_cast<int>(
      ::syscall(SYS_open_tree, common.get(), "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH)));
  if (!tree) return fail_errno("open_tree", above, errno);
  BH_CHECK(map_onto_session(tree.get(), owner));
  const auto within = [&](const std::string& path) -> Result<UniqueFd> {
    BH_TRY(UniqueFd fd, sys::open_at2(tree.get(), path.substr(above.size() + 1), O_PATH | O_DIRECTORY | O_CLOEXEC,
                                      RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS));
    BH_TRY(const UniqueFd there, open(path));
    BH_TRY(const struct stat one, sys::stat_fd(fd.get(), path));
    BH_TRY(const struct stat same, sys::stat_fd(there.get(), path));
    if (one.st_dev != same.st_dev || one.st_ino != same.st_ino) return fail("two mounts", EXDEV);
    return fd;
  };
  if (above == folder) return fail("one folder in the other", EXDEV);
  BH_TRY(out.first, within(folder));
  BH_TRY(out.second, within(other));
  return out;
}

Result<UniqueFd> Sources::clone(int fd, const struct stat& st) {
  // With what is mounted below: a folder would look empty where the host has files.
  const long tree =
      ::syscall(SYS_open_tree, fd, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | AT_RECURSIVE);
  if (tree < 0) return fail_errno("open_tree", "", errno);
  const UniqueFd cloned(static_cast<int>(tree));
  BH_CHECK(map_onto_session(cloned.get(), st));
  const std::string place = std::string(stage) + "/" + std::to_string(count_++);
  if (S_ISDIR(st.st_mode)) {
    if (::mkdir(place.c_str(), 0755) != 0) return fail_errno("mkdir", place, errno);
  } else {
    BH_TRY(const UniqueFd file, sys::open(place, O_CREAT | O_EXCL | O_WRONLY, 0644));
  }
  if (::syscall(SYS_move_mount, cloned.get(), "", AT_FDCWD, place.c_str(), MOVE_MOUNT_F_EMPTY_PATH) != 0) {
    return fail_errno("move_mount", place, errno);
  }
  return sys::open(place, O_PATH);
}

Result<void> Sources::drop_privileges() {
  if (!identity_.from_root) return {};
  user_namespaces_.clear();
  const pid_t parent = ::getppid();
  if (::setgroups(0, nullptr) != 0) return fail_errno("setgroups", "", errno);
  if (::setresgid(identity_.gid, identity_.gid, identity_.gid) != 0) return fail_errno("setresgid", "", errno);
  if (::setresuid(identity_.uid, identity_.uid, identity_.uid) != 0) return fail_errno("setresuid", "", errno);
  // Changing uids took away the signal at the parent's death (prctl(2)) …
  if (::prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) return fail_errno("prctl(PR_SET_PDEATHSIG)", "", errno);
  if (::getppid() != parent) return fail("Bulkhead was killed while the session started");
  // … and made /proc/self root's; the id maps of the room are written through it.
  if (::prctl(PR_SET_DUMPABLE, 1) != 0) return fail_errno("prctl(PR_SET_DUMPABLE)", "", errno);
  if (::setuid(0) == 0) return fail("giving up root did not hold");
  return {};
}

}  // namespace bulkhead::session

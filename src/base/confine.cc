#include "base/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <span>

#include "base/sys.h"

namespace bulkhead {
namespace {

#include "base_seccomp.inc"

// Leaves nothing of the file system: a read-only tmpfs without inodes to spare becomes the root.
Result<void> empty_root() {
  const uid_t uid = ::getuid();
  const gid_t gid = ::getgid();
  if (::unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) {
    return fail_errno("unshare(CLONE_NEWUSER|CLONE_NEWNS)", "", errno);
  }
  BH_CHECK(sys::write_id_maps(0, uid, uid, gid, gid));
  // Slave first: what is mounted and unmounted here must not reach the host's mount table.
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_SLAVE, nullptr) != 0) return fail_errno("mount(MS_SLAVE)", "/", errno);
  constexpr unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY;
  if (::mount("none", "/tmp", "tmpfs", flags, "size=4k,nr_inodes=2,mode=555") != 0) {
    return fail_errno("mount(tmpfs)", "/tmp", errno);
  }
  if (::chdir("/tmp") != 0) return fail_errno("chdir", "/tmp", errno);
  // pivot_root(2), "pivot_root(".", ".")": the old root ends up on top of the new one and is detached.
  if (::syscall(SYS_pivot_root, ".", ".") != 0) return fail_errno("pivot_root", "/tmp", errno);
  if (::umount2(".", MNT_DETACH) != 0) return fail_errno("umount2", "/", errno);
  if (::chdir("/") != 0) return fail_errno("chdir", "/", errno);
  return {};
}

Result<void> drop_capabilities() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct none[2] = {};
  if (::syscall(SYS_capset, &header, none) != 0) return fail_errno("capset", "", errno);
  return {};
}

// Everything ABI 2 knows is denied but beneath these folders; and truncation, where it is known (ABI 3).
Result<void> stay_in(std::span<const int> folders) {
  constexpr unsigned version_flag = 1U << 0;  // LANDLOCK_CREATE_RULESET_VERSION
  const long abi = ::syscall(SYS_landlock_create_ruleset, nullptr, 0, version_flag);
  if (abi < 2) return fail("Landlock is missing or too old (ABI 2, Linux 5.19)", ENOSYS);
  constexpr std::uint64_t execute = 1U << 0, refer = 1U << 13, truncate = 1U << 14;
  landlock_ruleset_attr handled{};
  handled.handled_access_fs = (refer << 1) - 1;
  if (abi >= 3) handled.handled_access_fs |= truncate;
  const UniqueFd rules(
      static_cast<int>(::syscall(SYS_landlock_create_ruleset, &handled, sizeof handled.handled_access_fs, 0)));
  if (!rules) return fail_errno("landlock_create_ruleset", "", errno);
  for (const int folder : folders) {
    landlock_path_beneath_attr beneath{};
    beneath.allowed_access = handled.handled_access_fs & ~execute;
    beneath.parent_fd = folder;
    if (::syscall(SYS_landlock_add_rule, rules.get(), LANDLOCK_RULE_PATH_BENEATH, &beneath, 0) != 0) {
      return fail_errno("landlock_add_rule", "", errno);
    }
  }
  if (::syscall(SYS_landlock_restrict_self, rules.get(), 0) != 0)
    return fail_errno("landlock_restrict_self", "", errno);
  return {};
}

std::span<const sock_filter> filter_of(Role role) {
  switch (role) {
    case Role::front:
      return front_filter;
    case Role::egress:
      return egress_filter;
    case Role::evidence:
      return evidence_filter;
    case Role::reader:
      return reader_filter;
    case Role::relay:
      return relay_filter;
    case Role::broker:
      return broker_filter;
    case Role::login:
      return login_filter;
    case Role::walker:
      return walker_filter;
    case Role::trace:
      return trace_filter;
    case Role::changes:
      return changes_filter;
    case Role::look:
      return look_filter;
    case Role::keep:
      return keep_filter;
  }
  ::abort();
}

}  // namespace

Result<void> confine(Role role) {
  return confine(role, {});
}

Result<void> confine(Role role, std::span<const int> folders) {
  BH_CHECK(empty_root());
  BH_CHECK(drop_capabilities());
  if (::prctl(PR_SET_DUMPABLE, 0) != 0) return fail_errno("prctl(PR_SET_DUMPABLE)", "", errno);
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return fail_errno("prctl(PR_SET_NO_NEW_PRIVS)", "", errno);
  if (!folders.empty()) BH_CHECK(stay_in(folders));
  return allow_only(role);
}

Result<void> allow_only(Role role) {
  const std::span<const sock_filter> filter = filter_of(role);
  // const_cast: sock_fprog's pointer is not const, the kernel only reads it.
  const sock_fprog program{static_cast<unsigned short>(filter.size()), const_cast<sock_filter*>(filter.data())};
  if (::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) != 0) {
    return fail_errno("seccomp(SECCOMP_SET_MODE_FILTER)", "", errno);
  }
  return {};
}

}  // namespace bulkhead

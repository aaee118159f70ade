#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <iterator>
#include <utility>

#include "base/confine.h"
#include "base/sys.h"

namespace bulkhead {
namespace {

#include "base_seccomp.inc"

// What `path` leads to may be used so, if it is there.
Result<void> allow_path(int rules, const char* path, std::uint64_t access) {
  const auto fd = sys::open(path, O_PATH);
  if (!fd) return {};
  landlock_path_beneath_attr beneath{};
  beneath.allowed_access = access;
  beneath.parent_fd = fd->get();
  if (::syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &beneath, 0) != 0) {
    return fail_errno("landlock_add_rule", path, errno);
  }
  return {};
}

Result<void> read_only_the_machine(int folder, int shown) {
  constexpr unsigned version_flag = 1U << 0;  // LANDLOCK_CREATE_RULESET_VERSION
  const long abi = ::syscall(SYS_landlock_create_ruleset, nullptr, 0, version_flag);
  if (abi < 1 || (folder >= 0 && abi < 2)) return {};
  constexpr std::uint64_t execute = 1U << 0, write = 1U << 1, read = 1U << 2, list = 1U << 3, last_of_abi_1 = 1U << 12,
                          refer = 1U << 13;  // links and renames between folders; denied where nobody speaks of it
  landlock_ruleset_attr handled{};
  handled.handled_access_fs = (last_of_abi_1 << 1) - 1;
  if (folder >= 0) handled.handled_access_fs |= refer;
  const UniqueFd rules(
      static_cast<int>(::syscall(SYS_landlock_create_ruleset, &handled, sizeof handled.handled_access_fs, 0)));
  if (!rules) return fail_errno("landlock_create_ruleset", "", errno);
  for (const char* place : {"/usr", "/bin", "/lib", "/lib64"}) {
    BH_CHECK(allow_path(rules.get(), place, execute | read | list));
  }
  for (const char* file : {"/etc/ld.so.cache", "/etc/ld.so.preload"}) BH_CHECK(allow_path(rules.get(), file, read));
  BH_CHECK(allow_path(rules.get(), "/dev/null", read | write));
  for (const auto& [opened, access] : {std::pair{folder, handled.handled_access_fs & ~execute}, {shown, read | list}}) {
    if (opened < 0) continue;
    landlock_path_beneath_attr beneath{};
    beneath.allowed_access = access;
    beneath.parent_fd = opened;
    if (::syscall(SYS_landlock_add_rule, rules.get(), LANDLOCK_RULE_PATH_BENEATH, &beneath, 0) != 0) {
      return fail_errno("landlock_add_rule", "", errno);
    }
  }
  if (::syscall(SYS_landlock_restrict_self, rules.get(), 0) != 0) {
    return fail_errno("landlock_restrict_self", "", errno);
  }
  return {};
}

}  // namespace

Result<void> confine_program(int folder, int shown) {
  BH_CHECK(read_only_the_machine(folder, shown));
  // const_cast: sock_fprog's pointer is not const, the kernel only reads it.
  const sock_fprog program{static_cast<unsigned short>(std::size(program_filter)),
                           const_cast<sock_filter*>(program_filter)};
  if (::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) != 0) {
    return fail_errno("seccomp(SECCOMP_SET_MODE_FILTER)", "", errno);
  }
  return {};
}

}  // namespace bulkhead

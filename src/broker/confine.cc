#include "broker/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>
#include <iterator>

#include "base/confine.h"
#include "base/sys.h"

namespace bulkhead::broker {
namespace {

Result<void> keep_capabilities(std::uint32_t kept) {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct keep[2] = {};
  keep[0].effective = keep[0].permitted = kept;
  if (::syscall(SYS_capset, &header, keep) != 0) return fail_errno("capset", "", errno);
  return {};
}

}  // namespace

Result<void> narrow() {
  return keep_capabilities(1U << CAP_SYS_PTRACE | 1U << CAP_SYS_ADMIN | 1U << CAP_SYS_CHROOT);
}

Result<void> enter(const Proc& proc, pid_t tid) {
  BH_TRY(const UniqueFd mounts, sys::open_at(proc.root.get(), std::to_string(tid) + "/ns/mnt", O_RDONLY));
  if (::setns(mounts.get(), CLONE_NEWNS) != 0) return fail_errno("setns", "the workload's mount namespace", errno);
  BH_CHECK(keep_capabilities(1U << CAP_SYS_PTRACE));
  return allow_only(Role::broker);
}

}  // namespace bulkhead::broker

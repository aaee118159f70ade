#include "guest/seccomp.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <span>

namespace bulkhead::shim {
namespace {

#include "workload_seccomp.inc"

}  // namespace

namespace {

// The listener with SECCOMP_FILTER_FLAG_NEW_LISTENER, else 0; -1 with errno.
long install(unsigned flags, std::span<const sock_filter> filter = workload_filter) {
  // const_cast: sock_fprog's pointer is not const, the kernel only reads it.
  const sock_fprog program{static_cast<unsigned short>(filter.size()), const_cast<sock_filter*>(filter.data())};
  return ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
}

constexpr unsigned wait_killable = 1U << 5;  // SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, Linux 5.19

}  // namespace

Result<void> apply_seccomp() {
  if (install(0) >= 0) return {};
  return fail("seccomp(SECCOMP_SET_MODE_FILTER) failed: this kernel can't filter system calls", errno);
}

Result<void> apply_seccomp_own_kernel() {
  if (install(0, own_kernel_filter) >= 0) return {};
  return fail("seccomp(SECCOMP_SET_MODE_FILTER) failed inside the session", errno);
}

Result<void> refuse_set_group() {
  if (install(0, set_group_filter) >= 0) return {};
  return fail("seccomp(SECCOMP_SET_MODE_FILTER) failed for set-group-ID bits", errno);
}

Result<UniqueFd> apply_seccomp_with_listener() {
  // Without the second flag a signal makes the workload ask again for what is already being done.
  long listener = install(SECCOMP_FILTER_FLAG_NEW_LISTENER | wait_killable);
  if (listener < 0 && errno == EINVAL) listener = install(SECCOMP_FILTER_FLAG_NEW_LISTENER);
  if (listener < 0)
    return fail("seccomp(SECCOMP_FILTER_FLAG_NEW_LISTENER) failed: this kernel can't ask about system calls", errno);
  return UniqueFd(static_cast<int>(listener));
}

}  // namespace bulkhead::shim

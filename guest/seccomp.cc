#include "guest/seccomp.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <iterator>

namespace bulkhead::shim {
namespace {

#include "workload_seccomp.inc"

}  // namespace

Result<void> apply_seccomp() {
  // const_cast: sock_fprog's pointer is not const, the kernel only reads it.
  const sock_fprog program{static_cast<unsigned short>(std::size(workload_filter)),
                           const_cast<sock_filter*>(workload_filter)};
  if (::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) != 0) {
    return fail("seccomp(SECCOMP_SET_MODE_FILTER) failed: this kernel can't filter system calls", errno);
  }
  return {};
}

}  // namespace bulkhead::shim

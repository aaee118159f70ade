#include "tier/stage/cpus.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstddef>
#include <random>
#include <vector>

#include "base/sys.h"

namespace bulkhead::tier {
namespace {

// By every number it has for the processes of this machine: also those of 32 bits and, on x86, of x32. (Which calls
// there are at all is for the workload's own filter, guest/seccomp.h.)
Result<void> refuse_affinity() {
  constexpr unsigned refused = SECCOMP_RET_ERRNO | EPERM;
  sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, arch)),
#if defined(__x86_64__)
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_I386, 0, 2),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 241, 4, 3),
#else
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, arch)),
#endif
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0x3fffffffU),  // __X32_SYSCALL_BIT
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_sched_setaffinity, 1, 0),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
      BPF_STMT(BPF_RET | BPF_K, refused),
  };
  const sock_fprog program{sizeof filter / sizeof *filter, static_cast<sock_filter*>(filter)};
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return fail_errno("prctl(PR_SET_NO_NEW_PRIVS)", "", errno);
  if (::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) != 0) {
    return fail_errno("seccomp(SECCOMP_SET_MODE_FILTER)", "", errno);
  }
  return {};
}

}  // namespace

Result<void> hold_to_cpus(const Limits& limits, bool may_change) {
  if (!limits.cpus) return {};
  constexpr std::size_t most = 8192;  // NR_CPUS of the kernel, at most
  std::vector<cpu_set_t> set(most / CPU_SETSIZE);
  const std::size_t size = set.size() * sizeof(cpu_set_t);
  if (::sched_getaffinity(0, size, set.data()) != 0) return fail_errno("sched_getaffinity", "", errno);
  std::vector<std::size_t> usable;
  for (std::size_t cpu = 0; cpu < most; ++cpu) {
    if (CPU_ISSET_S(cpu, size, set.data())) usable.push_back(cpu);
  }
  std::random_device random;
  while (usable.size() > *limits.cpus) {
    const std::size_t at = std::uniform_int_distribution<std::size_t>(0, usable.size() - 1)(random);
    CPU_CLR_S(usable[at], size, set.data());
    usable.erase(usable.begin() + static_cast<std::ptrdiff_t>(at));
  }
  if (::sched_setaffinity(0, size, set.data()) != 0) return fail_errno("sched_setaffinity", "", errno);
  return may_change ? Result<void>() : refuse_affinity();
}

}  // namespace bulkhead::tier

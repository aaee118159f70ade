#include "tier/vm/capabilities.h"

#include <errno.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace bulkhead::tier::vm {

Result<void> keep_capabilities(std::uint64_t kept) {
  for (int capability = 0; ::prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; ++capability) {
    if ((kept >> capability & 1) != 0) continue;
    if (::prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0) return fail_errno("prctl(PR_CAPBSET_DROP)", "", errno);
  }
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2] = {};
  if (::syscall(SYS_capget, &header, data) != 0) return fail_errno("capget", "", errno);
  for (int i = 0; i < 2; ++i) {
    data[i].permitted &= static_cast<std::uint32_t>(kept >> (32 * i));
    data[i].effective = data[i].inheritable = data[i].permitted;
  }
  if (::syscall(SYS_capset, &header, data) != 0) return fail_errno("capset", "", errno);
  (void)::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  for (int capability = 0; capability <= CAP_LAST_CAP; ++capability) {
    if ((data[capability / 32].permitted >> (capability % 32) & 1) == 0) continue;
    if (::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0) != 0) {
      return fail_errno("prctl(PR_CAP_AMBIENT_RAISE)", "", errno);
    }
  }
  return {};
}

}  // namespace bulkhead::tier::vm

#include <errno.h>

#include "base/text.h"
#include "session/state/probes.h"

namespace bulkhead::session {

Finding userns_reason(const UsernsFacts& facts) {
  const std::string what = errno_error(facts.step, "", facts.code).message;
  const auto because = [&](const std::string& why, const std::string& fix) {
    return Finding{State::missing, why + " [" + what + "]", "", fix};
  };
  if (facts.unprivileged_clone == "0") {
    return because("the system forbids them (kernel.unprivileged_userns_clone = 0)",
                   "sudo sysctl -w kernel.unprivileged_userns_clone=1   # to keep it: a line in /etc/sysctl.d/");
  }
  if (facts.max_user_namespaces == "0") {
    return because("the system allows none (user.max_user_namespaces = 0)",
                   "sudo sysctl -w user.max_user_namespaces=15000   # to keep it: a line in /etc/sysctl.d/");
  }
  // Ubuntu 23.10+ lets the namespace be made and takes its capabilities away, unless a profile allows them:
  // what fails is the first call that needs one.
  if (facts.apparmor_restrict == "1") {
    return because("AppArmor restricts them to programs with a profile (Ubuntu 23.10 and newer)",
                   "sudo cp packaging/apparmor/bulkhead /etc/apparmor.d/ && sudo apparmor_parser -r "
                   "/etc/apparmor.d/bulkhead   # or: sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0");
  }
  if (facts.container) {
    return because("this container's own seccomp or AppArmor profile forbids them",
                   "start the container with: --security-opt seccomp=unconfined --security-opt apparmor=unconfined "
                   "--security-opt systempaths=unconfined");
  }
  if (facts.chroot) return because("this shell runs in a chroot, where the kernel refuses them", "leave the chroot");
  if (facts.code == ENOSPC || facts.code == EUSERS) {
    return because("as many as allowed are in use (user.max_user_namespaces = " +
                       (facts.max_user_namespaces.empty() ? std::string("?") : facts.max_user_namespaces) + ")",
                   "sudo sysctl -w user.max_user_namespaces=63000");
  }
  if (facts.code == EINVAL || facts.code == ENOSYS)
    return because("this kernel was built without them", "boot a kernel with CONFIG_USER_NS=y");
  return because("the kernel refused them", "");
}

}  // namespace bulkhead::session

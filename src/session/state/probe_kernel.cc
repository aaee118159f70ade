#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <linux/seccomp.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/sys.h"
#include "base/text.h"
#include "session/state/landlock.h"
#include "session/state/probes.h"

namespace bulkhead::session {

std::string sysctl(const std::string& name) {
  std::string value = sys::read_file("/proc/sys/" + name, 4096).value_or("");
  while (!value.empty() && value.back() == '\n') value.pop_back();
  return value;
}

Finding probe_seccomp(const ProbeContext&) {
  const std::uint32_t action = SECCOMP_RET_KILL_PROCESS;  // Linux 4.14
  if (::syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) != 0) {
    return {State::missing, errno_error("seccomp", "", errno).message, "",
            "boot a kernel of 4.14 or newer with CONFIG_SECCOMP_FILTER=y"};
  }
  return {State::ok, "filters that end the process", "", ""};
}

Finding probe_seccomp_notify(const ProbeContext&) {
  // Unknown flags are refused (EINVAL) before the missing program is noticed (EFAULT).
  constexpr unsigned wait_killable = 1U << 5;  // SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, Linux 5.19
  ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER | wait_killable, nullptr);
  if (errno == EFAULT) return {State::ok, "with descriptors and killable waits", "", ""};
  return {State::missing, errno_error("seccomp", "", errno).message, "", "boot a kernel of 5.19 or newer"};
}

Finding probe_syscalls(const ProbeContext&) {
  std::vector<std::string> missing;
  if (!sys::open_at2(AT_FDCWD, "/", O_PATH, RESOLVE_NO_SYMLINKS)) missing.push_back("openat2 (Linux 5.6)");
  if (!sys::pidfd_open(::getpid())) missing.push_back("pidfd_open (Linux 5.3)");
  if (::syscall(SYS_close_range, ~0U, ~0U, 0) != 0) missing.push_back("close_range (Linux 5.9)");
  if (!sys::memory_file("probe", "x")) missing.push_back("memfd_create (Linux 3.17)");
  if (missing.empty()) return {State::ok, "all there", "", ""};
  return {State::missing, "lacks " + join(missing, ", "), "",
          "boot a kernel of 5.12 or newer; in a container, an older runtime's seccomp profile may hide them"};
}

Finding probe_landlock(const ProbeContext&) {
  const int abi = landlock_abi();
  if (abi == 0) {
    const std::string modules = sys::read_file("/sys/kernel/security/lsm", 4096).value_or("");
    const bool off = !modules.empty() && modules.find("landlock") == std::string::npos;
    return {State::missing, off ? "switched off (lsm=" + modules + ")" : "this kernel has none", "",
            off ? "add landlock to the kernel parameter lsm= and reboot" : "boot a kernel of 5.13 or newer"};
  }
  const std::string version = "ABI " + std::to_string(abi);
  const std::string lacks = landlock_lacks(abi);
  if (lacks.empty()) return {State::ok, version, "", ""};
  return {State::degraded, version + ", can't restrict: " + lacks, "",
          "boot a newer kernel (6.12 has all; Debian 12: apt install -t bookworm-backports linux-image-amd64)"};
}

Finding probe_core_pattern(const ProbeContext&) {
  const std::string pattern = sysctl("kernel/core_pattern");
  if (!pattern.starts_with('|')) return {State::ok, "files", "", ""};
  return {State::degraded, "piped to " + pattern.substr(1, pattern.find(' ') - 1),
          "a crash inside could make that program, outside, read a hostile core",
          "sudo sysctl -w kernel.core_pattern=core"};
}

Finding probe_yama(const ProbeContext&) {
  const std::string scope = sysctl("kernel/yama/ptrace_scope");
  if (!scope.empty() && scope != "0") return {State::ok, "kernel.yama.ptrace_scope = " + scope, "", ""};
  return {State::degraded, scope.empty() ? "this kernel has no Yama" : "kernel.yama.ptrace_scope = 0",
          "other programs of yours on the host could read the helpers' secrets before they confine themselves; nothing "
          "inside a session can",
          scope.empty() ? "" : "sudo sysctl -w kernel.yama.ptrace_scope=1"};
}

}  // namespace bulkhead::session

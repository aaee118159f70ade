// The probes themselves, by what they look at. Each runs in a child of its own (probe.h) and may leave that
// child's namespaces in any state.
#pragma once

#include <string>

#include "session/state/probe.h"

namespace bulkhead::session {

// probe_namespaces.cc
Finding probe_userns(const ProbeContext&);
Finding probe_room(const ProbeContext&);
Finding probe_ipv6(const ProbeContext&);
Finding probe_proc(const ProbeContext&);
Finding probe_devpts(const ProbeContext&);
Finding probe_idmap(const ProbeContext&);
Finding probe_overlay(const ProbeContext&);
Finding probe_fuse(const ProbeContext&);

// probe_kernel.cc
Finding probe_seccomp(const ProbeContext&);
Finding probe_seccomp_notify(const ProbeContext&);
Finding probe_syscalls(const ProbeContext&);
Finding probe_landlock(const ProbeContext&);
Finding probe_core_pattern(const ProbeContext&);
Finding probe_yama(const ProbeContext&);

// probe_host.cc
Finding probe_bwrap(const ProbeContext&);
Finding probe_state_dir(const ProbeContext&);
Finding probe_cgroup(const ProbeContext&);
Finding probe_runsc(const ProbeContext&);
Finding probe_umoci(const ProbeContext&);
Finding probe_qemu(const ProbeContext&);
Finding probe_tun(const ProbeContext&);
Finding probe_kvm(const ProbeContext&);

// Why user namespaces don't work, from what the kernel says about itself (userns_reason.cc). Pure.
struct UsernsFacts {
  std::string step;                 // the call that failed: "unshare", "uid_map", "mount"…
  int code = 0;                     // its errno
  std::string unprivileged_clone;   // kernel.unprivileged_userns_clone (Debian, Arch), or empty
  std::string max_user_namespaces;  // user.max_user_namespaces
  std::string apparmor_restrict;    // kernel.apparmor_restrict_unprivileged_userns (Ubuntu 23.10+)
  bool container = false;           // inside Docker, Podman, …
  bool chroot = false;              // our root is not the namespace's: unshare(2) refuses a user namespace
};
Finding userns_reason(const UsernsFacts& facts);

// A bubblewrap version line ("bubblewrap 0.8.0") judged. Pure.
Finding judge_bwrap_version(const std::string& line);

// /proc/sys/NAME without its newline, or empty.
std::string sysctl(const std::string& name);
// unshare(CLONE_NEWUSER | flags) with the caller mapped to root, or to itself.
Result<void> enter_user_namespace(int flags, bool as_root);

}  // namespace bulkhead::session

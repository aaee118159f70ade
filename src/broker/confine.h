// What the broker gives up, and when. It must reach into the workload's processes (pidfd_getfd(2),
// process_vm_readv(2)), which takes CAP_SYS_PTRACE over bubblewrap's user namespaces: those are children of the room's,
// in which it is. Landlock would take that away again, so the file system is narrowed by the workload's own mount
// namespace and a seccomp allow-list instead.
#pragma once

#include "broker/broker.h"

namespace bulkhead::broker {

// Once the room is furnished: only the capabilities that enter() and the broker need (setns(2) into a mount namespace
// takes CAP_SYS_ADMIN and CAP_SYS_CHROOT).
Result<void> narrow();

// At the first notification: the mount namespace of `tid`, then CAP_SYS_PTRACE alone, then the allow-list.
Result<void> enter(const Proc& proc, pid_t tid);

}  // namespace bulkhead::broker

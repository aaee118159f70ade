// How a helper gives up what it does not need, before it reads its first hostile byte. After confine():
//   - no_new_privs; not dumpable (no ptrace, no core), no children (seccomp)
//   - a mount namespace whose root is empty and read-only, with its own user namespace (no capability outside)
//   - a seccomp allow-list for the role; anything else kills the process
// A step the machine can't do is an error: the helper does not start half confined.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/result.h"

namespace bulkhead {

enum class Role {
  front,     // read/write/accept on descriptors it holds, socketpair, sendmsg; no socket(2), no connect(2)
  egress,    // as front, plus socket(AF_INET/AF_INET6), connect
  evidence,  // read/recvmsg, write, fdatasync, fallocate on descriptors it holds
  reader,    // files by path, what its own user may read; messages on descriptors it holds; no exec, no socket(2)
  relay,     // accept, read and write on descriptors it holds; no socket(2), no connect(2)
  broker,   // other processes' memory and descriptors, connect on those and on TCP sockets of the room; files by O_PATH
            // and /proc only
  login,    // one file beneath a folder it holds, replaced by a new one; a lock; no socket(2), no exec
  walker,   // listings of folders beneath descriptors it holds; no file is read or written
  trace,    // accept4 on a socket it holds, messages; no socket(2), no connect(2)
  changes,  // listings as walker, inotify watches on those folders, messages
  look,     // messages and files on descriptors it holds, nothing else
  keep,     // files beneath descriptors it holds, threads; no socket(2), no exec
};

// Single-threaded callers only. Descriptors stay as they are.
Result<void> confine(Role role);

// The same for a helper that holds folders and works in them: Landlock keeps it from everything above and beside them,
// which a descriptor of a folder alone does not (openat(2) of ".."). ABI 2, Linux 5.19.
Result<void> confine(Role role, std::span<const int> folders);

// For a program of the machine's that reads hostile bytes for us (base/filter.h), before it is executed. no_new_privs
// is set already. It can open what lies in /usr and its like, /dev/null and what it holds, and nothing else (Landlock,
// where the kernel has it); it has no network and no other process within reach (seccomp).
// `folder`: an open folder (O_PATH) in which it may do as it likes with files, too, `shown` one it may read; -1 for
// none. Where the kernel's Landlock is too old to let it (ABI 2, Linux 5.19), that step is left out.
Result<void> confine_program(int folder = -1, int shown = -1);

// The last step alone, for a helper that has to keep a capability and another root (broker/confine.h), or to see the
// user's files (credential/). no_new_privs is set already.
Result<void> allow_only(Role role);

}  // namespace bulkhead

// The machine's recorder: a process beside bulkhead-init that says what the session's processes do (record.h) to the
// host, over a port of its own. It knows who begins, executes and ends from proc_events.h, and with which words from
// notices.h: a program is said to run when it does, with what its process had asked for.
//
// It is root of the machine and as much to be trusted as the machine's kernel. Where the host does not take what it
// says, processes wait at what they ask for; of what does not wait (fork, exit) more than the kernel's queue holds is
// counted and not said. When it ends, the machine does.
#pragma once

#include <sys/types.h>

#include "base/fd.h"
#include "base/result.h"

namespace bulkhead::shim {

class Recorder {
 public:
  // Starts it: it says Hello and waits for watch_me(). `port`: record::port_name's.
  static Result<Recorder> start(UniqueFd port);

  // In the session's first process, before it is anybody but root: all it does is recorded from now on.
  Result<void> watch_me();

  pid_t pid() const { return pid_; }
  // The session's processes are gone: it says what it still knows, and ends.
  void finish() { link_.reset(); }

 private:
  Recorder(pid_t pid, UniqueFd link) : pid_(pid), link_(std::move(link)) {}
  pid_t pid_;
  UniqueFd link_;
};

}  // namespace bulkhead::shim

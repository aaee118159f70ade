// A command in a session that lives, as its caller has it: the caller's terminal, signals and descriptors, and the exit
// status. The session's part is commands.h.
#pragma once

#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"

namespace bulkhead::session {

struct Execution {
  std::vector<std::string> command;
  std::vector<std::string> environment;  // NAME=value, beside the session's own
  std::string directory;                 // inside; empty: the session's
  bool own_kernel = false;               // no descriptor can be sent in: the bytes are carried
  // Set: 1 and 2 are kept in memory, the first so many bytes of each, instead of given on.
  std::size_t capture = 0;
  // The command's 0, 1 and 2 (unless captured); what is a terminal becomes a pty of the session's.
  int stdio[3] = {0, 1, 2};
  bool ends_at_interrupt = false;  // Ctrl-C is the caller's, not the command's: as SIGTERM
};

struct Executed {
  int status = 0;  // for a shell
  std::string out, err;
  bool cut = false;  // one of them was longer
};

// `session`: connected to it (state/connect.h). Returns when the command has ended and all it wrote is given on. An
// error: it was not run, or the session ended under it.
Result<Executed> execute(UniqueFd session, const Execution& what);

}  // namespace bulkhead::session

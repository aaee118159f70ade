#include "mcp/ends.h"

#include <errno.h>
#include <signal.h>
#include <sys/signalfd.h>

namespace bulkhead::mcp {

Result<UniqueFd> receive_ending_signals() {
  sigset_t ends;
  ::sigemptyset(&ends);
  for (const int number : {SIGTERM, SIGINT, SIGHUP}) ::sigaddset(&ends, number);
  ::sigprocmask(SIG_BLOCK, &ends, nullptr);
  UniqueFd told(::signalfd(-1, &ends, SFD_CLOEXEC));
  if (!told) return fail_errno("signalfd", "", errno);
  return told;
}

}  // namespace bulkhead::mcp

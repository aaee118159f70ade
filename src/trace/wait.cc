#include "trace/wait.h"

#include <errno.h>
#include <poll.h>

namespace bulkhead::trace {

Result<bool> wait_for(int fd, int supervisor) {
  pollfd fds[] = {{fd, POLLIN, 0}, {supervisor, POLLIN, 0}};
  while (::poll(fds, 2, -1) < 0) {
    if (errno != EINTR) return fail_errno("poll", "", errno);
  }
  return fds[0].revents != 0 && fds[1].revents == 0;
}

}  // namespace bulkhead::trace

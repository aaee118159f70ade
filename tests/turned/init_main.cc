// A machine's first program that a workload has taken over: as root of the machine it runs the script `as-root.sh` of
// a folder that the session shows, with the stream to the host as descriptor 9 and where it is said what runs as 8, and
// goes on like any other.
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest/init.h"

namespace {

void as_root(const bulkhead::shim::Boot& boot, int port, int record) {
  for (const auto& mount : boot.mounts) {
    const std::string script = mount.target + "/as-root.sh";
    if (::access(script.c_str(), R_OK) != 0) continue;
    const pid_t child = ::fork();
    if (child == 0) {
      (void)::chdir(mount.target.c_str());
      // Away from those numbers first: a descriptor that has its own already would be closed by exec.
      const int stream = ::fcntl(port, F_DUPFD, 10), said = record < 0 ? -1 : ::fcntl(record, F_DUPFD, 10);
      ::dup2(stream, 9);
      (void)::fcntl(9, F_SETFL, 0);
      if (said >= 0) {
        ::dup2(said, 8);
        (void)::fcntl(8, F_SETFL, 0);
      }
      const int out = ::open("as-root.out", O_WRONLY | O_TRUNC);
      ::dup2(out, 1);
      ::dup2(out, 2);
      ::execl("/bin/sh", "sh", script.c_str(), nullptr);
      ::_exit(126);
    }
    (void)::waitpid(child, nullptr, 0);
  }
}

}  // namespace

int main() {
  return bulkhead::shim::run_init(as_root);
}

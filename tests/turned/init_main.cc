// A machine's first program that a workload has taken over: as root of the machine it runs the script `as-root.sh` of
// a folder that the session shows, with the stream to the host as descriptor 9 and where it is said what runs as 8, and
// goes on like any other. The script's argument is what the kernel took for random when it had just been given the
// session's seed, in hexadecimal.
#include <fcntl.h>
#include <signal.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/text.h"
#include "guest/init.h"

namespace {

std::string& first_random() {
  static std::string bytes;
  return bytes;
}

void seeded() {
  char bytes[32];
  if (::getrandom(bytes, sizeof bytes, 0) == sizeof bytes) first_random() = bulkhead::hex({bytes, sizeof bytes});
}

// By way of other numbers: one of them may have the other's already.
void give(int port, int record) {
  const int high[] = {::fcntl(record, F_DUPFD, 10), ::fcntl(port, F_DUPFD, 10)};
  for (int i = 0; i < 2; ++i) {
    if (high[i] >= 0 && ::dup2(high[i], 8 + i) >= 0) (void)::fcntl(8 + i, F_SETFL, 0);
  }
}

void as_root(const bulkhead::shim::Boot& boot, int port, int record) {
  for (const auto& mount : boot.mounts) {
    const std::string script = mount.target + "/as-root.sh";
    if (::access(script.c_str(), R_OK) != 0) continue;
    const pid_t child = ::fork();
    if (child == 0) {
      sigset_t none;
      sigemptyset(&none);
      (void)::sigprocmask(SIG_SETMASK, &none, nullptr);
      (void)::chdir(mount.target.c_str());
      give(port, record);
      const int out = ::open("as-root.out", O_WRONLY | O_TRUNC);
      if (out < 0) ::_exit(126);
      ::dup2(out, 1);
      ::dup2(out, 2);
      ::execl("/bin/sh", "sh", script.c_str(), first_random().c_str(), nullptr);
      ::_exit(126);
    }
    (void)::waitpid(child, nullptr, 0);
  }
}

}  // namespace

int main() {
  return bulkhead::shim::run_init(as_root, seeded);
}

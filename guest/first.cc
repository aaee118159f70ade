#include "guest/first.h"

#include <dirent.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <memory>

#include "guest/workload.h"

namespace bulkhead::shim {
namespace {

constexpr int looks = 500;
constexpr useconds_t between = 10'000;

// Others than the first process and the caller, whether they have ended or not.
bool others_are_there() {
  const std::unique_ptr<DIR, int (*)(DIR*)> proc(::opendir("/proc"), ::closedir);
  if (!proc) return true;
  while (const dirent* entry = ::readdir(proc.get())) {
    const int pid = ::atoi(static_cast<const char*>(entry->d_name));
    if (pid > 1 && pid != ::getpid()) return true;
  }
  return false;
}

}  // namespace

[[noreturn]] void be_first() {
  close_from(3, 0);
  // The workload has the same uid; it must not look into this process.
  if (::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) ::_exit(125);
  for (int capability = 0; capability <= CAP_LAST_CAP; ++capability) {
    (void)::prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);  // it holds none that would let it; then there is none to have
  }
  sigset_t all;
  sigfillset(&all);
  ::sigprocmask(SIG_SETMASK, &all, nullptr);
  sigset_t children;
  sigemptyset(&children);
  sigaddset(&children, SIGCHLD);
  for (;;) {
    while (::waitpid(-1, nullptr, WNOHANG) > 0) {
    }
    (void)::sigwaitinfo(&children, nullptr);
  }
}

int leave_alone() {
  for (int i = 0; i < looks; ++i) {
    ::kill(-1, SIGKILL);
    if (!others_are_there()) return 0;
    ::usleep(between);
  }
  return 1;
}

}  // namespace bulkhead::shim

// X19: system calls that only widen what can be attacked. `kernel_surface CALL`
// "Worked" is anything but the boundary's own answers (EPERM, ENOSYS), so that a call which got as far as its
// arguments being looked at counts. Calls this kernel refuses to everybody are for the table to know.
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/io_uring.h>
#include <linux/perf_event.h>
#include <sched.h>
#include <sys/fanotify.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdint>

#include "victim.h"

namespace {

[[noreturn]] void verdict(long result, const std::string& what) {
  if (result < 0 && (errno == EPERM || errno == ENOSYS || errno == EACCES)) refused_errno(what);
  worked(what + (result < 0 ? std::string(": reached the kernel: ") + std::strerror(errno) : ""));
}

struct CloneArguments {  // struct clone_args of linux/sched.h, version 0
  std::uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls;
};

long fork_like(std::uint64_t flags, bool clone3) {
  CloneArguments arguments{};
  arguments.flags = flags;
  arguments.exit_signal = SIGCHLD;
  const long child = clone3 ? syscall(SYS_clone3, &arguments, sizeof arguments)
                            : syscall(SYS_clone, flags | SIGCHLD, nullptr, nullptr, nullptr, nullptr);
  if (child == 0) _exit(0);
  if (child > 0) waitpid(static_cast<pid_t>(child), nullptr, 0);
  return child;
}

// getpid (20) by the 32-bit entry. In a filter that only knows 64-bit numbers, 20 is writev.
// `first` stands where a 64-bit call has its first argument.
long by_int80(long number = 20, long first = 0) {
  long result = number;
  asm volatile("int $0x80" : "+a"(result) : "D"(first) : "memory", "r8", "r9", "r10", "r11");
  if (result < 0) {
    errno = static_cast<int>(-result);
    return -1;
  }
  return result;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string call = argument(argc, argv, 1);
  // A filter may answer with a signal instead of an error; that is a refusal too.
  std::signal(SIGSYS, [](int) { _exit(10); });
  std::signal(SIGSEGV, [](int) { _exit(10); });
  if (call == "unshare-user") verdict(unshare(CLONE_NEWUSER), call);
  if (call == "unshare-mount") verdict(unshare(CLONE_NEWNS), call);
  if (call == "clone-user") verdict(fork_like(CLONE_NEWUSER, false), call);
  if (call == "clone3-user") verdict(fork_like(CLONE_NEWUSER, true), call);
  if (call == "io_uring") {
    io_uring_params params{};
    verdict(syscall(SYS_io_uring_setup, 4, &params), call);
  }
  if (call == "bpf") {
    bpf_attr attributes{};
    attributes.map_type = BPF_MAP_TYPE_ARRAY;
    attributes.key_size = 4;
    attributes.value_size = 4;
    attributes.max_entries = 1;
    verdict(syscall(SYS_bpf, BPF_MAP_CREATE, &attributes, sizeof attributes), call);
  }
  if (call == "perf") {
    perf_event_attr attributes{};
    attributes.type = PERF_TYPE_SOFTWARE;
    attributes.size = sizeof attributes;
    attributes.config = PERF_COUNT_SW_TASK_CLOCK;
    attributes.exclude_kernel = 1;
    attributes.exclude_hv = 1;
    verdict(syscall(SYS_perf_event_open, &attributes, 0, -1, -1, 0), call);
  }
  if (call == "userfaultfd") verdict(syscall(SYS_userfaultfd, O_CLOEXEC | 1 /* UFFD_USER_MODE_ONLY */), call);
  if (call == "fanotify") verdict(syscall(SYS_fanotify_init, FAN_CLASS_NOTIF | FAN_REPORT_FID, O_RDONLY), call);
  if (call == "i386") verdict(by_int80(), call);
  // Where the gate of the i386 ABI leads to the 64-bit calls, their filter has to stand behind it.
  if (call == "i386-as-64") verdict(by_int80(SYS_unshare, CLONE_NEWUSER), call);
  if (call == "x32") verdict(syscall(0x40000000 | SYS_getpid), call);
  if (call == "mount") verdict(syscall(SYS_mount, "none", "/tmp", "tmpfs", 0, nullptr), call);
  if (call == "ptrace-traceme") verdict(syscall(SYS_ptrace, 0, 0, 0, 0), call);
  broken(call);
}

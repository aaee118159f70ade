// Build-time tool: writes each role's seccomp allow-list as a BPF program that confine.cc includes, so that
// no libseccomp is needed (or trusted) at run time. The lists are what docs/architecture.md promises per role.
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/fs.h>
#include <linux/ioctl.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <initializer_list>
#include <string>
#include <vector>

namespace {

void check(int result, const char* what) {
  if (result == 0) return;
  std::fprintf(stderr, "seccomp_gen: %s: %d\n", what, result);
  std::exit(1);
}

void allow(scmp_filter_ctx filter, std::initializer_list<int> calls) {
  for (const int call : calls) check(seccomp_rule_add(filter, SCMP_ACT_ALLOW, call, 0), "allow");
}

void allow_if(scmp_filter_ctx filter, int call, std::initializer_list<scmp_arg_cmp> arguments) {
  check(
      seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, call, static_cast<unsigned>(arguments.size()), arguments.begin()),
      "allow_if");
}

void common(scmp_filter_ctx filter) {
  allow(filter, {SCMP_SYS(read),           SCMP_SYS(write),
                 SCMP_SYS(readv),          SCMP_SYS(writev),
                 SCMP_SYS(pread64),        SCMP_SYS(close),
                 SCMP_SYS(lseek),          SCMP_SYS(fstat),
                 SCMP_SYS(newfstatat),     SCMP_SYS(recvmsg),
                 SCMP_SYS(recvfrom),       SCMP_SYS(poll),
                 SCMP_SYS(ppoll),          SCMP_SYS(brk),
                 SCMP_SYS(munmap),         SCMP_SYS(madvise),
                 SCMP_SYS(clock_gettime),  SCMP_SYS(clock_nanosleep),
                 SCMP_SYS(nanosleep),      SCMP_SYS(gettimeofday),
                 SCMP_SYS(time),           SCMP_SYS(getrandom),
                 SCMP_SYS(getpid),         SCMP_SYS(gettid),
                 SCMP_SYS(futex),          SCMP_SYS(rt_sigreturn),
                 SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigaction),
                 SCMP_SYS(sigaltstack),    SCMP_SYS(exit),
                 SCMP_SYS(exit_group),     SCMP_SYS(restart_syscall),
                 SCMP_SYS(sched_yield),    SCMP_SYS(getrusage),
                 SCMP_SYS(mremap),         SCMP_SYS(getppid),
                 SCMP_SYS(rseq),           SCMP_SYS(set_robust_list)});
  // sendmsg/sendto: to connected peers and, for DNS answers, to an address; neither opens anything new.
  allow(filter, {SCMP_SYS(sendmsg), SCMP_SYS(sendto), SCMP_SYS(sendmmsg)});
  // Memory that is never executable.
  allow_if(filter, SCMP_SYS(mmap), {SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0)});
  allow_if(filter, SCMP_SYS(mprotect), {SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0)});
  allow(filter, {SCMP_SYS(mlock), SCMP_SYS(munlock), SCMP_SYS(tgkill)});  // tgkill: abort(3)
  for (const int command : {F_GETFL, F_SETFL, F_GETFD, F_SETFD, F_DUPFD_CLOEXEC}) {
    allow_if(filter, SCMP_SYS(fcntl), {SCMP_A1_32(SCMP_CMP_EQ, static_cast<std::uint32_t>(command))});
  }
  for (const unsigned long request : {static_cast<unsigned long>(FIONBIO), static_cast<unsigned long>(FIONREAD)}) {
    allow_if(filter, SCMP_SYS(ioctl), {SCMP_A1_32(SCMP_CMP_EQ, static_cast<std::uint32_t>(request))});
  }
}

void no_files(scmp_filter_ctx filter) {
  // Libraries look for optional files lazily (time zone, openssl.cnf): they are told there are none.
  for (const int call : {SCMP_SYS(open), SCMP_SYS(openat), SCMP_SYS(openat2), SCMP_SYS(access), SCMP_SYS(faccessat),
                         SCMP_SYS(faccessat2), SCMP_SYS(stat), SCMP_SYS(lstat), SCMP_SYS(statx), SCMP_SYS(readlink),
                         SCMP_SYS(readlinkat), SCMP_SYS(ioctl), SCMP_SYS(uname), SCMP_SYS(sched_getaffinity),
                         SCMP_SYS(prlimit64), SCMP_SYS(sysinfo)}) {
    if (call == SCMP_SYS(ioctl)) continue;  // anything else: the default
    check(seccomp_rule_add(filter, SCMP_ACT_ERRNO(EACCES), call, 0), "errno");
  }
}

void sockets(scmp_filter_ctx filter) {
  allow(filter, {SCMP_SYS(epoll_create1), SCMP_SYS(epoll_create), SCMP_SYS(epoll_ctl), SCMP_SYS(epoll_wait),
                 SCMP_SYS(epoll_pwait), SCMP_SYS(eventfd2), SCMP_SYS(timerfd_create), SCMP_SYS(timerfd_settime),
                 SCMP_SYS(accept4), SCMP_SYS(accept), SCMP_SYS(getsockname), SCMP_SYS(getpeername),
                 SCMP_SYS(getsockopt), SCMP_SYS(setsockopt), SCMP_SYS(shutdown), SCMP_SYS(dup)});
  allow_if(filter, SCMP_SYS(socketpair), {SCMP_A0_32(SCMP_CMP_EQ, AF_UNIX)});
}

void write_program(scmp_filter_ctx filter, const std::string& name, std::FILE* out) {
  const int fd = ::open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (fd < 0) std::exit(1);
  check(seccomp_export_bpf(filter, fd), "export");
  const off_t size = ::lseek(fd, 0, SEEK_END);
  std::vector<sock_filter> program(static_cast<std::size_t>(size) / sizeof(sock_filter));
  if (::pread(fd, program.data(), static_cast<std::size_t>(size), 0) != size) std::exit(1);
  ::close(fd);
  std::fprintf(out, "[[maybe_unused]] constexpr sock_filter %s_filter[] = {\n", name.c_str());
  for (const sock_filter& f : program) std::fprintf(out, "    {0x%02x, %u, %u, 0x%08x},\n", f.code, f.jt, f.jf, f.k);
  std::fprintf(out, "};\n");
  seccomp_release(filter);
}

scmp_filter_ctx fresh(bool files = false) {
  scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
  if (filter == nullptr) std::exit(1);
  check(seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2), "binary tree");
  common(filter);
  if (!files) no_files(filter);
  return filter;
}

}  // namespace

int main(int argc, char** argv) {
  std::FILE* out = argc > 1 ? std::fopen(argv[1], "w") : nullptr;
  if (out == nullptr) return 1;
  std::fprintf(out, "// Generated by seccomp_gen.cc.\n");

  scmp_filter_ctx front = fresh();
  sockets(front);
  write_program(front, "front", out);

  scmp_filter_ctx egress = fresh();
  sockets(egress);
  allow(egress, {SCMP_SYS(connect)});
  for (const std::uint32_t family : {AF_INET, AF_INET6}) {
    for (const std::uint32_t type : {SOCK_STREAM, SOCK_DGRAM}) {
      // The low four bits are the type, the rest SOCK_NONBLOCK and SOCK_CLOEXEC (socket(2)).
      allow_if(egress, SCMP_SYS(socket), {SCMP_A0_32(SCMP_CMP_EQ, family), SCMP_A1_32(SCMP_CMP_MASKED_EQ, 0xf, type)});
    }
  }
  write_program(egress, "egress", out);

  write_program(fresh(), "look", out);

  scmp_filter_ctx evidence = fresh();
  allow(evidence, {SCMP_SYS(fdatasync), SCMP_SYS(fsync), SCMP_SYS(fallocate), SCMP_SYS(ftruncate), SCMP_SYS(pwrite64)});
  write_program(evidence, "evidence", out);
  scmp_filter_ctx reader = fresh(true);
  allow(reader, {SCMP_SYS(openat), SCMP_SYS(openat2)});
  write_program(reader, "reader", out);
  scmp_filter_ctx broker = fresh(true);
  allow(broker, {SCMP_SYS(process_vm_readv), SCMP_SYS(pidfd_open), SCMP_SYS(pidfd_getfd), SCMP_SYS(connect),
                 SCMP_SYS(getsockopt), SCMP_SYS(setsockopt), SCMP_SYS(fchdir), SCMP_SYS(chdir), SCMP_SYS(fstatfs),
                 SCMP_SYS(openat), SCMP_SYS(stat), SCMP_SYS(lstat)});
  for (const std::uint64_t request : {std::uint64_t{SECCOMP_IOCTL_NOTIF_RECV}, std::uint64_t{SECCOMP_IOCTL_NOTIF_SEND},
                                      std::uint64_t{SECCOMP_IOCTL_NOTIF_ID_VALID}}) {
    allow_if(broker, SCMP_SYS(ioctl), {SCMP_A1_32(SCMP_CMP_EQ, static_cast<std::uint32_t>(request))});
  }
  // For published ports: the broker is in the room's network namespace, and so is what it makes.
  for (const std::uint32_t family : {AF_INET, AF_INET6}) {
    allow_if(broker, SCMP_SYS(socket),
             {SCMP_A0_32(SCMP_CMP_EQ, family), SCMP_A1_32(SCMP_CMP_MASKED_EQ, 0xf, SOCK_STREAM)});
  }
  write_program(broker, "broker", out);

  // Files by name beneath what it holds (Landlock says which those are), and libfuse's threads.
  scmp_filter_ctx keep = fresh(true);
  allow(keep, {SCMP_SYS(openat),
               SCMP_SYS(openat2),
               SCMP_SYS(readlinkat),
               SCMP_SYS(mkdirat),
               SCMP_SYS(unlinkat),
               SCMP_SYS(renameat),
               SCMP_SYS(renameat2),
               SCMP_SYS(linkat),
               SCMP_SYS(symlinkat),
               SCMP_SYS(fchmod),
               SCMP_SYS(fchown),
               SCMP_SYS(fchownat),
               SCMP_SYS(utimensat),
               SCMP_SYS(getdents64),
               SCMP_SYS(ftruncate),
               SCMP_SYS(fallocate),
               SCMP_SYS(pwrite64),
               SCMP_SYS(fsync),
               SCMP_SYS(fdatasync),
               SCMP_SYS(fstatfs),
               SCMP_SYS(copy_file_range),
               SCMP_SYS(flistxattr),
               SCMP_SYS(fgetxattr),
               SCMP_SYS(fsetxattr),
               SCMP_SYS(fremovexattr),
               SCMP_SYS(sched_getaffinity),
               SCMP_SYS(prlimit64),
               SCMP_SYS(statx),
               SCMP_SYS(dup),
               SCMP_SYS(getuid),
               SCMP_SYS(getgid),
               SCMP_SYS(fchdir),
               SCMP_SYS(inotify_add_watch),
               SCMP_SYS(inotify_rm_watch)});
  allow_if(keep, SCMP_SYS(ioctl), {SCMP_A1_32(SCMP_CMP_EQ, static_cast<std::uint32_t>(FICLONE))});
  for (const std::uint64_t type : {S_IFREG, S_IFIFO, S_IFSOCK}) {  // no device files
    allow_if(keep, SCMP_SYS(mknodat), {SCMP_A2_32(SCMP_CMP_MASKED_EQ, S_IFMT, type)});
  }
  // Threads and no processes. clone3's flags are in memory, where no filter sees them: the C library then takes clone.
  allow_if(keep, SCMP_SYS(clone), {SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD | CLONE_VM, CLONE_THREAD | CLONE_VM)});
  check(seccomp_rule_add(keep, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0), "errno");
  constexpr int fchmodat2_number = 452;  // newer than this libseccomp
  check(seccomp_rule_add(keep, SCMP_ACT_ALLOW, fchmodat2_number, 0), "fchmodat2");
  // pipe2: libfuse then does without splice(2).
  for (const int call : {SCMP_SYS(open), SCMP_SYS(access), SCMP_SYS(readlink), SCMP_SYS(pipe2)}) {
    check(seccomp_rule_add(keep, SCMP_ACT_ERRNO(EACCES), call, 0), "errno");
  }
  write_program(keep, "keep", out);

  scmp_filter_ctx walker = fresh(true);
  allow_if(walker, SCMP_SYS(openat),
           {SCMP_A2_32(SCMP_CMP_MASKED_EQ, O_ACCMODE | O_DIRECTORY | O_CREAT, O_RDONLY | O_DIRECTORY)});
  allow(walker, {SCMP_SYS(getdents64)});
  write_program(walker, "walker", out);

  scmp_filter_ctx changes = fresh(true);
  allow_if(changes, SCMP_SYS(openat),
           {SCMP_A2_32(SCMP_CMP_MASKED_EQ, O_ACCMODE | O_DIRECTORY | O_CREAT, O_RDONLY | O_DIRECTORY)});
  allow(changes, {SCMP_SYS(getdents64), SCMP_SYS(fchdir), SCMP_SYS(inotify_add_watch), SCMP_SYS(inotify_rm_watch)});
  write_program(changes, "changes", out);

  scmp_filter_ctx login = fresh(true);
  allow(login,
        {SCMP_SYS(openat), SCMP_SYS(openat2), SCMP_SYS(unlinkat), SCMP_SYS(renameat), SCMP_SYS(renameat2),
         SCMP_SYS(linkat), SCMP_SYS(fchmod), SCMP_SYS(fsync), SCMP_SYS(fdatasync), SCMP_SYS(flock), SCMP_SYS(statx)});
  write_program(login, "login", out);

  scmp_filter_ctx trace = fresh();
  allow(trace, {SCMP_SYS(accept4)});
  write_program(trace, "trace", out);

  // Neither socket(2) nor connect(2): it has what it is given, and what it accepts.
  scmp_filter_ctx relay = fresh();
  allow(relay, {SCMP_SYS(accept4), SCMP_SYS(getsockopt), SCMP_SYS(shutdown)});
  const auto option = [&](int level, int name) {
    allow_if(relay, SCMP_SYS(setsockopt),
             {SCMP_A1_32(SCMP_CMP_EQ, static_cast<std::uint32_t>(level)),
              SCMP_A2_32(SCMP_CMP_EQ, static_cast<std::uint32_t>(name))});
  };
  option(SOL_SOCKET, SO_LINGER);
  option(IPPROTO_TCP, TCP_NODELAY);
  write_program(relay, "relay", out);

  // Programs that are not ours, whose system calls nobody knows: the few are denied that reach beyond the process.
  scmp_filter_ctx other = seccomp_init(SCMP_ACT_ALLOW);
  if (other == nullptr) std::exit(1);
  for (const int call : {SCMP_SYS(socket),
                         SCMP_SYS(socketpair),
                         SCMP_SYS(connect),
                         SCMP_SYS(bind),
                         SCMP_SYS(ptrace),
                         SCMP_SYS(process_vm_readv),
                         SCMP_SYS(process_vm_writev),
                         SCMP_SYS(kill),
                         SCMP_SYS(pidfd_open),
                         SCMP_SYS(pidfd_getfd),
                         SCMP_SYS(pidfd_send_signal),
                         SCMP_SYS(unshare),
                         SCMP_SYS(setns),
                         SCMP_SYS(mount),
                         SCMP_SYS(io_uring_setup),
                         SCMP_SYS(bpf),
                         SCMP_SYS(perf_event_open),
                         SCMP_SYS(userfaultfd),
                         SCMP_SYS(keyctl),
                         SCMP_SYS(add_key),
                         SCMP_SYS(request_key),
                         SCMP_SYS(open_by_handle_at)}) {
    check(seccomp_rule_add(other, SCMP_ACT_ERRNO(EPERM), call, 0), "errno");
  }
  write_program(other, "program", out);
  return std::fclose(out) == 0 ? 0 : 1;
}

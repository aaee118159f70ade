// Each refused call is made twice in forked children: behind the filter it must give the expected errno, and
// without the filter it must not (so a test can't pass because the call would have failed anyway).
#include "guest/seccomp.h"

#include <errno.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/keyctl.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>

namespace bulkhead::shim {
namespace {

// errno of `call` in a child (0: it succeeded), or -1 when the child died.
int outcome(bool filtered, const std::function<long()>& call) {
  const pid_t pid = ::fork();
  if (pid == 0) {
    if (filtered) {
      ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
      if (!apply_seccomp()) ::_exit(255);
    }
    errno = 0;
    const long result = call();
    ::_exit(result >= 0 ? 0 : errno);
  }
  int status = 0;
  ::waitpid(pid, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

void refused(const char* what, int error, const std::function<long()>& call) {
  EXPECT_EQ(outcome(true, call), error) << what;
  EXPECT_NE(outcome(false, call), error) << what << ": fails the same way without the filter";
}

// For calls that this machine refuses anyway (no privilege, not built in): at least the errno is the filter's.
void refused_here_too(const char* what, int error, const std::function<long()>& call) {
  EXPECT_EQ(outcome(true, call), error) << what;
}

// For calls that only root may make without the filter, with the same errno.
void refused_to_root(const char* what, int error, const std::function<long()>& call) {
  if (::geteuid() == 0) return refused(what, error, call);
  refused_here_too(what, error, call);
}

void works(const char* what, const std::function<long()>& call) {
  const int plain = outcome(false, call);
  EXPECT_EQ(outcome(true, call), plain) << what;
}

std::function<long()> sys(long number, long a = 0, long b = 0, long c = 0, long d = 0, long e = 0, long f = 0) {
  return [=] { return ::syscall(number, a, b, c, d, e, f); };
}

constexpr long high = 1L << 32;

TEST(Seccomp, SocketFamilies) {
  refused("unix datagram", EPROTONOSUPPORT, sys(SYS_socket, AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC));
  refused("unix raw", EPROTONOSUPPORT, sys(SYS_socket, AF_UNIX, SOCK_RAW));
  refused("unix datagram pair", EPROTONOSUPPORT, [] {
    int fds[2];
    return static_cast<long>(::socketpair(AF_UNIX, SOCK_DGRAM, 0, fds));
  });
  works("unix", sys(SYS_socket, AF_UNIX, SOCK_SEQPACKET));
  works("tcp", sys(SYS_socket, AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK));
  works("tcp 6", sys(SYS_socket, AF_INET6, SOCK_STREAM, IPPROTO_TCP));
  works("udp", sys(SYS_socket, AF_INET, SOCK_DGRAM, IPPROTO_UDP));
  works("rtnetlink", sys(SYS_socket, AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
  EXPECT_EQ(outcome(true, sys(SYS_socket, AF_INET, SOCK_STREAM)), 0);
  EXPECT_EQ(outcome(true, sys(SYS_socket, AF_NETLINK, SOCK_RAW, NETLINK_ROUTE)), 0);

  refused("packet", EAFNOSUPPORT, sys(SYS_socket, AF_PACKET, SOCK_RAW, 0));
  // Families this kernel may not have give the same errno by themselves; the filter must cover all the same.
  for (int family = 0; family < 64; ++family) {
    if (family == AF_UNIX || family == AF_INET || family == AF_INET6 || family == AF_NETLINK) continue;
    refused_here_too("family", EAFNOSUPPORT, sys(SYS_socket, family, SOCK_STREAM));
  }
  refused_to_root("raw", EPERM, sys(SYS_socket, AF_INET, SOCK_RAW, IPPROTO_TCP));
  refused_to_root("raw 6", EPERM, sys(SYS_socket, AF_INET6, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMPV6));
  refused_here_too("mptcp", EPROTONOSUPPORT, sys(SYS_socket, AF_INET, SOCK_STREAM, 262));
  refused_here_too("ping", EPROTONOSUPPORT, sys(SYS_socket, AF_INET, SOCK_DGRAM, IPPROTO_ICMP));
  refused_here_too("ping 6", EPROTONOSUPPORT, sys(SYS_socket, AF_INET6, SOCK_DGRAM, IPPROTO_ICMPV6));
  refused_here_too("udplite", EPROTONOSUPPORT, sys(SYS_socket, AF_INET, SOCK_DGRAM, 136));
  refused("uevents", EPROTONOSUPPORT, sys(SYS_socket, AF_NETLINK, SOCK_RAW, NETLINK_KOBJECT_UEVENT));
  refused_here_too("sock_diag", EPROTONOSUPPORT, sys(SYS_socket, AF_NETLINK, SOCK_DGRAM, NETLINK_SOCK_DIAG));
}

// The kernel drops the high half of an int argument; a filter that compares 64 bits would let these through.
TEST(Seccomp, HighBitsDoNotHelp) {
  refused("packet", EAFNOSUPPORT, sys(SYS_socket, high | AF_PACKET, SOCK_RAW, 0));
  refused_here_too("vsock", EAFNOSUPPORT, sys(SYS_socket, high | 40, SOCK_STREAM));
  refused_to_root("raw", EPERM, sys(SYS_socket, AF_INET, high | SOCK_RAW, IPPROTO_TCP));
  refused_here_too("raw, family", EAFNOSUPPORT, sys(SYS_socket, high | AF_INET, SOCK_RAW, IPPROTO_TCP));
  refused_here_too("mptcp", EPROTONOSUPPORT, sys(SYS_socket, AF_INET, SOCK_STREAM, high | 262));
  refused("uevents", EPROTONOSUPPORT, sys(SYS_socket, AF_NETLINK, SOCK_RAW, high | NETLINK_KOBJECT_UEVENT));
  refused_here_too("TIOCSTI", EPERM, sys(SYS_ioctl, 0, high | TIOCSTI, 0));
  refused("clone", EPERM, [] {
    return ::syscall(SYS_clone, high | CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0) == 0 ? (::_exit(0), 0)
           : errno == 0                                                          ? 0
                                                                                 : -1;
  });
}

TEST(Seccomp, SocketPairs) {
  works("unix", [] {
    int fds[2];
    return ::socketpair(AF_UNIX, SOCK_STREAM, 0, fds);
  });
  refused("inet", EAFNOSUPPORT, [] {
    int fds[2];
    return ::socketpair(AF_INET, SOCK_STREAM, 0, fds);
  });
}

TEST(Seccomp, FastOpen) {
  const auto with_socket = [](const std::function<long(int)>& call) {
    return [call] { return call(::socket(AF_INET, SOCK_STREAM, 0)); };
  };
  sockaddr_in nobody{};
  nobody.sin_family = AF_INET;
  nobody.sin_port = htons(9);
  nobody.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  refused("sendto", EOPNOTSUPP, with_socket([=](int s) {
            return ::sendto(s, "x", 1, MSG_FASTOPEN | MSG_NOSIGNAL, reinterpret_cast<const sockaddr*>(&nobody),
                            sizeof nobody);
          }));
  refused("sendmsg", EOPNOTSUPP, with_socket([=](int s) {
            sockaddr_in to = nobody;
            char byte = 'x';
            iovec part{&byte, 1};
            msghdr header{};
            header.msg_name = &to;
            header.msg_namelen = sizeof to;
            header.msg_iov = &part;
            header.msg_iovlen = 1;
            return ::sendmsg(s, &header, MSG_FASTOPEN | MSG_NOSIGNAL);
          }));
  refused("connect", EOPNOTSUPP, with_socket([](int s) {
            const int on = 1;
            return ::setsockopt(s, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &on, sizeof on);
          }));
  refused_here_too("ulp", ENOPROTOOPT,
                   with_socket([](int s) { return ::setsockopt(s, IPPROTO_TCP, TCP_ULP, "tls", 3); }));
  works("nodelay", with_socket([](int s) {
          const int on = 1;
          return ::setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        }));
}

TEST(Seccomp, Namespaces) {
  for (const long flag :
       {CLONE_NEWUSER, CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWNET, CLONE_NEWIPC, CLONE_NEWUTS, CLONE_NEWCGROUP}) {
    // With NEWUSER any user may make the others: without the filter it works for everybody.
    refused("unshare", EPERM, sys(SYS_unshare, CLONE_NEWUSER | flag));
    refused("clone", EPERM, [flag] {
      const long pid = ::syscall(SYS_clone, CLONE_NEWUSER | flag | SIGCHLD, 0, 0, 0, 0);
      if (pid == 0) ::_exit(0);
      return pid;
    });
    if (::geteuid() == 0) refused("unshare alone", EPERM, sys(SYS_unshare, flag));
  }
  works("unshare(CLONE_FS)", sys(SYS_unshare, CLONE_FS));
  works("fork", [] {
    const pid_t pid = ::fork();
    if (pid == 0) ::_exit(0);
    return static_cast<long>(pid);
  });
  refused("setns", EPERM, sys(SYS_setns, -1, 0));
  refused("clone3", ENOSYS, sys(SYS_clone3, 0, 0));
}

TEST(Seccomp, KernelInterfaces) {
  refused_here_too("io_uring_setup", ENOSYS, sys(SYS_io_uring_setup, 0, 0));
  refused_here_too("io_uring_enter", ENOSYS, sys(SYS_io_uring_enter, -1));
  refused_here_too("io_uring_register", ENOSYS, sys(SYS_io_uring_register, -1));
  // Nonsense arguments: the kernel answers EINVAL, EFAULT, EBADF or ENOSYS, the filter EPERM before it looks.
  const bool root = ::geteuid() == 0;  // an ordinary user may get EPERM from the kernel for the same
  const auto check = root ? refused : refused_here_too;
  check("bpf", EPERM, sys(SYS_bpf, 9999, 0, 0));
  check("perf_event_open", EPERM, sys(SYS_perf_event_open, 0, 0, -1, -1, 0));
  check("userfaultfd", EPERM, sys(SYS_userfaultfd, 0));
  check("fanotify_init", EPERM, sys(SYS_fanotify_init, 0xffff, 0));
  check("keyctl", EPERM, sys(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 0));
  check("add_key", EPERM, sys(SYS_add_key, 0, 0, 0, 0, 0));
  check("request_key", EPERM, sys(SYS_request_key, 0, 0, 0, 0));
  check("open_by_handle_at", EPERM, sys(SYS_open_by_handle_at, -1, 0, 0));
  check("mount", EPERM, sys(SYS_mount, 0, 0, 0, 0, 0));
  check("umount2", EPERM, sys(SYS_umount2, 0, 0));
  check("pivot_root", EPERM, sys(SYS_pivot_root, 0, 0));
  check("move_mount", EPERM, sys(SYS_move_mount, -1, 0, -1, 0, 0));
  check("open_tree", EPERM, sys(SYS_open_tree, -1, 0, 0));
  check("fsopen", EPERM, sys(SYS_fsopen, 0, 0));
  check("fsconfig", EPERM, sys(SYS_fsconfig, -1, 99, 0, 0, 0));
  check("fsmount", EPERM, sys(SYS_fsmount, -1, 0, 0));
  check("mount_setattr", EPERM, sys(SYS_mount_setattr, -1, 0, 0, 0, 0));
  check("kexec_load", EPERM, sys(SYS_kexec_load, 0, 9999, 0, 0));
  check("init_module", EPERM, sys(SYS_init_module, 0, 0, 0));
  check("finit_module", EPERM, sys(SYS_finit_module, -1, 0, 0));
  check("swapon", EPERM, sys(SYS_swapon, 0, 0));
  check("reboot", EPERM, sys(SYS_reboot, 0, 0, 0, 0));
  check("acct", EPERM, sys(SYS_acct, 1));
  check("clock_settime", EPERM, sys(SYS_clock_settime, 99, 0));
  check("adjtimex", EPERM, sys(SYS_adjtimex, 0));
  check("quotactl", EPERM, sys(SYS_quotactl, 0, 0, 0, 0));
  check("syslog", EPERM, sys(SYS_syslog, 99, 0, 0));
  check("kcmp", EPERM, sys(SYS_kcmp, 0, 0, 99, 0, 0));
  check("quotactl_fd", EPERM, sys(SYS_quotactl_fd, -1, 0, 0, 0));
  works("ptrace", sys(SYS_ptrace, 0 /* PTRACE_TRACEME */, 0, 0, 0));
  works("seccomp", sys(SYS_seccomp, 2 /* SECCOMP_GET_ACTION_AVAIL */, 0, 0));
  works("memfd_create", [] { return static_cast<long>(::memfd_create("x", 0)); });
}

TEST(Seccomp, SetIds) {
  char name[] = "/tmp/set-id-test-XXXXXX";
  const int fd = ::mkstemp(name);
  const auto path = reinterpret_cast<long>(static_cast<const char*>(name));
  const std::string made = std::string(name) + ".made";
  const auto new_path = reinterpret_cast<long>(made.c_str());
  const auto fresh = [&](long number, long a, long b, long c = 0, long d = 0) -> std::function<long()> {
    return [=, &made] {
      ::unlink(made.c_str());
      return ::syscall(number, a, b, c, d);
    };
  };
  constexpr long fchmodat2 = 452;
  for (const long mode : {04755L, 06000L, high | 04755L}) {
    refused("chmod", EPERM, sys(SYS_chmod, path, mode));
    refused("fchmod", EPERM, sys(SYS_fchmod, fd, mode));
    refused("fchmodat", EPERM, sys(SYS_fchmodat, AT_FDCWD, path, mode));
    refused("fchmodat2", EPERM, sys(fchmodat2, AT_FDCWD, path, mode, 0));
    refused("creat", EPERM, fresh(SYS_creat, new_path, mode));
    refused("open", EPERM, fresh(SYS_open, new_path, O_CREAT | O_RDWR, mode));
    refused("openat", EPERM, fresh(SYS_openat, AT_FDCWD, new_path, O_CREAT | O_RDWR, mode));
    refused("O_TMPFILE", EPERM, sys(SYS_openat, AT_FDCWD, reinterpret_cast<long>("/tmp"), O_TMPFILE | O_RDWR, mode));
    refused("mknod", EPERM, fresh(SYS_mknod, new_path, S_IFREG | mode, 0));
    refused("mknodat", EPERM, fresh(SYS_mknodat, AT_FDCWD, new_path, S_IFREG | mode, 0));
    // Nothing is made, so nobody looks at it.
    works("openat", sys(SYS_openat, AT_FDCWD, path, O_RDWR, mode));
  }
  refused("openat2", ENOSYS, sys(SYS_openat2, AT_FDCWD, path, 0, 0));
  works("chmod", sys(SYS_chmod, path, 01777));
  works("chmod", sys(SYS_chmod, path, 02755));
  works("openat", fresh(SYS_openat, AT_FDCWD, new_path, O_CREAT | O_RDWR, 0777));
  ::unlink(made.c_str());
  ::unlink(name);
  ::close(fd);
}

// What is refused in sessions that root began, beside the rest.
TEST(Seccomp, SetGroup) {
  char name[] = "/tmp/set-id-test-XXXXXX";
  const int fd = ::mkstemp(name);
  const auto path = reinterpret_cast<long>(static_cast<const char*>(name));
  const auto of_root = [](std::function<long()> call) -> std::function<long()> {
    return [call = std::move(call)] {
      ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
      if (!refuse_set_group()) ::_exit(255);
      errno = 0;
      return call();
    };
  };
  for (const long mode : {02755L, high | 02000L}) {
    for (const auto& call : {sys(SYS_chmod, path, mode), sys(SYS_fchmod, fd, mode),
                             sys(SYS_fchmodat, AT_FDCWD, path, mode), sys(452, AT_FDCWD, path, mode, 0),
                             sys(SYS_openat, AT_FDCWD, reinterpret_cast<long>("/tmp"), O_TMPFILE | O_RDWR, mode)}) {
      EXPECT_EQ(outcome(true, of_root(call)), EPERM);
      EXPECT_NE(outcome(true, call), EPERM);
    }
  }
  EXPECT_EQ(outcome(true, of_root(sys(SYS_chmod, path, 01777))), 0);
  ::unlink(name);
  ::close(fd);
}

TEST(Seccomp, Terminals) {
  // On a pty of its own: TIOCSTI gives EIO there where it is switched off, or works.
  const auto with_pty = [](const std::function<long(int)>& call) {
    return [call] {
      ::setsid();
      const int master = ::posix_openpt(O_RDWR | O_NOCTTY);
      ::grantpt(master);
      ::unlockpt(master);
      const int slave = ::open(::ptsname(master), O_RDWR);
      return call(slave);
    };
  };
  for (const long extra : {0L, high, static_cast<long>(0xdeadbeef) << 32}) {
    refused("TIOCSTI", EPERM, with_pty([extra](int tty) {
              const char c = 'x';
              return ::syscall(SYS_ioctl, tty, extra | TIOCSTI, &c);
            }));
    refused("TIOCSETD", EPERM, with_pty([extra](int tty) {
              const int discipline = 0;
              return ::syscall(SYS_ioctl, tty, extra | TIOCSETD, &discipline);
            }));
    refused("TIOCLINUX", EPERM, with_pty([extra](int tty) {
              const char code[2] = {2, 0};
              return ::syscall(SYS_ioctl, tty, extra | TIOCLINUX, code);
            }));
  }
  works("TIOCGWINSZ", with_pty([](int tty) {
          winsize size{};
          return ::ioctl(tty, TIOCGWINSZ, &size);
        }));
}

TEST(Seccomp, Personality) {
  for (const long allowed : {0L, 0xffffffffL, static_cast<long>(ADDR_NO_RANDOMIZE), static_cast<long>(PER_LINUX32)}) {
    EXPECT_EQ(outcome(true, sys(SYS_personality, allowed)), 0) << allowed;
  }
  refused("mmap page zero", EPERM, sys(SYS_personality, MMAP_PAGE_ZERO));
  refused("read implies exec", EPERM, sys(SYS_personality, READ_IMPLIES_EXEC));
  refused("with high bits", EPERM, sys(SYS_personality, high | READ_IMPLIES_EXEC));
}

#ifdef __x86_64__
TEST(Seccomp, OtherTables) {
  const auto i386_getpid = [] {
    long result = 20;  // getpid in the i386 table
    asm volatile("int $0x80" : "+a"(result) : : "memory", "r8", "r9", "r10", "r11");
    errno = result < 0 ? static_cast<int>(-result) : 0;
    return result;
  };
  EXPECT_EQ(outcome(true, i386_getpid), ENOSYS);
  refused_here_too("x32 getpid", ENOSYS, sys(0x40000000 + SYS_getpid));
  refused_here_too("x32 personality", ENOSYS, sys(0x40000000 + SYS_personality, 0));
}
#endif

}  // namespace
}  // namespace bulkhead::shim

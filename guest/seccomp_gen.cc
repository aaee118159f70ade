// Build-time tool: writes the workload's seccomp filter as a BPF program that seccomp.cc includes, so that the
// shim needs no libseccomp at run time.
//
// The filter allows by default: a workload is any program, and the view, the room and Landlock hold what can be
// named by a path or an address. It refuses what only seccomp stops: kernel interfaces that reach around those
// (AF_VSOCK ignores network namespaces), that were the entrance of past escapes (io_uring, user namespaces, the
// i386 and x32 tables), or that type into a terminal.
//
// The kernel looks at the low 32 bits of an int argument, seccomp at all 64. So every comparison here is either
// masked to 32 bits or refuses what lies above its range.
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <seccomp.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <initializer_list>
#include <vector>

namespace {

constexpr std::uint64_t low32 = 0xffffffff;

void check(int result, const char* what) {
  if (result == 0) return;
  std::fprintf(stderr, "workload_seccomp_gen: %s: %d\n", what, result);
  std::exit(1);
}

void refuse(scmp_filter_ctx f, int error, std::initializer_list<int> calls) {
  for (const int call : calls) {
    if (call < 0) continue;  // not a system call of this architecture
    check(seccomp_rule_add(f, SCMP_ACT_ERRNO(static_cast<std::uint32_t>(error)), call, 0), "refuse");
  }
}

void refuse_if(scmp_filter_ctx f, int error, int call, std::initializer_list<scmp_arg_cmp> arguments) {
  check(seccomp_rule_add_array(f, SCMP_ACT_ERRNO(static_cast<std::uint32_t>(error)), call,
                               static_cast<unsigned>(arguments.size()), arguments.begin()),
        "refuse_if");
}

void kernel_interfaces(scmp_filter_ctx f) {
  // ENOSYS: programs then take the older call, whose flags seccomp can see (clone), or do without (io_uring).
  refuse(f, ENOSYS,
         {SCMP_SYS(clone3), SCMP_SYS(io_uring_setup), SCMP_SYS(io_uring_enter), SCMP_SYS(io_uring_register)});
  refuse(f, EPERM,
         {SCMP_SYS(bpf),
          SCMP_SYS(perf_event_open),
          SCMP_SYS(userfaultfd),
          SCMP_SYS(fanotify_init),
          SCMP_SYS(keyctl),
          SCMP_SYS(add_key),
          SCMP_SYS(request_key),
          SCMP_SYS(open_by_handle_at),
          SCMP_SYS(setns),
          SCMP_SYS(mount),
          SCMP_SYS(umount2),
          SCMP_SYS(pivot_root),
          SCMP_SYS(move_mount),
          SCMP_SYS(open_tree),
          467 /* open_tree_attr, Linux 6.15 */,
          SCMP_SYS(fsopen),
          SCMP_SYS(fsconfig),
          SCMP_SYS(fsmount),
          SCMP_SYS(fspick),
          SCMP_SYS(mount_setattr),
          SCMP_SYS(kexec_load),
          SCMP_SYS(kexec_file_load),
          SCMP_SYS(init_module),
          SCMP_SYS(finit_module),
          SCMP_SYS(delete_module),
          SCMP_SYS(create_module),
          SCMP_SYS(query_module),
          SCMP_SYS(get_kernel_syms),
          SCMP_SYS(swapon),
          SCMP_SYS(swapoff),
          SCMP_SYS(reboot),
          SCMP_SYS(acct),
          SCMP_SYS(settimeofday),
          SCMP_SYS(clock_settime),
          SCMP_SYS(adjtimex),
          SCMP_SYS(clock_adjtime),
          SCMP_SYS(quotactl),
          SCMP_SYS(quotactl_fd),
          SCMP_SYS(lookup_dcookie),
          SCMP_SYS(nfsservctl),
          SCMP_SYS(vhangup),
          SCMP_SYS(iopl),
          SCMP_SYS(ioperm),
          SCMP_SYS(modify_ldt),
          SCMP_SYS(kcmp),
          SCMP_SYS(syslog),
          SCMP_SYS(uselib),
          SCMP_SYS(ustat),
          SCMP_SYS(sysfs),
          SCMP_SYS(_sysctl)});
  // 0x80 is CLONE_NEWTIME; in clone(2) those bits are the exit signal.
  for (const std::uint64_t flag : std::initializer_list<std::uint64_t>{
           CLONE_NEWNS, CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC, CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET}) {
    refuse_if(f, EPERM, SCMP_SYS(clone), {SCMP_A0(SCMP_CMP_MASKED_EQ, flag, flag)});
    refuse_if(f, EPERM, SCMP_SYS(unshare), {SCMP_A0(SCMP_CMP_MASKED_EQ, flag, flag)});
  }
  refuse_if(f, EPERM, SCMP_SYS(unshare), {SCMP_A0(SCMP_CMP_MASKED_EQ, 0x80, 0x80)});
}

// No file that gives whoever runs it the rights of its owner or group (`bit`): in a writable mount it would be the
// user's, or the host's root's where root began the session, with what the workload wrote in it. What openat2(2) is
// asked for no filter sees, and programs take openat(2) instead.
void set_id(scmp_filter_ctx f, std::uint64_t bit) {
  constexpr int fchmodat2 = 452;  // Linux 6.6
  refuse(f, ENOSYS, {SCMP_SYS(openat2)});
  const auto refuse_made = [&](int call, std::initializer_list<scmp_arg_cmp> arguments) {
    if (call >= 0) refuse_if(f, EPERM, call, arguments);  // else no system call of this architecture
  };
  constexpr std::uint64_t tmpfile = 020000000;  // what O_TMPFILE has beside O_DIRECTORY
  for (const int call : {SCMP_SYS(chmod), SCMP_SYS(fchmod), SCMP_SYS(creat), SCMP_SYS(mknod)}) {
    refuse_made(call, {SCMP_A1(SCMP_CMP_MASKED_EQ, bit, bit)});
  }
  for (const int call : {SCMP_SYS(fchmodat), fchmodat2, SCMP_SYS(mknodat)}) {
    refuse_made(call, {SCMP_A2(SCMP_CMP_MASKED_EQ, bit, bit)});
  }
  for (const std::uint64_t makes : {std::uint64_t{O_CREAT}, tmpfile}) {
    refuse_made(SCMP_SYS(open), {SCMP_A1(SCMP_CMP_MASKED_EQ, makes, makes), SCMP_A2(SCMP_CMP_MASKED_EQ, bit, bit)});
    refuse_made(SCMP_SYS(openat), {SCMP_A2(SCMP_CMP_MASKED_EQ, makes, makes), SCMP_A3(SCMP_CMP_MASKED_EQ, bit, bit)});
  }
}

void terminals(scmp_filter_ctx f) {
  // TIOCSTI and TIOCLINUX type into a terminal; TIOCSETD loads line disciplines; TIOCCONS diverts the console.
  for (const std::uint64_t request : std::initializer_list<std::uint64_t>{TIOCSTI, TIOCLINUX, TIOCSETD, TIOCCONS}) {
    refuse_if(f, EPERM, SCMP_SYS(ioctl), {SCMP_A1(SCMP_CMP_MASKED_EQ, low32, request)});
  }
}

// TCP, UDP, unix sockets and rtnetlink. libseccomp can't say "allow these" over a default of allow, nor look at
// one argument twice, so the gaps between the allowed numbers are refused one by one and all above with >=.
void sockets(scmp_filter_ctx f) {
  for (const std::uint64_t domain : {0, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 14, 15}) {
    refuse_if(f, EAFNOSUPPORT, SCMP_SYS(socket), {SCMP_A0(SCMP_CMP_EQ, domain)});
  }
  static_assert(AF_UNIX == 1 && AF_INET == 2 && AF_INET6 == 10 && AF_NETLINK == 16);
  refuse_if(f, EAFNOSUPPORT, SCMP_SYS(socket), {SCMP_A0(SCMP_CMP_GE, 17)});

  for (const std::uint64_t family : {AF_INET, AF_INET6}) {
    // The low four bits are the type, the rest SOCK_NONBLOCK and SOCK_CLOEXEC (socket(2)).
    for (std::uint64_t type = 0; type < 16; ++type) {
      if (type == SOCK_STREAM || type == SOCK_DGRAM) continue;
      refuse_if(f, EPERM, SCMP_SYS(socket), {SCMP_A0(SCMP_CMP_EQ, family), SCMP_A1(SCMP_CMP_MASKED_EQ, 0xf, type)});
    }
    // MPTCP, ICMP, SCTP, UDP-Lite… EPROTONOSUPPORT is what programs fall back from.
    const auto only = [&](std::uint64_t type, std::uint64_t allowed) {
      for (std::uint64_t protocol = 1; protocol < allowed; ++protocol) {
        refuse_if(
            f, EPROTONOSUPPORT, SCMP_SYS(socket),
            {SCMP_A0(SCMP_CMP_EQ, family), SCMP_A1(SCMP_CMP_MASKED_EQ, 0xf, type), SCMP_A2(SCMP_CMP_EQ, protocol)});
      }
      refuse_if(f, EPROTONOSUPPORT, SCMP_SYS(socket),
                {SCMP_A0(SCMP_CMP_EQ, family), SCMP_A1(SCMP_CMP_MASKED_EQ, 0xf, type), SCMP_A2(SCMP_CMP_GT, allowed)});
    };
    only(SOCK_STREAM, IPPROTO_TCP);
    only(SOCK_DGRAM, IPPROTO_UDP);
  }
  // NETLINK_ROUTE is 0: programs list their interfaces with it.
  refuse_if(f, EPROTONOSUPPORT, SCMP_SYS(socket), {SCMP_A0(SCMP_CMP_EQ, AF_NETLINK), SCMP_A2(SCMP_CMP_GT, 0)});
  refuse_if(f, EAFNOSUPPORT, SCMP_SYS(socketpair), {SCMP_A0(SCMP_CMP_NE, AF_UNIX)});
  // A datagram socket can send to any path it can name, by three system calls whose addresses no filter sees; a host's
  // socket in a mounted folder would be reached. SOCK_RAW makes the same (unix(7)). As on a kernel without them.
  for (const std::uint64_t type : {SOCK_DGRAM, SOCK_RAW}) {
    refuse_if(f, EPROTONOSUPPORT, SCMP_SYS(socket),
              {SCMP_A0(SCMP_CMP_EQ, AF_UNIX), SCMP_A1(SCMP_CMP_MASKED_EQ, 0xf, type)});
    refuse_if(f, EPROTONOSUPPORT, SCMP_SYS(socketpair),
              {SCMP_A0(SCMP_CMP_EQ, AF_UNIX), SCMP_A1(SCMP_CMP_MASKED_EQ, 0xf, type)});
  }
  // TCP fast open connects by sending, past whoever judges connect(2). As on a kernel without it.
  refuse_if(f, EOPNOTSUPP, SCMP_SYS(sendto), {SCMP_A3(SCMP_CMP_MASKED_EQ, MSG_FASTOPEN, MSG_FASTOPEN)});
  refuse_if(f, EOPNOTSUPP, SCMP_SYS(sendmsg), {SCMP_A2(SCMP_CMP_MASKED_EQ, MSG_FASTOPEN, MSG_FASTOPEN)});
  refuse_if(f, EOPNOTSUPP, SCMP_SYS(sendmmsg), {SCMP_A3(SCMP_CMP_MASKED_EQ, MSG_FASTOPEN, MSG_FASTOPEN)});
  refuse_if(
      f, EOPNOTSUPP, SCMP_SYS(setsockopt),
      {SCMP_A1(SCMP_CMP_MASKED_EQ, low32, IPPROTO_TCP), SCMP_A2(SCMP_CMP_MASKED_EQ, low32, TCP_FASTOPEN_CONNECT)});
  // Upper layer protocols (kTLS, SMC) load kernel code for a socket's owner.
  refuse_if(f, ENOPROTOOPT, SCMP_SYS(setsockopt),
            {SCMP_A1(SCMP_CMP_MASKED_EQ, low32, IPPROTO_TCP), SCMP_A2(SCMP_CMP_MASKED_EQ, low32, TCP_ULP)});
}

// What differs between the host's kernel and one of the session's own.
void judged_outside(scmp_filter_ctx f) {
  // Judged and done outside, where the address can be read (src/broker/broker.h).
  check(seccomp_rule_add(f, SCMP_ACT_NOTIFY, SCMP_SYS(connect), 0), "notify");
}

void own_kernel(scmp_filter_ctx f) {
  // gVisor (2024) answers EBADF for a symbolic link in a folder of the host's, and ls(1), cp -a and tar then complain
  // about each. As on a file system without attributes.
  refuse(f, EOPNOTSUPP, {SCMP_SYS(lgetxattr), SCMP_SYS(llistxattr)});
}

// personality(2): asking (~0), Linux, the uname flavours, and no address randomisation (debuggers). One argument
// against a list is again what libseccomp can't say, so these instructions go in front of its program: they
// refuse or fall through to it.
std::vector<sock_filter> personality_prefix() {
  constexpr std::uint32_t linux32 = PER_LINUX32, uname26 = UNAME26;
  const std::uint32_t allowed[] = {0, linux32, uname26, uname26 | linux32, ADDR_NO_RANDOMIZE, 0xffffffff};
  constexpr unsigned char count = sizeof allowed / sizeof allowed[0];
  std::vector<sock_filter> code = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<unsigned>(SCMP_SYS(personality)), 0, count + 2),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args)),  // low word: little-endian machines
  };
  for (unsigned char i = 0; i < count; ++i) {
    code.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, allowed[i], static_cast<unsigned char>(count - i), 0));
  }
  code.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM));
  return code;
}

std::vector<sock_filter> program_of(scmp_filter_ctx f) {
  const int fd = ::memfd_create("filter", MFD_CLOEXEC);
  if (fd < 0) std::exit(1);
  check(seccomp_export_bpf(f, fd), "export");
  const off_t size = ::lseek(fd, 0, SEEK_END);
  std::vector<sock_filter> program(static_cast<std::size_t>(size) / sizeof(sock_filter));
  if (::pread(fd, program.data(), static_cast<std::size_t>(size), 0) != size) std::exit(1);
  ::close(fd);
  return program;
}

scmp_filter_ctx fresh() {
  scmp_filter_ctx f = seccomp_init(SCMP_ACT_ALLOW);
  if (f == nullptr) std::exit(1);
  // The i386 table (int 0x80) and x32: other numbers for the same calls, past every rule below.
  check(seccomp_attr_set(f, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ERRNO(ENOSYS)), "bad architecture");
  check(seccomp_attr_set(f, SCMP_FLTATR_CTL_OPTIMIZE, 2), "binary tree");
  return f;
}

void write_program(std::FILE* out, const char* name, const std::vector<sock_filter>& program) {
  if (program.size() > BPF_MAXINSNS) std::exit(1);
  std::fprintf(out, "constexpr sock_filter %s[] = {\n", name);
  for (const sock_filter& i : program) std::fprintf(out, "    {0x%02x, %u, %u, 0x%08x},\n", i.code, i.jt, i.jf, i.k);
  std::fprintf(out, "};\n");
}

// A folder's set-group-ID bit can't be told from a file's, and repositories that a group shares need it: so this is for
// sessions that root began alone, where the group would be root's.
void write_set_group(std::FILE* out) {
  scmp_filter_ctx f = fresh();
  set_id(f, S_ISGID);
  write_program(out, "set_group_filter", program_of(f));
  seccomp_release(f);
}

void write_filter(std::FILE* out, const char* name, void (*more)(scmp_filter_ctx)) {
  scmp_filter_ctx f = fresh();
  kernel_interfaces(f);
  set_id(f, S_ISUID);
  terminals(f);
  sockets(f);
  more(f);
  std::vector<sock_filter> program = personality_prefix();
  const std::vector<sock_filter> rest = program_of(f);
  program.insert(program.end(), rest.begin(), rest.end());
  write_program(out, name, program);
  seccomp_release(f);
}

}  // namespace

int main(int argc, char** argv) {
  std::FILE* out = argc > 1 ? std::fopen(argv[1], "w") : nullptr;
  if (out == nullptr) return 1;
  std::fprintf(out, "// Generated by guest/seccomp_gen.cc.\n");
  write_filter(out, "workload_filter", judged_outside);
  write_filter(out, "own_kernel_filter", own_kernel);
  write_set_group(out);
  return std::fclose(out) == 0 ? 0 : 1;
}

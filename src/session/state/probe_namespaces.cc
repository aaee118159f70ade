#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/sys.h"
#include "room/netlink.h"
#include "session/state/landlock.h"
#include "session/state/probes.h"

namespace bulkhead::session {

namespace {

Finding from(const Error& error, const std::string& fix = "") {
  return {State::missing, error.message, "", fix};
}

Result<void> mount(const char* source, const char* target, const char* type, const std::string& options) {
  if (::mount(source, target, type, MS_NOSUID | MS_NODEV, options.c_str()) != 0)
    return fail_errno("mount", type, errno);
  return {};
}

// A pid namespace begins with the first child: run `work` in it, 0 or an errno.
int in_pid_namespace(int (*work)()) {
  if (::unshare(CLONE_NEWPID) != 0) return errno;
  const pid_t pid = ::fork();
  if (pid < 0) return errno;
  if (pid == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    ::_exit(work());
  }
  int status = 0;
  ::waitpid(pid, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : ECHILD;
}

// Two sockets of one namespace, over an address that is nobody's: does the connection arrive?
Result<void> connect_to_anything(int family, const char* address) {
  sockaddr_storage name{};
  socklen_t size = 0;
  if (family == AF_INET) {
    auto* in = reinterpret_cast<sockaddr_in*>(&name);
    in->sin_family = AF_INET;
    in->sin_port = htons(443);
    size = sizeof *in;
  } else {
    auto* in6 = reinterpret_cast<sockaddr_in6*>(&name);
    in6->sin6_family = AF_INET6;
    in6->sin6_port = htons(443);
    size = sizeof *in6;
  }
  const UniqueFd listener(::socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const UniqueFd client(::socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!listener || !client) return fail_errno("socket", "", errno);
  if (::bind(listener.get(), reinterpret_cast<sockaddr*>(&name), size) != 0) return fail_errno("bind", "", errno);
  if (::listen(listener.get(), 1) != 0) return fail_errno("listen", "", errno);
  void* where = family == AF_INET ? static_cast<void*>(&reinterpret_cast<sockaddr_in*>(&name)->sin_addr)
                                  : static_cast<void*>(&reinterpret_cast<sockaddr_in6*>(&name)->sin6_addr);
  ::inet_pton(family, address, where);
  if (::connect(client.get(), reinterpret_cast<sockaddr*>(&name), size) != 0)
    return fail_errno("connect", address, errno);
  return {};
}

Result<void> try_room(int family, const char* address) {
  BH_CHECK(enter_user_namespace(CLONE_NEWNET, false));
  BH_CHECK(room::bring_up_loopback());
  BH_CHECK(room::make_every_address_local(family));
  return connect_to_anything(family, address);
}

// An empty tmpfs of this child's own to try things in.
Result<void> scratch(int flags) {
  BH_CHECK(enter_user_namespace(CLONE_NEWNS | flags, true));
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return fail_errno("mount", "/", errno);
  return mount("none", "/tmp", "tmpfs", "size=1m");
}

}  // namespace

Result<void> enter_user_namespace(int flags, bool as_root) {
  const uid_t uid = ::getuid();
  const gid_t gid = ::getgid();
  if (::unshare(CLONE_NEWUSER | flags) != 0) return fail_errno("unshare", "", errno);
  return sys::write_id_maps(0, as_root ? 0 : uid, uid, as_root ? 0 : gid, gid);
}

Finding probe_userns(const ProbeContext&) {
  UsernsFacts facts;
  facts.unprivileged_clone = sysctl("kernel/unprivileged_userns_clone");
  facts.max_user_namespaces = sysctl("user/max_user_namespaces");
  facts.apparmor_restrict = sysctl("kernel/apparmor_restrict_unprivileged_userns");
  facts.container = sys::exists("/.dockerenv") || sys::exists("/run/.containerenv");
  struct stat ours{}, real{};
  facts.chroot = ::stat("/", &ours) == 0 && ::stat("/proc/1/root/.", &real) == 0 &&
                 (ours.st_ino != real.st_ino || ours.st_dev != real.st_dev);
  const uid_t uid = ::getuid();
  const gid_t gid = ::getgid();
  const auto failed = [&](const char* step, int code) {
    facts.step = step;
    facts.code = code;
    return userns_reason(facts);
  };
  if (::unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWNET) != 0) return failed("unshare", errno);
  if (auto mapped = sys::write_id_maps(0, uid, uid, gid, gid); !mapped) return failed("uid_map", mapped.error().code);
  if (::mount("none", "/tmp", "tmpfs", 0, "size=4k") != 0) return failed("mount", errno);
  if (auto up = room::bring_up_loopback(); !up) return failed("ioctl(SIOCSIFFLAGS)", up.error().code);
  return {State::ok, "usable", "", ""};
}

Finding probe_room(const ProbeContext&) {
  if (auto tried = try_room(AF_INET, "192.0.2.1"); !tried) {
    return from(tried.error(), "see `userns`; the kernel also needs CONFIG_NET_NS and CONFIG_IP_ADVANCED_ROUTER");
  }
  return {State::ok, "every IPv4 address is local", "", ""};
}

Finding probe_ipv6(const ProbeContext&) {
  if (auto tried = try_room(AF_INET6, "2001:db8::1"); !tried) {
    return {State::degraded, tried.error().message,
            "none is lost: the workload has no IPv6 at all, and programs that insist on it fail", ""};
  }
  return {State::ok, "every IPv6 address is local", "", ""};
}

Finding probe_proc(const ProbeContext&) {
  if (auto entered = enter_user_namespace(CLONE_NEWNS, true); !entered) return from(entered.error(), "see `userns`");
  const int code = in_pid_namespace([] {
    if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return errno;
    return ::mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr) == 0 ? 0 : errno;
  });
  if (code == 0) return {State::ok, "mounts", "", ""};
  const std::string why = errno_error("mount", "/proc", code).message;
  if (code != EPERM) return {State::missing, why, "", ""};
  // mount_namespaces(7): a new proc may not show more than the old one, and containers mask parts of theirs.
  return {State::missing,
          "the kernel refuses a fresh /proc because this one is partly masked, as in containers [" + why + "]", "",
          "start the container with: --security-opt systempaths=unconfined   # Podman: --security-opt unmask=ALL"};
}

Finding probe_devpts(const ProbeContext&) {
  const UniqueFd terminal(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
  if (!terminal) return from(errno_error("open", "/dev/ptmx", errno), "mount -t devpts devpts /dev/pts");
  if (auto made = scratch(0); !made) return from(made.error(), "see `userns`");
  if (::mkdir("/tmp/pts", 0755) != 0) return from(errno_error("mkdir", "/tmp/pts", errno));
  if (auto mounted = mount("devpts", "/tmp/pts", "devpts", "newinstance,ptmxmode=0666,mode=620"); !mounted) {
    return from(mounted.error(), "the kernel needs CONFIG_UNIX98_PTYS");
  }
  return {State::ok, "usable", "", ""};
}

Finding probe_overlay(const ProbeContext&) {
  const auto tried = [&]() -> Result<void> {
    BH_CHECK(scratch(0));
    for (const char* name : {"/tmp/l", "/tmp/u", "/tmp/w", "/tmp/m"}) {
      if (::mkdir(name, 0755) != 0) return fail_errno("mkdir", name, errno);
    }
    // Linux 5.11: unprivileged, with whiteouts and opaque marks in user.* attributes.
    return mount("overlay", "/tmp/m", "overlay", "userxattr,lowerdir=/tmp/l,upperdir=/tmp/u,workdir=/tmp/w");
  }();
  if (!tried) {
    return {State::missing, tried.error().message, "mode `review` is refused",
            "a kernel of 5.11 or newer with overlayfs: sudo modprobe overlay"};
  }
  return {State::ok, "usable with userxattr", "", ""};
}

// Tried as the session's uid would: started as root that is another's, so the device has to be everybody's.
Finding probe_fuse(const ProbeContext& context) {
  const std::string costs = "mounts with mode `rw-no-delete` are refused";
  struct stat st{};
  if (::stat("/dev/fuse", &st) != 0 || !S_ISCHR(st.st_mode)) {
    return {State::degraded, "there is no /dev/fuse", costs,
            "sudo modprobe fuse   # in a container: --device /dev/fuse"};
  }
  if (context.root ? (st.st_mode & 06) != 06 : ::access("/dev/fuse", R_OK | W_OK) != 0) {
    return {State::degraded, "/dev/fuse is not everybody's", costs, "sudo chmod 0666 /dev/fuse   # as udev does"};
  }
  const auto tried = [&]() -> Result<void> {
    BH_CHECK(scratch(0));
    if (::mkdir("/tmp/m", 0755) != 0) return fail_errno("mkdir", "/tmp/m", errno);
    BH_TRY(const UniqueFd device, sys::open("/dev/fuse", O_RDWR));
    return mount("bulkhead", "/tmp/m", "fuse",
                 "fd=" + std::to_string(device.get()) + ",rootmode=40000,user_id=0,group_id=0");
  }();
  if (!tried) return {State::degraded, tried.error().message, costs, "see `userns`; a kernel of 4.18 or newer"};
  if (landlock_abi() < 2) return {State::degraded, "Landlock is older than ABI 2", costs, "a kernel of 5.19 or newer"};
  return {State::ok, "usable", "", ""};
}

Finding probe_idmap(const ProbeContext& context) {
  if (!context.root) return {State::ok, "not needed: not started as root", "", ""};
  const std::string fix = "run Bulkhead as an ordinary user: sudo -u USER bulkhead run …";
  // A namespace to take the map from, held by a child that waits to be killed with us.
  auto ready = sys::pipe();
  if (!ready) return from(ready.error());
  const pid_t pid = ::fork();
  if (pid < 0) return from(errno_error("fork", "", errno));
  if (pid == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::unshare(CLONE_NEWUSER) == 0) (void)!::write(ready->second.get(), "1", 1);
    ready->second.reset();
    for (;;) ::pause();
  }
  const auto tried = [&]() -> Result<void> {
    char byte = 0;
    ready->second.reset();
    if (::read(ready->first.get(), &byte, 1) != 1) return fail("no user namespace to map into");
    BH_CHECK(sys::write_id_maps(pid, 0, 70000, 0, 70000));
    BH_TRY(const UniqueFd ns, sys::open("/proc/" + std::to_string(pid) + "/ns/user", O_RDONLY));
    // A detached copy of the mount that HOME is on: it appears in no namespace and goes with its descriptor.
    const UniqueFd tree(static_cast<int>(
        ::syscall(SYS_open_tree, AT_FDCWD, context.paths.home.c_str(), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC)));
    if (!tree) return fail_errno("open_tree", context.paths.home, errno);
    mount_attr attributes{};
    attributes.attr_set = MOUNT_ATTR_IDMAP;
    attributes.userns_fd = static_cast<std::uint64_t>(ns.get());
    if (::syscall(SYS_mount_setattr, tree.get(), "", AT_EMPTY_PATH, &attributes, sizeof attributes) != 0) {
      return fail_errno("mount_setattr", context.paths.home, errno);
    }
    return {};
  }();
  ::kill(pid, SIGKILL);
  ::waitpid(pid, nullptr, 0);
  if (!tried) return from(tried.error(), fix);
  return {State::ok, "id-mapped mounts work where HOME is", "", ""};
}

}  // namespace bulkhead::session

// X22: ways up. `privilege setuid | set-id | core | proc-sys | cgroup | caps | mknod`
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>

#include "victim.h"

int main(int argc, char** argv) {
  const std::string how = argument(argc, argv, 1);
  if (how == "setuid") {
    // A setuid program changes its user at exec unless no_new_privs is set or the mount is nosuid.
    if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1) refused("no_new_privs");
    worked("setuid programs take effect");
  }
  if (how == "set-id") {
    // A program of the workload's that gives whoever runs it its owner's rights: on the host, where no_new_privs is
    // not.
    constexpr long chmod_at = 452;  // fchmodat2(2)
    {
      const long mode = S_ISUID | 0755;
      const int fd = open("planted-program", O_CREAT | O_RDWR, 0755);
      if (fd < 0) broken("planted-program");
      // openat2(2): flags, mode, resolve
      const unsigned long how_to[3] = {O_CREAT | O_RDWR, static_cast<unsigned long>(mode), 0};
      (void)chmod("planted-program", static_cast<mode_t>(mode));
      (void)fchmod(fd, static_cast<mode_t>(mode));
      (void)syscall(SYS_fchmodat, AT_FDCWD, "planted-program", mode);
      (void)syscall(chmod_at, AT_FDCWD, "planted-program", mode, 0);
      (void)open("planted-opened", O_CREAT | O_RDWR, mode);
      (void)creat("planted-created", static_cast<mode_t>(mode));
      (void)mknod("planted-node", static_cast<mode_t>(S_IFREG | mode), 0);
      (void)syscall(SYS_openat2, AT_FDCWD, "planted-opened-2", how_to, sizeof how_to);
      for (const char* name :
           {"planted-program", "planted-opened", "planted-created", "planted-node", "planted-opened-2"}) {
        struct stat st{};
        const bool set = stat(name, &st) == 0 && (st.st_mode & S_ISUID) != 0;
        (void)unlink(name);
        if (set) worked(std::string(name) + " gives its owner's rights");
      }
    }
    refused("no such bit was set");
  }
  if (how == "core") {
    const rlimit unlimited{RLIM_INFINITY, RLIM_INFINITY};
    if (setrlimit(RLIMIT_CORE, &unlimited) != 0) refused_errno("RLIMIT_CORE");
    const pid_t child = fork();
    if (child == 0) std::abort();
    int status = 0;
    waitpid(child, &status, 0);
    if (!WCOREDUMP(status)) refused("no core was dumped");
    worked("a core was dumped, to wherever the host's core_pattern says");
  }
  if (how == "proc-sys") {
    for (const char* path : {"/proc/sys/kernel/core_pattern", "/proc/sys/kernel/hostname", "/proc/sysrq-trigger",
                             "/proc/sys/net/ipv4/ip_forward", "/proc/sys/vm/overcommit_memory"}) {
      if (open(path, O_WRONLY) >= 0) worked(std::string("opened for writing: ") + path);
    }
    refused("none can be opened for writing");
  }
  if (how == "cgroup") {
    if (mkdir("/sys/fs/cgroup/planted", 0755) == 0) {
      rmdir("/sys/fs/cgroup/planted");
      worked("made a cgroup");
    }
    const int fd = open("/sys/fs/cgroup/cgroup.procs", O_WRONLY);
    if (fd >= 0) worked("opened cgroup.procs for writing");
    refused_errno("cgroup");
  }
  if (how == "caps") {
    std::ifstream status("/proc/self/status");
    std::string line;
    while (std::getline(status, line)) {
      if (line.starts_with("CapEff:") || line.starts_with("CapPrm:") || line.starts_with("CapBnd:")) {
        if (line.find_first_not_of("0\t ", 7) != std::string::npos) worked(line);
      }
    }
    refused("no capability, and none to be had");
  }
  if (how == "mknod") judge(mknod("planted-device", S_IFBLK | 0600, makedev(1, 0)), "mknod");
  broken(how);
}

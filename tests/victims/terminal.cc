// X18: input into the user's terminal. `terminal tiocsti|tiocsti-high|tioclinux|tioclinux-high|dev-tty`
// The request number is 32 bits wide in the kernel, so high bits are another spelling of the same request.
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "victim.h"

int main(int argc, char** argv) {
  const std::string how = argument(argc, argv, 1);
  unsigned long high = 0;
  if (how.ends_with("-high")) high = 1UL << 32;
  int fd = 0;
  if (how.starts_with("dev-tty")) {
    fd = open("/dev/tty", O_RDWR);
    if (fd < 0) refused_errno("open /dev/tty");
  }
  if (how.starts_with("tioclinux")) {
    const char selection = 3;  // TIOCL_PASTESEL
    const long result = syscall(SYS_ioctl, fd, high | TIOCLINUX, &selection);
    // ENOTTY means that the request came through to a terminal that isn't a console: not refused, only useless.
    if (result < 0 && (errno == ENOTTY || errno == EINVAL)) worked("TIOCLINUX reached the terminal driver");
    judge(result, "TIOCLINUX");
  }
  for (const char* at = "echo planted-injection\n"; *at != '\0'; at++) {
    if (syscall(SYS_ioctl, fd, high | TIOCSTI, at) < 0) {
      // EIO is dev.tty.legacy_tiocsti=0: the request came through, and this kernel no longer obeys it.
      if (errno == EIO) worked("TIOCSTI reached the terminal driver (legacy_tiocsti is off here)");
      refused_errno("TIOCSTI");
    }
  }
  worked("TIOCSTI");
}

// X32: what a workload may do when its uid is the host's root. `root_escape core_pattern|shadow|own FILE`
#include <fcntl.h>
#include <unistd.h>

#include "victim.h"

int main(int argc, char** argv) {
  const std::string how = argument(argc, argv, 1);
  if (how == "core_pattern") {
    char pattern[512];
    const int in = open("/proc/sys/kernel/core_pattern", O_RDONLY);
    const ssize_t size = in < 0 ? -1 : read(in, pattern, sizeof pattern);
    if (size < 0) refused_errno("read core_pattern");
    const int out = open("/proc/sys/kernel/core_pattern", O_WRONLY);
    if (out < 0) refused_errno("open core_pattern");
    // The same value again: nothing of the machine changes, and it could have been another.
    judge(write(out, pattern, static_cast<std::size_t>(size)), "write core_pattern");
  }
  if (how == "shadow") {
    const int fd = open("/etc/shadow", O_RDONLY);
    if (fd < 0) refused_errno("open /etc/shadow");
    char text[16];
    judge(read(fd, text, sizeof text) > 0 ? 0 : -1, "read /etc/shadow");
  }
  if (how == "own") {
    const std::string file = argument(argc, argv, 2);
    judge(open(file.c_str(), O_RDONLY), "open root's " + file);
  }
  broken(how);
}

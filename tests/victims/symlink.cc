// X01: a link planted in the workspace that points out of it. `symlink read|write TARGET`
#include <fcntl.h>
#include <unistd.h>

#include "victim.h"

int main(int argc, char** argv) {
  const std::string how = argument(argc, argv, 1), target = argument(argc, argv, 2);
  unlink("way-out");
  if (symlink(target.c_str(), "way-out") != 0) broken("symlink");
  const int fd = open("way-out", how == "read" ? O_RDONLY : O_WRONLY);
  if (fd < 0) refused_errno("open " + target);
  if (how == "read") {
    char text[4096];
    const ssize_t size = read(fd, text, sizeof text);
    if (size <= 0) refused_errno("read " + target);
    const std::string found(text, static_cast<std::size_t>(size));
    if (found.find("planted-") == std::string::npos) refused("another file is there");
    worked("read " + target);
  }
  judge(write(fd, "overwritten\n", 12), "write " + target);
}

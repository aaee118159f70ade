// X24: one way each of using everything up. `hog forks|memory|connections ADDRESS PORT|flood|zombies|stop`
// Prints "holding N" once it can get no more, then stays, so that the test can try to stop the session.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <csignal>

#include "victim.h"

namespace {

[[noreturn]] void hold(long count) {
  std::printf("holding %ld: %s\n", count, std::strerror(errno));
  std::fflush(stdout);
  for (;;) pause();
}

}  // namespace

int main(int argc, char** argv) {
  const std::string how = argument(argc, argv, 1);
  errno = 0;
  if (how == "forks" || how == "zombies") {
    for (long count = 0;; count++) {
      const pid_t child = fork();
      if (child < 0) hold(count);
      if (child == 0) {
        if (how == "zombies") _exit(0);
        for (;;) pause();
      }
      if (count >= 30000) hold(count);
    }
  }
  if (how == "memory") {
    constexpr std::size_t step = 16 << 20;
    for (long count = 0;; count++) {
      void* page = mmap(nullptr, step, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
      if (page == MAP_FAILED) hold(count * 16);
      std::memset(page, 1, step);
      if (count % 4 == 3) {
        std::printf("at %ld MB\n", (count + 1) * 16);
        std::fflush(stdout);
      }
    }
  }
  if (how == "connections") {
    rlimit files{};
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(static_cast<std::uint16_t>(std::atoi(argument(argc, argv, 3).c_str())));
    inet_pton(AF_INET, argument(argc, argv, 2).c_str(), &to.sin_addr);
    long count = 0;
    for (; count < 10000; count++) {
      const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
      if (fd < 0) hold(count);
      if (connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0 && errno != EINPROGRESS) hold(count);
    }
    hold(count);
  }
  if (how == "flood") {
    static char block[1 << 16];
    std::memset(block, 'x', sizeof block);
    for (;;) {
      if (write(1, block, sizeof block) < 0) _exit(1);
    }
  }
  if (how == "stop") {
    std::printf("stopping everything\n");
    std::fflush(stdout);
    for (;;) kill(-1, SIGSTOP);
  }
  broken(how);
}

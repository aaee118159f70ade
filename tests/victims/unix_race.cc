// X16: the address changes while whoever judges it looks. `unix_race PATH [TRIES]`: one thread keeps swapping the
// address between a socket of its own in /tmp and the host's, the other connects.
#include <pthread.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <cstddef>

#include "victim.h"

namespace {

sockaddr_un address{};  // shared, on purpose
sockaddr_un own{}, target{};
std::atomic<bool> done{false};

sockaddr_un address_of(const std::string& path) {
  sockaddr_un out{};
  out.sun_family = AF_UNIX;
  if (path.size() >= sizeof out.sun_path) broken("the path is too long");
  std::memcpy(out.sun_path, path.c_str(), path.size());
  return out;
}

void* swap(void*) {
  while (!done) {
    std::memcpy(&address, &own, sizeof own);
    asm volatile("" ::: "memory");  // or only the second copy would be made
    std::memcpy(&address, &target, sizeof target);
    asm volatile("" ::: "memory");
  }
  return nullptr;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string path = argument(argc, argv, 1);
  const int tries = argc > 2 ? std::atoi(argv[2]) : 20000;
  target = address_of(path);
  const std::string mine = "/tmp/bulkhead-race." + std::to_string(getpid());
  own = address_of(mine);
  const int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
  if (bind(listener, reinterpret_cast<sockaddr*>(&own), sizeof own) != 0) broken("bind");
  if (listen(listener, 64) != 0) broken("listen");
  pthread_t thread;
  if (pthread_create(&thread, nullptr, swap, nullptr) != 0) broken("pthread_create");
  int connected = 0;
  for (int i = 0; i < tries; ++i) {
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (fd < 0) broken("socket");
    if (connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0) {
      sockaddr_un peer{};
      socklen_t size = sizeof peer;
      getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &size);
      if (std::strcmp(peer.sun_path, target.sun_path) == 0) {
        unlink(mine.c_str());
        worked("connected in try " + std::to_string(i));
      }
      ++connected;
    }
    close(fd);
    const int taken = accept(listener, nullptr, nullptr);
    if (taken >= 0) close(taken);
  }
  done = true;
  unlink(mine.c_str());
  if (connected == 0) broken("not even its own socket was reached");
  refused(std::to_string(connected) + " connections, none to " + path);
}

// X16: sockets of the host. `unix_socket stream|dgram ADDRESS`, `@name` = abstract.
// dgram sends from one end of a socketpair, which no check on connect(2) sees.
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstddef>

#include "victim.h"

int main(int argc, char** argv) {
  const std::string how = argument(argc, argv, 1), name = argument(argc, argv, 2);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (name.size() >= sizeof address.sun_path) broken("the name is too long");
  std::memcpy(address.sun_path, name.data(), name.size());
  socklen_t length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size());
  if (name[0] == '@') {
    address.sun_path[0] = '\0';
  } else {
    length++;
  }
  const auto* to = reinterpret_cast<const sockaddr*>(&address);
  if (how == "stream") {
    const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (fd < 0) refused_errno("socket");
    if (connect(fd, to, length) != 0) refused_errno("connect " + name);
    judge(write(fd, "hello", 5), "write to " + name);
  }
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) != 0) refused_errno("socketpair");
  judge(sendto(pair[0], "hello", 5, 0, to, length), "sendto " + name);
}

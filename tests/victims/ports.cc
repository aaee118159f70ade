// X35: taking the listeners' ports. `ports ADDRESS PORT reuse|plain`
// A second listener with SO_REUSEPORT gets a share of the connections if the first one has it too.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "victim.h"

int main(int argc, char** argv) {
  const std::string address = argument(argc, argv, 1), how = argument(argc, argv, 3);
  const auto port = htons(static_cast<std::uint16_t>(std::atoi(argument(argc, argv, 2).c_str())));
  sockaddr_in v4{};
  sockaddr_in6 v6{};
  const bool six = address.find(':') != std::string::npos;
  v4.sin_family = AF_INET;
  v4.sin_port = port;
  v6.sin6_family = AF_INET6;
  v6.sin6_port = port;
  if (inet_pton(six ? AF_INET6 : AF_INET, address.c_str(), six ? static_cast<void*>(&v6.sin6_addr) : &v4.sin_addr) !=
      1) {
    broken("address " + address);
  }
  const int fd = socket(six ? AF_INET6 : AF_INET, SOCK_STREAM, 0);
  if (fd < 0) refused_errno("socket");
  const int on = 1, off = 0;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (how == "reuse") setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
  if (six) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
  const int bound = six ? bind(fd, reinterpret_cast<sockaddr*>(&v6), sizeof v6)
                        : bind(fd, reinterpret_cast<sockaddr*>(&v4), sizeof v4);
  if (bound != 0) refused_errno("bind");
  judge(listen(fd, 16), "listen");
}

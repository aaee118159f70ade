#include "session/publish.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>

namespace bulkhead::session {
namespace {

constexpr int backlog = 64;

std::string host_side(const Publish& publish) {
  const bool v6 = publish.address.find(':') != std::string::npos;
  return (v6 ? "[" + publish.address + "]" : publish.address) + ":" + std::to_string(publish.port);
}

Result<UniqueFd> listen_on(const Publish& publish) {
  sockaddr_storage address{};
  socklen_t size = 0;
  auto* in4 = reinterpret_cast<sockaddr_in*>(&address);
  auto* in6 = reinterpret_cast<sockaddr_in6*>(&address);
  if (::inet_pton(AF_INET, publish.address.c_str(), &in4->sin_addr) == 1) {
    in4->sin_family = AF_INET;
    in4->sin_port = htons(publish.port);
    size = sizeof *in4;
  } else if (::inet_pton(AF_INET6, publish.address.c_str(), &in6->sin6_addr) == 1) {
    in6->sin6_family = AF_INET6;
    in6->sin6_port = htons(publish.port);
    size = sizeof *in6;
  } else {
    return fail("--publish: \"" + publish.address + "\" is no address");
  }
  UniqueFd socket(::socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return fail_errno("socket", "--publish", errno);
  const int on = 1;
  // A port whose last session has just ended. Nobody listens beside us by it, which SO_REUSEPORT would allow.
  (void)::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (address.ss_family == AF_INET6) (void)::setsockopt(socket.get(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
  if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), size) == 0 &&
      ::listen(socket.get(), backlog) == 0) {
    return socket;
  }
  const int error = errno;
  const std::string what = "--publish " + publish_text(publish) + ": ";
  if (error == EADDRINUSE) {
    return fail(what + "port " + std::to_string(publish.port) + " is taken on this machine; choose another, like " +
                    "--publish " + std::to_string(publish.port < 65535 ? publish.port + 1 : 8080) + ":" +
                    std::to_string(publish.inside),
                error);
  }
  if (error == EACCES) {
    return fail(what + "ports below 1024 are the administrator's; choose another, like --publish 8080:" +
                    std::to_string(publish.inside),
                error);
  }
  if (error == EADDRNOTAVAIL) return fail(what + publish.address + " is no address of this machine", error);
  return fail_errno("listen", host_side(publish), error);
}

}  // namespace

Result<std::vector<UniqueFd>> listen_for(const std::vector<Publish>& publish) {
  std::vector<UniqueFd> sockets;
  for (const Publish& one : publish) {
    BH_TRY(UniqueFd socket, listen_on(one));
    sockets.push_back(std::move(socket));
  }
  return sockets;
}

Result<void> check_inside(const std::vector<Publish>& publish, const std::vector<std::uint16_t>& taken) {
  for (const Publish& one : publish) {
    if (std::ranges::find(taken, one.inside) == taken.end()) continue;
    return fail("--publish " + publish_text(one) + ": inside, port " + std::to_string(one.inside) +
                " is the gateway's; let the server listen on another, like --publish " + std::to_string(one.port) +
                ":8000");
  }
  return {};
}

std::vector<std::string> publish_warnings(const std::vector<Publish>& publish) {
  std::vector<std::string> lines;
  for (const Publish& one : publish) {
    if (is_loopback(one)) continue;
    lines.push_back("warning: " + published_as(one) +
                    " can be reached from other machines; what answers there is the "
                    "workload");
  }
  return lines;
}

std::string published_as(const Publish& publish) {
  return host_side(publish) + " -> " + std::to_string(publish.inside);
}

}  // namespace bulkhead::session

// bulkhead-holder: furnishes the room, hands its keys out over descriptor 3, and then only exists, so that the
// namespaces stay. Arguments: one word per listener (room.h). It is exec'd with an empty environment: a forked
// copy of the supervisor would keep the user's keys readable in /proc/PID/environ.
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "base/ipc.h"
#include "base/sys.h"
#include "base/trim.h"
#include "room/netlink.h"
#include "room/room.h"

namespace bulkhead::room {
namespace {

Result<UniqueFd> listen_on(const Listener& listener) {
  const int family = listener.ipv6 ? AF_INET6 : AF_INET;
  UniqueFd fd(::socket(family, (listener.stream ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return fail_errno("socket", "", errno);
  const auto set = [&](int level, int option) {
    const int on = 1;
    return ::setsockopt(fd.get(), level, option, &on, sizeof on) == 0;
  };
  // Neither SO_REUSEPORT nor SO_REUSEADDR: with them a workload of the same uid could bind beside us and take
  // every connection. A second bind to the port then fails with EADDRINUSE, wildcard and mapped alike.
  if (listener.ipv6 && !set(IPPROTO_IPV6, IPV6_V6ONLY)) return fail_errno("setsockopt", "IPV6_V6ONLY", errno);
  if (!listener.stream) {
    // Which address was asked: the answer must come from it.
    const bool done = listener.ipv6 ? set(IPPROTO_IPV6, IPV6_RECVPKTINFO) : set(IPPROTO_IP, IP_PKTINFO);
    if (!done) return fail_errno("setsockopt", "PKTINFO", errno);
  }
  sockaddr_storage address{};
  socklen_t size = 0;
  if (listener.ipv6) {
    auto* in6 = reinterpret_cast<sockaddr_in6*>(&address);
    in6->sin6_family = AF_INET6;
    in6->sin6_port = htons(listener.port);
    size = sizeof *in6;
  } else {
    auto* in4 = reinterpret_cast<sockaddr_in*>(&address);
    in4->sin_family = AF_INET;
    in4->sin_port = htons(listener.port);
    size = sizeof *in4;
  }
  const std::string name = std::to_string(listener.port);
  if (::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), size) != 0) return fail_errno("bind", name, errno);
  if (listener.stream && ::listen(fd.get(), SOMAXCONN) != 0) return fail_errno("listen", name, errno);
  return fd;
}

Result<void> furnish(const std::vector<Listener>& listeners, std::vector<UniqueFd>& sockets) {
  const uid_t uid = ::getuid();
  const gid_t gid = ::getgid();
  if (::unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0) {
    return fail_errno("unshare(CLONE_NEWUSER|CLONE_NEWNET)", "", errno);
  }
  BH_CHECK(sys::write_id_maps(0, uid, uid, gid, gid));
  BH_CHECK(bring_up_loopback());
  BH_CHECK(make_every_address_local(AF_INET));
  if (sys::exists("/proc/net/if_inet6")) BH_CHECK(make_every_address_local(AF_INET6));
  for (const Listener& listener : listeners) {
    BH_TRY(UniqueFd socket, listen_on(listener));
    sockets.push_back(std::move(socket));
  }
  return {};
}

// The holder: furnishes the room, hands its keys out over descriptor 3, and then only exists. It ends when the
// supervisor's end closes, or with the supervisor (PR_SET_PDEATHSIG, set again: changing credentials clears it).
int hold(const std::vector<Listener>& listeners) {
  std::vector<UniqueFd> sockets;
  auto done = furnish(listeners, sockets);
  if (!done) {
    (void)ipc::send(3, nlohmann::json{{"error", done.error().message}, {"code", done.error().code}});
    return 1;
  }
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  ::prctl(PR_SET_DUMPABLE, 1);  // so that the supervisor may open our namespaces; we hold nothing else
  auto user = sys::open("/proc/self/ns/user", O_RDONLY);
  auto net = sys::open("/proc/self/ns/net", O_RDONLY);
  if (!user || !net) return 1;
  std::vector<int> fds{user->get(), net->get()};
  for (const UniqueFd& socket : sockets) fds.push_back(socket.get());
  if (!ipc::send(3, nlohmann::json{{"ready", true}}, fds)) return 1;
  sockets.clear();
  user->reset();
  net->reset();
  release_startup_pages();
  char byte = 0;
  while (::read(3, &byte, 1) < 0 && errno == EINTR) {
  }
  return 0;
}

}  // namespace
}  // namespace bulkhead::room

int main(int argc, char** argv) {
  std::vector<bulkhead::Listener> listeners;
  for (int i = 1; i < argc; ++i) {
    auto listener = bulkhead::room::listener_from(argv[i]);
    if (!listener) return 2;
    listeners.push_back(*listener);
  }
  return bulkhead::room::hold(listeners);
}

#include "room/room.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "base/ipc.h"
#include "base/sys.h"
#include "room/netlink.h"

namespace bulkhead::room {
namespace {

bool have_ipv6() { return sys::exists("/proc/net/if_inet6"); }

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

std::vector<Listener> listeners_for(const std::vector<std::uint16_t>& ports) {
  std::vector<Listener> out;
  const bool ipv6 = have_ipv6();
  const auto both = [&](std::uint16_t port, bool stream) {
    out.push_back({port, stream, false});
    if (ipv6) out.push_back({port, stream, true});
  };
  for (const std::uint16_t port : ports) both(port, true);
  both(53, true);
  both(53, false);
  return out;
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
  if (have_ipv6()) BH_CHECK(make_every_address_local(AF_INET6));
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
  char byte = 0;
  while (::read(3, &byte, 1) < 0 && errno == EINTR) {
  }
  return 0;
}

}  // namespace

Result<Pending> begin(const std::vector<std::uint16_t>& ports) {
  Pending pending;
  pending.listeners = listeners_for(ports);
  BH_TRY(sys::Pair pair, sys::socket_pair(SOCK_SEQPACKET));
  pending.control = std::move(pair.first);
  BH_TRY(pending.holder,
         fork_child({-1, -1, 2, pair.second.get()}, [&] {
           ::prctl(PR_SET_NAME, "bulkhead-holder");
           return hold(pending.listeners);
         }));
  return pending;
}

Result<Room> finish(Pending pending) {
  BH_TRY(ipc::Message message, ipc::receive(pending.control.get()));
  if (message.closed) return fail("the room's holder died while it made the network namespace");
  BH_TRY(const nlohmann::json answer, ipc::parse(message.text));
  if (answer.contains("error")) {
    return tl::unexpected(Error{"cannot make the room (a network namespace): " + answer["error"].get<std::string>() +
                                    "; `bulkhead doctor` says what this machine lacks",
                                answer.value("code", 0)});
  }
  if (message.fds.size() != pending.listeners.size() + 2) return fail("the room came with the wrong descriptors");
  Room room;
  room.holder = std::move(pending.holder);
  room.control = std::move(pending.control);
  room.user_ns = std::move(message.fds[0]);
  room.net_ns = std::move(message.fds[1]);
  room.listeners = std::move(pending.listeners);
  for (std::size_t i = 2; i < message.fds.size(); ++i) room.sockets.push_back(std::move(message.fds[i]));
  return room;
}

Result<void> enter(const Room& room) {
  if (::setns(room.user_ns.get(), CLONE_NEWUSER) != 0) return fail_errno("setns", "the room's user namespace", errno);
  if (::setns(room.net_ns.get(), CLONE_NEWNET) != 0) return fail_errno("setns", "the room's network namespace", errno);
  return {};
}

}  // namespace bulkhead::room

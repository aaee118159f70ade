// bulkhead-holder: furnishes the room, hands its keys out over descriptor 3, and then exists, so that the namespaces
// stay, and connects on the workload's behalf (broker/broker.h). It is exec'd with an empty environment: a forked copy
// of the supervisor would keep the user's keys readable in /proc/PID/environ. Descriptor 3 is the supervisor:
//   {"type":"furnish","listeners":["tcp4:443",…]}   what shall be in the room
//   {"ready":true} + user and network namespace, one socket per listener; or {"error":…,"code":errno}
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "base/helper.h"
#include "base/ipc.h"
#include "base/sys.h"
#include "broker/confine.h"
#include "room/netlink.h"
#include "room/room.h"

namespace bulkhead::room {
namespace {

constexpr int supervisor_fd = 3;

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
    // IPv6 lets an answer come only from an address that an interface has, which these are not (ipv6(7)).
    if (listener.ipv6 && !set(IPPROTO_IPV6, IPV6_FREEBIND)) return fail_errno("setsockopt", "IPV6_FREEBIND", errno);
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

Result<std::vector<Listener>> asked_for() {
  BH_TRY(const ipc::Message message, ipc::receive(supervisor_fd));
  if (message.closed) ::_exit(0);  // it found its policy wanting
  BH_TRY(const nlohmann::json object, ipc::parse(message.text));
  std::vector<Listener> listeners;
  for (const std::string& word : object.value("listeners", std::vector<std::string>())) {
    BH_TRY(const Listener listener, listener_from(word));
    listeners.push_back(listener);
  }
  return listeners;
}

Result<void> furnish(std::vector<UniqueFd>& sockets) {
  const uid_t uid = ::getuid();
  const gid_t gid = ::getgid();
  if (::unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0) {
    return fail_errno("unshare(CLONE_NEWUSER|CLONE_NEWNET)", "", errno);
  }
  BH_CHECK(sys::write_id_maps(0, uid, uid, gid, gid));
  BH_CHECK(bring_up_loopback());
  BH_CHECK(make_every_address_local(AF_INET));
  if (sys::exists("/proc/net/if_inet6")) BH_CHECK(make_every_address_local(AF_INET6));
  BH_TRY(const std::vector<Listener> listeners, asked_for());
  for (const Listener& listener : listeners) {
    BH_TRY(UniqueFd socket, listen_on(listener));
    sockets.push_back(std::move(socket));
  }
  return {};
}

Result<void> hand_out(const std::vector<UniqueFd>& sockets) {
  BH_TRY(const UniqueFd user, sys::open("/proc/self/ns/user", O_RDONLY));
  BH_TRY(const UniqueFd net, sys::open("/proc/self/ns/net", O_RDONLY));
  std::vector<int> fds{user.get(), net.get()};
  for (const UniqueFd& socket : sockets) fds.push_back(socket.get());
  return ipc::send(supervisor_fd, nlohmann::json{{"ready", true}}, fds);
}

// Ends when the supervisor's end closes, or with the supervisor (PR_SET_PDEATHSIG, set again: changing credentials
// clears it).
Result<void> hold() {
  std::vector<UniqueFd> sockets;
  auto furnished = furnish(sockets);
  if (!furnished) {
    (void)ipc::send(supervisor_fd,
                    nlohmann::json{{"error", furnished.error().message}, {"code", furnished.error().code}});
    return furnished;
  }
  if (::prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) return fail_errno("prctl(PR_SET_PDEATHSIG)", "", errno);
  if (::prctl(PR_SET_DUMPABLE, 1) != 0) return fail_errno("prctl(PR_SET_DUMPABLE)", "", errno);  // for /proc/self
  BH_CHECK(hand_out(sockets));
  BH_TRY(const broker::Proc proc, broker::open_proc());
  sockets.clear();
  if (::prctl(PR_SET_DUMPABLE, 0) != 0) return fail_errno("prctl(PR_SET_DUMPABLE)", "", errno);
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return fail_errno("prctl(PR_SET_NO_NEW_PRIVS)", "", errno);
  BH_CHECK(broker::narrow());
  return broker::serve(supervisor_fd, proc, broker::enter);
}

}  // namespace
}  // namespace bulkhead::room

int main() {
  return bulkhead::run_helper(bulkhead::room::hold);
}

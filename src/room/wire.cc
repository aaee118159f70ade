#include "room/wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fib_rules.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/if_tun.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "base/ipc.h"
#include "base/sys.h"
#include "base/text.h"
#include "room/netlink.h"

namespace bulkhead::room {
namespace {

constexpr const char* room_end = "room";
constexpr const char* far_end = "eth0";
constexpr std::uint32_t far_table = 200;  // its number means nothing
constexpr std::uint32_t far_first = 10, local_second = 100;

struct Address {
  int family = AF_INET;
  unsigned char bytes[16] = {};
  std::size_t size() const { return family == AF_INET ? 4 : 16; }
};

Address address_from(const char* text) {
  Address address;
  address.family = ::strchr(text, ':') == nullptr ? AF_INET : AF_INET6;
  ::inet_pton(address.family, text, address.bytes);
  return address;
}

Result<int> index_of(const char* name) {
  const unsigned index = ::if_nametoindex(name);
  if (index == 0) return fail_errno("if_nametoindex", name, errno);
  return static_cast<int>(index);
}

Result<void> make_pair(int socket, int far) {
  NetlinkRequest request(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, ifinfomsg{});
  request.attribute(IFLA_IFNAME, room_end);
  const std::size_t info = request.open(IFLA_LINKINFO);
  request.attribute(IFLA_INFO_KIND, "veth");
  const std::size_t data = request.open(IFLA_INFO_DATA);
  const std::size_t peer = request.open(VETH_INFO_PEER);
  request.plain(ifinfomsg{});
  request.attribute(IFLA_IFNAME, far_end);
  request.attribute(IFLA_NET_NS_FD, static_cast<std::uint32_t>(far));
  request.close(peer);
  request.close(data);
  request.close(info);
  return request.send(socket, "a pair of veth");
}

Result<void> bring_up(int socket, int index) {
  ifinfomsg link{};
  link.ifi_index = index;
  link.ifi_flags = link.ifi_change = IFF_UP;
  return NetlinkRequest(RTM_NEWLINK, 0, link).send(socket, "IFF_UP");
}

Result<void> add_address(int socket, int index, const char* text, int prefix) {
  const Address address = address_from(text);
  ifaddrmsg part{};
  part.ifa_family = static_cast<std::uint8_t>(address.family);
  part.ifa_prefixlen = static_cast<std::uint8_t>(prefix);
  part.ifa_flags = IFA_F_NODAD;  // nobody else can have it, and it is to be used at once
  part.ifa_index = static_cast<std::uint32_t>(index);
  NetlinkRequest request(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, part);
  request.attribute(IFA_LOCAL, address.bytes, address.size());
  request.attribute(IFA_ADDRESS, address.bytes, address.size());
  return request.send(socket, text);
}

rtmsg route_part(int family, std::uint8_t table, std::uint8_t type, std::uint8_t scope) {
  rtmsg part{};
  part.rtm_family = static_cast<std::uint8_t>(family);
  part.rtm_table = table;
  part.rtm_protocol = RTPROT_STATIC;
  part.rtm_scope = family == AF_INET ? scope : static_cast<std::uint8_t>(RT_SCOPE_UNIVERSE);
  part.rtm_type = type;
  return part;
}

// To the far end and nothing else, by a table that is asked first.
Result<void> route_to_far(int socket, int index, const char* text) {
  const Address address = address_from(text);
  rtmsg part = route_part(address.family, far_table, RTN_UNICAST, RT_SCOPE_LINK);
  part.rtm_dst_len = static_cast<std::uint8_t>(address.size() * 8);
  NetlinkRequest request(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, part);
  request.attribute(RTA_DST, address.bytes, address.size());
  request.attribute(RTA_OIF, static_cast<std::uint32_t>(index));
  return request.send(socket, text);
}

Result<void> route_everything(int socket, const char* gateway) {
  const Address address = address_from(gateway);
  NetlinkRequest request(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL,
                         route_part(address.family, RT_TABLE_MAIN, RTN_UNICAST, RT_SCOPE_UNIVERSE));
  request.attribute(RTA_GATEWAY, address.bytes, address.size());
  return request.send(socket, "a route to the room");
}

Result<void> change_rule(int socket, std::uint16_t type, int family, std::uint32_t priority, std::uint32_t table) {
  fib_rule_hdr part{};
  part.family = static_cast<std::uint8_t>(family);
  part.table = static_cast<std::uint8_t>(table);
  part.action = FR_ACT_TO_TBL;
  NetlinkRequest request(type, type == RTM_NEWRULE ? NLM_F_CREATE | NLM_F_EXCL : 0, part);
  request.attribute(FRA_PRIORITY, priority);
  request.attribute(FRA_TABLE, table);
  return request.send(socket, "a routing rule");
}

Result<void> order_rules(int socket, int family) {
  BH_CHECK(change_rule(socket, RTM_NEWRULE, family, far_first, far_table));
  BH_CHECK(change_rule(socket, RTM_NEWRULE, family, local_second, RT_TABLE_LOCAL));
  return change_rule(socket, RTM_DELRULE, family, 0, RT_TABLE_LOCAL);  // the kernel's own, which comes before any other
}

// A router advertisement from the far end would give the room an address and a way out of the rules.
bool refuse_advertisements() {
  for (const char* which : {"all", "default"}) {
    for (const char* setting : {"accept_ra", "autoconf", "accept_redirects"}) {
      const std::string path = std::string("/proc/sys/net/ipv6/conf/") + which + "/" + setting;
      const auto file = sys::open(path, O_WRONLY);
      if (!file || !sys::write_all(file->get(), "0", path)) return false;
    }
  }
  return true;
}

bool has_ipv6() {
  return sys::exists("/proc/net/if_inet6");
}

}  // namespace

namespace {

Result<void> furnish_room_end(const UniqueFd& socket) {
  BH_TRY(const int index, index_of(room_end));
  BH_CHECK(add_address(socket.get(), index, wire_room, wire_prefix));
  if (has_ipv6()) BH_CHECK(add_address(socket.get(), index, wire_room6, wire_prefix6));
  BH_CHECK(bring_up(socket.get(), index));
  BH_CHECK(make_every_address_local(AF_INET, RT_TABLE_LOCAL));
  BH_CHECK(route_to_far(socket.get(), index, wire_far));
  BH_CHECK(order_rules(socket.get(), AF_INET));
  if (!has_ipv6()) return {};
  BH_CHECK(make_every_address_local(AF_INET6, RT_TABLE_LOCAL));
  BH_CHECK(route_to_far(socket.get(), index, wire_far6));
  return order_rules(socket.get(), AF_INET6);
}

Result<void> listen_to_no_router() {
  if (!has_ipv6() || refuse_advertisements()) return {};
  return fail("can't switch IPv6 router advertisements off (/proc/sys/net/ipv6 is read-only here)");
}

}  // namespace

Result<void> lay_wire(int far) {
  BH_CHECK(listen_to_no_router());
  BH_TRY(const UniqueFd socket, open_rtnetlink());
  BH_CHECK(make_pair(socket.get(), far));
  return furnish_room_end(socket);
}

Result<UniqueFd> lay_tap() {
  BH_CHECK(listen_to_no_router());
  auto tap = sys::open(tap_device, O_RDWR | O_NONBLOCK);
  if (!tap) {
    return fail(std::string("can't open ") + tap_device + " (" + ::strerror(tap.error().code) +
                "), which the tier vm needs; `modprobe tun` makes it, and udev lets everybody use it");
  }
  ifreq wanted{};
  ::strncpy(wanted.ifr_name, room_end, sizeof wanted.ifr_name - 1);
  wanted.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
  if (::ioctl(tap->get(), TUNSETIFF, &wanted) != 0) return fail_errno("ioctl(TUNSETIFF)", room_end, errno);
  BH_TRY(const UniqueFd socket, open_rtnetlink());
  BH_CHECK(furnish_room_end(socket));
  return std::move(*tap);
}

Result<void> leave_room() {
  const uid_t uid = ::geteuid();
  const gid_t gid = ::getegid();
  if (::unshare(CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS) != 0) {
    return fail_errno("unshare(CLONE_NEWUSER|CLONE_NEWNET)", "below the room's", errno);
  }
  if (::prctl(PR_SET_DUMPABLE, 1) != 0) return fail_errno("prctl(PR_SET_DUMPABLE)", "", errno);
  return sys::write_id_maps(0, uid, uid, gid, gid);
}

Result<void> take_wire() {
  BH_CHECK(bring_up_loopback());
  BH_TRY(const UniqueFd socket, open_rtnetlink());
  BH_TRY(const int index, index_of(far_end));
  BH_CHECK(add_address(socket.get(), index, wire_far, wire_prefix));
  if (has_ipv6()) BH_CHECK(add_address(socket.get(), index, wire_far6, wire_prefix6));
  BH_CHECK(bring_up(socket.get(), index));
  BH_CHECK(route_everything(socket.get(), wire_room));
  return has_ipv6() ? route_everything(socket.get(), wire_room6) : Result<void>();
}

Result<void> go_beyond_wire() {
  BH_TRY(sys::Pair pair, sys::socket_pair(SOCK_SEQPACKET));
  const uid_t uid = ::geteuid();
  const gid_t gid = ::getegid();
  // Who lays the wire has to keep the room's capabilities, which the one who goes loses.
  const pid_t layer = ::fork();
  if (layer < 0) return fail_errno("fork", "", errno);
  if (layer == 0) {
    pair.second.reset();
    auto message = ipc::receive(pair.first.get());
    if (!message || message->fds.size() != 1) ::_exit(1);
    const auto laid = lay_wire(message->fds[0].get());
    (void)ipc::send(pair.first.get(), std::string_view(laid ? "done" : laid.error().message));
    ::_exit(0);
  }
  pair.first.reset();
  const auto go = [&]() -> Result<void> {
    if (::unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0) {
      return fail_errno("unshare(CLONE_NEWUSER|CLONE_NEWNET)", "below the room's", errno);
    }
    // Its own maps are else not its own to write: changing credentials made it undumpable (proc(5)).
    if (::prctl(PR_SET_DUMPABLE, 1) != 0) return fail_errno("prctl(PR_SET_DUMPABLE)", "", errno);
    BH_CHECK(sys::write_id_maps(0, 0, uid, 0, gid));
    BH_TRY(const UniqueFd far, sys::open("/proc/self/ns/net", O_RDONLY));
    const int fd = far.get();
    BH_CHECK(ipc::send(pair.second.get(), std::string_view("far"), std::span(&fd, 1)));
    BH_TRY(const ipc::Message answer, ipc::receive(pair.second.get()));
    if (answer.closed) return fail("the wire to the room could not be laid");
    if (answer.text != "done") return fail("the wire to the room: " + answer.text);
    return take_wire();
  };
  auto gone = go();
  pair.second.reset();
  ::waitpid(layer, nullptr, 0);
  return gone;
}

}  // namespace bulkhead::room

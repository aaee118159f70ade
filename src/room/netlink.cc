#include "room/netlink.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"

namespace bulkhead::room {

Result<void> bring_up_loopback() {
  UniqueFd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!socket) return fail_errno("socket(AF_INET)", "", errno);
  ifreq request{};
  ::strcpy(request.ifr_name, "lo");
  if (::ioctl(socket.get(), SIOCGIFFLAGS, &request) != 0) return fail_errno("ioctl(SIOCGIFFLAGS)", "lo", errno);
  request.ifr_flags = static_cast<short>(request.ifr_flags | IFF_UP);
  if (::ioctl(socket.get(), SIOCSIFFLAGS, &request) != 0) return fail_errno("ioctl(SIOCSIFFLAGS)", "lo", errno);
  return {};
}

Result<void> make_every_address_local(int family) {
  struct {
    nlmsghdr header;
    rtmsg route;
    rtattr attribute;
    int interface;
  } request{};
  request.header.nlmsg_len = sizeof request;
  request.header.nlmsg_type = RTM_NEWROUTE;
  request.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_CREATE | NLM_F_ACK;
  request.route.rtm_family = static_cast<unsigned char>(family);
  request.route.rtm_table = RT_TABLE_MAIN;
  request.route.rtm_protocol = RTPROT_STATIC;
  request.route.rtm_scope = family == AF_INET ? RT_SCOPE_HOST : RT_SCOPE_UNIVERSE;
  request.route.rtm_type = RTN_LOCAL;  // destination length 0: everything
  request.attribute.rta_type = RTA_OIF;
  request.attribute.rta_len = RTA_LENGTH(sizeof request.interface);
  request.interface = 1;  // `lo` is the first interface of every network namespace

  UniqueFd socket(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
  if (!socket) return fail_errno("socket(NETLINK_ROUTE)", "", errno);
  if (::send(socket.get(), &request, sizeof request, 0) < 0) return fail_errno("send(RTM_NEWROUTE)", "", errno);
  struct {
    nlmsghdr header;
    nlmsgerr error;
    char rest[512];
  } reply{};
  const ssize_t n = ::recv(socket.get(), &reply, sizeof reply, 0);
  if (n < static_cast<ssize_t>(NLMSG_LENGTH(sizeof(nlmsgerr))))
    return fail("the kernel gave no answer to RTM_NEWROUTE");
  if (reply.header.nlmsg_type != NLMSG_ERROR || reply.error.error != 0) {
    return fail_errno("RTM_NEWROUTE local default", family == AF_INET ? "IPv4" : "IPv6", -reply.error.error);
  }
  return {};
}

}  // namespace bulkhead::room

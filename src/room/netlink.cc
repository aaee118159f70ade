#include "room/netlink.h"

#include <errno.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>

namespace bulkhead::room {

Result<UniqueFd> open_rtnetlink() {
  UniqueFd socket(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
  if (!socket) return fail_errno("socket(NETLINK_ROUTE)", "", errno);
  return socket;
}

Result<void> NetlinkRequest::send(int socket, const char* what) {
  const auto size = static_cast<std::uint32_t>(bytes_.size());
  ::memcpy(bytes_.data(), &size, sizeof size);
  if (::send(socket, bytes_.data(), bytes_.size(), 0) < 0) return fail_errno("send", what, errno);
  struct {
    nlmsghdr header;
    nlmsgerr error;
    char rest[1024];
  } reply{};
  const ssize_t n = ::recv(socket, &reply, sizeof reply, 0);
  if (n < static_cast<ssize_t>(NLMSG_LENGTH(sizeof(nlmsgerr))) || reply.header.nlmsg_type != NLMSG_ERROR) {
    return fail(std::string("the kernel gave no answer to ") + what);
  }
  if (reply.error.error != 0) return fail_errno("rtnetlink", what, -reply.error.error);
  return {};
}

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

Result<void> make_every_address_local(int family, unsigned char table) {
  rtmsg route{};  // destination length 0: everything
  route.rtm_family = static_cast<unsigned char>(family);
  route.rtm_table = table;
  route.rtm_protocol = RTPROT_STATIC;
  route.rtm_scope = family == AF_INET ? RT_SCOPE_HOST : RT_SCOPE_UNIVERSE;
  route.rtm_type = RTN_LOCAL;
  NetlinkRequest request(RTM_NEWROUTE, NLM_F_CREATE, route);
  request.attribute(RTA_OIF, 1U);  // `lo` is the first interface of every network namespace
  BH_TRY(const UniqueFd socket, open_rtnetlink());
  return request.send(socket.get(), family == AF_INET ? "a local route (IPv4)" : "a local route (IPv6)");
}

}  // namespace bulkhead::room

#include "broker/publish.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <span>

#include "base/ipc.h"
#include "room/wire.h"

namespace bulkhead::broker {
namespace {

// This process is in the room's network namespace, so the address is the room's, whatever it is.
UniqueFd begin_connect(std::uint16_t port, bool ipv6, bool beyond_wire) {
  const int family = ipv6 ? AF_INET6 : AF_INET;
  UniqueFd socket(::socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return {};
  sockaddr_storage address{};
  socklen_t size = 0;
  if (ipv6) {
    auto* in6 = reinterpret_cast<sockaddr_in6*>(&address);
    in6->sin6_family = AF_INET6;
    in6->sin6_port = htons(port);
    in6->sin6_addr = in6addr_loopback;
    if (beyond_wire) ::inet_pton(AF_INET6, room::wire_far6, &in6->sin6_addr);
    size = sizeof *in6;
  } else {
    auto* in4 = reinterpret_cast<sockaddr_in*>(&address);
    in4->sin_family = AF_INET;
    in4->sin_port = htons(port);
    in4->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (beyond_wire) ::inet_pton(AF_INET, room::wire_far, &in4->sin_addr);
    size = sizeof *in4;
  }
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), size) != 0 && errno != EINPROGRESS) {
    return {};
  }
  return socket;
}

}  // namespace

Result<bool> Publisher::answer() const {
  BH_TRY(const ipc::Message message, ipc::receive(relay_.get()));
  if (message.closed) return false;
  if (message.text.size() != 2) return fail("the relay asked for something that makes no sense");
  const auto index = static_cast<unsigned char>(message.text[0]);
  if (index >= ports_.size()) return fail("the relay asked for a port that is not published");
  const UniqueFd socket = begin_connect(ports_[index], message.text[1] == '6', beyond_wire_);
  const int fd = socket.get();
  auto sent = ipc::send(relay_.get(), std::string_view("."), std::span(&fd, socket ? 1 : 0));
  if (!sent && sent.error().code == EPIPE) return false;
  BH_CHECK(std::move(sent));
  return true;
}

}  // namespace bulkhead::broker

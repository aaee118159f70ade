// The shim's end of the socket: whole datagrams, in both directions.
#pragma once

#include <optional>
#include <vector>

#include "base/fd.h"
#include "guest/protocol.h"

namespace bulkhead::shim {

class Link {
 public:
  explicit Link(int socket) : socket_(socket) {}
  int socket() const { return socket_; }

  // `fd`: attached when not -1. False when the supervisor is gone.
  bool send(const ToSupervisor& message, int fd = -1) const;
  // The next datagram; blocks. Empty when the supervisor is gone or sent what no datagram can be.
  std::optional<std::string> receive() const;
  // The same, and the descriptors that came with it.
  std::optional<std::string> receive(std::vector<UniqueFd>& fds) const;

 private:
  int socket_;
};

}  // namespace bulkhead::shim

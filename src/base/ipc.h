// Messages between our own processes: one JSON object per SOCK_SEQPACKET datagram, with descriptors
// attached (SCM_RIGHTS). The receiver knows who speaks by the socket, never by what the message says.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"

namespace bulkhead::ipc {

// A datagram must fit the default socket buffer (net.core.wmem_default, 212,992 bytes).
inline constexpr std::size_t max_message = 160 * 1024;
inline constexpr std::size_t max_fds = 250;  // SCM_MAX_FD is 253

struct Message {
  std::string text;  // raw JSON, not yet parsed; empty with closed == true
  std::vector<UniqueFd> fds;
  bool closed = false;  // the peer is gone
};

Result<void> send(int socket, std::string_view text, std::span<const int> fds = {});
Result<void> send(int socket, const nlohmann::json& object, std::span<const int> fds = {});
// Blocks (or EAGAIN as an error with code EAGAIN on a non-blocking socket). Truncated datagrams and
// truncated descriptor lists are errors. Received descriptors are close-on-exec.
Result<Message> receive(int socket);
// Parses a message into an object; anything but a JSON object within depth 64 is an error.
Result<nlohmann::json> parse(std::string_view text);

// Raw descriptor passing beside one byte, for peers that speak no JSON (the shim).
Result<void> send_fd(int socket, char tag, int fd);

}  // namespace bulkhead::ipc

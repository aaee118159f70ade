#include "base/ipc.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include <nlohmann/json.hpp>
#include <utility>

namespace bulkhead::ipc {

Result<void> send(int socket, std::string_view text, std::span<const int> fds) {
  if (text.size() > max_message)
    return fail("message of " + std::to_string(text.size()) + " bytes is too long", EMSGSIZE);
  if (fds.size() > max_fds) return fail("too many descriptors in one message", EMSGSIZE);
  // const_cast: sendmsg(2) does not write through msg_iov, its type is shared with recvmsg.
  iovec part{const_cast<char*>(text.data()), text.size()};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  std::vector<char> control(CMSG_SPACE(fds.size_bytes()));
  if (!fds.empty()) {
    header.msg_control = control.data();
    header.msg_controllen = control.size();
    cmsghdr* c = CMSG_FIRSTHDR(&header);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(fds.size_bytes());
    ::memcpy(CMSG_DATA(c), fds.data(), fds.size_bytes());
  }
  for (;;) {
    if (::sendmsg(socket, &header, MSG_NOSIGNAL) >= 0) return {};
    if (errno != EINTR) return fail_errno("sendmsg", "", errno);
  }
}

Result<void> send(int socket, const nlohmann::json& object, std::span<const int> fds) {
  return send(socket, std::string_view(object.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace)), fds);
}

Result<Message> receive(int socket) {
  Message message;
  message.text.resize(max_message + 1);
  iovec part{message.text.data(), message.text.size()};
  std::vector<char> control(CMSG_SPACE(max_fds * sizeof(int)));
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = control.data();
  header.msg_controllen = control.size();
  ssize_t n = 0;
  bool reset = false;  // said once when the peer left messages of ours unread; its own come after it
  do {
    n = ::recvmsg(socket, &header, MSG_CMSG_CLOEXEC);
  } while (n < 0 && (errno == EINTR || (errno == ECONNRESET && !std::exchange(reset, true))));
  if (n < 0) return fail_errno("recvmsg", "", errno);
  for (cmsghdr* c = CMSG_FIRSTHDR(&header); c != nullptr; c = CMSG_NXTHDR(&header, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int fd = -1;
      ::memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof fd);
      message.fds.emplace_back(fd);
    }
  }
  if ((header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) return fail("message cut short", EMSGSIZE);
  message.text.resize(static_cast<std::size_t>(n));
  message.closed = n == 0 && message.fds.empty();
  return message;
}

Result<nlohmann::json> parse(std::string_view text) {
  nlohmann::json object = nlohmann::json::parse(
      text, [](int depth, nlohmann::json::parse_event_t, nlohmann::json&) { return depth <= 64; }, false);
  if (!object.is_object()) return fail("not a JSON object");
  return object;
}

Result<void> send_fd(int socket, char tag, int fd) {
  return send(socket, std::string_view(&tag, 1), std::span(&fd, 1));
}

}  // namespace bulkhead::ipc

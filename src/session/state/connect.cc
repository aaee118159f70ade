#include "session/state/connect.h"

#include <errno.h>
#include <sys/socket.h>

#include <string>

#include "base/sys.h"

namespace bulkhead::session {

Result<UniqueFd> control_socket() {
  UniqueFd socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return fail_errno("socket", "control", errno);
  return socket;
}

sockaddr_un control_address(int session_directory) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string path = "/proc/self/fd/" + std::to_string(session_directory) + "/control";
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  return address;
}

Result<UniqueFd> connect_control(int session_directory) {
  BH_TRY(UniqueFd socket, control_socket());
  const sockaddr_un address = control_address(session_directory);
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return fail_errno("connect", "the session's control socket", errno);
  }
  BH_CHECK(sys::set_nonblocking(socket.get(), false));
  return socket;
}

}  // namespace bulkhead::session

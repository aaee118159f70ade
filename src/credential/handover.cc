#include "credential/handover.h"

#include <errno.h>
#include <sys/socket.h>

#include "base/ipc.h"
#include "credential/source.h"

namespace bulkhead {

Result<void> hand_over(int socket, const Secret& secret) {
  return ipc::send(socket, secret.reveal());
}

Result<Secret> take_over(int socket) {
  SecretBuffer buffer(max_secret + 1);
  for (;;) {
    const ssize_t n = ::recv(socket, buffer.space(), buffer.left(), 0);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno("recv", "the credential's socket", errno);
    if (n == 0) return fail("the credential did not come");
    buffer.added(static_cast<std::size_t>(n));
    if (buffer.view().size() > max_secret) return fail("the credential is too long");
    return Secret(buffer.view());
  }
}

}  // namespace bulkhead

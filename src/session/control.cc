#include "session/control.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/ipc.h"
#include "base/peer.h"
#include "base/sys.h"
#include "session/state/connect.h"

namespace bulkhead::session {
namespace {

constexpr int waiting = 128;  // and as many connected: a service begins many commands at once

}  // namespace

Result<Control> Control::open(int session_directory) {
  Control control;
  control.owner_ = ::geteuid();
  BH_TRY(control.listener_, control_socket());
  const sockaddr_un address = control_address(session_directory);
  const mode_t mask = ::umask(0177);
  const int bound = ::bind(control.listener_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
  const int why = errno;
  ::umask(mask);
  if (bound != 0) {
    Error error = errno_error("bind", "the session's control socket", why);
    error.message += "; the state directory has to be on a file system that has sockets: set XDG_STATE_HOME";
    return tl::unexpected(std::move(error));
  }
  if (::listen(control.listener_.get(), waiting) != 0) return fail_errno("listen", "control", errno);
  return control;
}

std::optional<std::string> Control::refusal(int socket) const {
  // Started as root, this process has given up what it would take to see where a peer is; a workload then has another
  // uid.
  switch (peer_of(socket, owner_)) {
    case Peer::ours:
      return std::nullopt;
    case Peer::unknown:
      return "who asks can't be told";
    case Peer::other_user:
      return "the session belongs to another user";
    case Peer::elsewhere:
      break;
  }
  return "a session can't be told what it may do from inside a container or a session";
}

void Control::accept() {
  for (;;) {
    UniqueFd socket(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!socket) return;
    if (const auto why = refusal(socket.get())) {
      (void)ipc::send(socket.get(), nlohmann::json{{"ok", false}, {"error", *why}});
      continue;
    }
    if (connections_.size() >= waiting) connections_.erase(connections_.begin());
    connections_.push_back(std::move(socket));
  }
}

std::vector<int> Control::connections() const {
  std::vector<int> fds;
  for (const UniqueFd& connection : connections_) fds.push_back(connection.get());
  return fds;
}

std::optional<nlohmann::json> Control::receive(int connection) {
  const auto at = std::ranges::find(connections_, connection, &UniqueFd::get);
  if (at == connections_.end()) return std::nullopt;
  auto message = ipc::receive(connection);
  fds_.clear();
  if (!message && message.error().code == EAGAIN) return std::nullopt;
  Result<nlohmann::json> object = fail("closed");
  if (message && !message->closed) object = ipc::parse(message->text);
  if (object) {
    auto asker = sys::duplicate(connection);
    if (asker) {
      asker_ = std::move(*asker);
      asker_connection_ = connection;
      fds_ = std::move(message->fds);
      return std::move(*object);
    }
  }
  connections_.erase(at);
  return std::nullopt;
}

Control::Taken Control::take() {
  Taken taken;
  taken.fds = std::move(fds_);
  const auto at = std::ranges::find(connections_, asker_connection_, &UniqueFd::get);
  if (at != connections_.end()) {
    taken.connection = std::move(*at);
    connections_.erase(at);
  }
  asker_.reset();
  return taken;
}

void Control::answer(const nlohmann::json& object) {
  if (asker_) (void)ipc::send(asker_.get(), object);
  asker_.reset();
}

}  // namespace bulkhead::session

// The way to a session that runs: a socket named `control` in the session's own folder (state.h), for `bulkhead
// revoke` and its kin. Nobody but the session's owner gets an answer, and nobody in the session even as its owner's
// uid: the folder is not shown inside, the broker connects to nothing in a mounted folder, and a peer in another pid
// namespace than ours is refused (SO_PEERCRED, unix(7)).
//
// SOCK_SEQPACKET, one JSON object a message, one answer to each (docs/formats.md). Nothing here waits.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"

namespace bulkhead::session {

class Control {
 public:
  Control() = default;
  // In `session_directory`, with the caller's privileges: the owner is who calls this.
  static Result<Control> open(int session_directory);

  int listener() const { return listener_.get(); }
  // Takes who is waiting. A peer that may not speak is told so and closed.
  void accept();

  std::vector<int> connections() const;
  // A message of one of them, or nullopt: none yet, or the peer is gone or spoke no JSON and was closed.
  std::optional<nlohmann::json> receive(int connection);
  // The one whose message was received last, and the descriptors that came with that: from now on the caller's.
  struct Taken {
    UniqueFd connection;
    std::vector<UniqueFd> fds;
  };
  Taken take();
  // To the one whose message was received last. It may be gone.
  void answer(const nlohmann::json& object);

 private:
  std::optional<std::string> refusal(int socket) const;

  UniqueFd listener_;
  unsigned owner_ = 0;
  std::vector<UniqueFd> connections_;
  UniqueFd asker_;  // a duplicate: it may be closed among connections_ meanwhile
  int asker_connection_ = -1;
  std::vector<UniqueFd> fds_;
};

}  // namespace bulkhead::session

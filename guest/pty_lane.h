// Where the pty's master can't be sent out (Setup::own_kernel), the shim keeps it and carries its bytes: between it and
// the socket at whose other end is the supervisor's terminal.
#pragma once

#include <poll.h>

#include <string>

#include "base/fd.h"
#include "guest/protocol.h"

namespace bulkhead::shim {

class PtyLane {
 public:
  PtyLane() = default;
  // `socket`: SOCK_STREAM. Both are made non-blocking.
  static Result<PtyLane> open(UniqueFd master, int socket);

  bool is_open() const { return static_cast<bool>(master_); }
  // What to wait for, in entries [0] (the master) and [1] (the socket); then what came of it. Without a pty, and once
  // it is closed, nothing.
  void prepare(pollfd* entries) const;
  void handle(const pollfd* entries);
  // The master's window; the foreground gets SIGWINCH.
  void resize(const WindowSize& size, int slave) const;
  // The workload is gone: all it wrote is sent, then the socket is closed. Blocks as long as the supervisor reads
  // slowly.
  void finish();

 private:
  void from_pty();
  void to_socket();
  void from_socket();
  void to_pty();
  void close();

  UniqueFd master_;
  UniqueFd socket_;
  std::string out_, in_;  // on their way to the socket, and to the master
};

}  // namespace bulkhead::shim

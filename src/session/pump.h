// Bytes between a descriptor of the caller's, which may be anybody's and blocking, and a pipe of ours to a command that
// can't have that descriptor itself. Nothing here blocks: only what poll(2) promised is done.
#pragma once

#include <poll.h>

#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"

namespace bulkhead::session {

class Pump {
 public:
  // `pipe` is made non-blocking. into(): from `user` to the command; out_of(): from the command to `user`.
  static Result<Pump> into(UniqueFd pipe, int user);
  static Result<Pump> out_of(UniqueFd pipe, int user);
  // From the command into memory, of which only the first `most` bytes are kept.
  static Result<Pump> capture(UniqueFd pipe, std::size_t most);

  void prepare(std::vector<pollfd>& fds) const;
  void handle(const std::vector<pollfd>& fds);
  // Nothing more comes, and all that came was given on (or nobody takes it any more).
  bool done() const { return !pipe_ && pending_.empty(); }
  // The command is over: what the pipe holds now is the last of it, and handle() takes it without being told of it.
  // No more than that: what it left running may go on writing.
  void end();

  const std::string& captured() const { return captured_; }
  bool cut() const { return cut_; }

 private:
  Pump(UniqueFd pipe, int user, bool inwards) : pipe_(std::move(pipe)), user_(user), inwards_(inwards) {}
  void move_in(short user, short pipe);
  void move_out(short user, short pipe);
  void keep();

  UniqueFd pipe_;
  int user_ = -1;  // -1: captured
  bool inwards_ = false, ending_ = false, cut_ = false;
  std::size_t most_ = 0;
  int left_ = 0;  // ending: bytes
  std::string pending_, captured_;
};

}  // namespace bulkhead::session

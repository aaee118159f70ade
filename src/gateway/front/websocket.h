// A WebSocket that a grant allows, from the moment the server has agreed to it: the client's frames are read strictly,
// go to egress as messages, and what comes back is written as frames of our own. Messages are counted and not read.
#pragma once

#include <memory>
#include <string>

#include "gateway/front/egress_lane.h"
#include "gateway/front/input.h"
#include "gateway/front/shared.h"
#include "gateway/front/stream.h"
#include "gateway/websocket/frames.h"

namespace bulkhead::front {

class WebSocket : public std::enable_shared_from_this<WebSocket> {
 public:
  // All references outlive it.
  WebSocket(Shared& shared, Stream& stream, Input& input, EgressLane& lane)
      : shared_(shared),
        stream_(stream),
        input_(input),
        lane_(lane),
        upload_ended_(shared.io, Clock::time_point::max()) {}

  // Until both sides have closed it, or one is gone. The client has heard why where it still listens.
  Task<void> run();

  // Ends it: its grant is gone.
  void cut(Gone why);

  std::uint64_t up() const { return up_; }  // bytes of payload
  std::uint64_t down() const { return down_; }
  std::uint64_t messages_up() const { return messages_up_; }
  std::uint64_t messages_down() const { return messages_down_; }
  // Why it did not end by itself: evidence's word, and a line for people where something was not granted after all.
  const std::string& reason() const { return reason_; }
  const std::string& denial() const { return denial_; }

 private:
  Task<void> upload();
  Task<void> download();
  bool take(const EgressLane::Piece& piece, std::string& out);
  void end(std::uint16_t code, std::string reason, std::string text);

  Shared& shared_;
  Stream& stream_;
  Input& input_;
  EgressLane& lane_;
  websocket::Reader reader_{websocket::Sender::client};
  websocket::Order order_;  // of what egress sends
  Timer upload_ended_;
  bool uploading_ = false, running_ = false;
  bool closed_up_ = false;  // the client's close frame is with egress
  std::uint16_t code_ = 0;  // what our own close frame to the client says; 0: none is due
  std::string text_;
  std::string reason_, denial_;
  std::uint64_t up_ = 0, down_ = 0, messages_up_ = 0, messages_down_ = 0;
};

}  // namespace bulkhead::front

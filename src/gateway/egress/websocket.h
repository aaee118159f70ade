// A WebSocket that a grant allows, from the moment the server has agreed to it: front's messages go up as frames of our
// own, the server's frames are read strictly, scrubbed of the credential and go to front as messages. What moves counts
// against the budget; messages are not read.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <memory>
#include <optional>
#include <string>

#include "gateway/egress/context.h"
#include "gateway/egress/frames.h"
#include "gateway/websocket/frames.h"

namespace bulkhead::egress {

// Uses a lane up: whoever calls run() closes it afterwards.
class WebSocket : public std::enable_shared_from_this<WebSocket> {
 public:
  // `socket` and `frames` are the lane's and outlive run(). `early`: what the server sent right behind its answer.
  struct Parts {
    Frames::Socket& socket;
    Frames& frames;
    std::shared_ptr<Connection> connection;
    Permits::Permit permit;
    std::string host;
    std::uint16_t port = 0;
    std::string early;
    const Patterns& patterns;  // what is to be taken out of what the server says
  };
  WebSocket(std::shared_ptr<Context> context, Parts parts);

  boost::asio::awaitable<void> run();
  // Ends it: its grant is gone.
  void cut(Gone why);
  // upstream.close
  void record_end(const std::string& reason);

 private:
  boost::asio::awaitable<void> upload();
  boost::asio::awaitable<void> download();
  bool take_up(std::string_view payload, std::string& out);
  bool take_down(std::string_view bytes, std::string& out);
  bool fits(std::uint64_t& message, const lane::Message& part, const std::optional<std::uint64_t>& most);
  void scrub(lane::Message& part, std::string& out);
  void watch_expiry();
  void fail(lane::Failure failure);
  boost::asio::awaitable<bool> send(std::string_view bytes);

  const std::shared_ptr<Context> owner_;
  Context& context_;
  Parts parts_;
  Connection& connection_;
  websocket::Reader reader_{websocket::Sender::server};
  websocket::Order order_;                               // of what front sends
  std::optional<Scrubber> scrubber_;                     // of the message that comes down
  lane::Opcode kind_down_ = lane::Opcode::continuation;  // of its next part
  boost::asio::steady_timer upload_ended_, expiry_;
  bool uploading_ = false, running_ = false;
  bool closed_down_ = false;  // the server's close frame has come
  bool front_gone_ = false;
  std::optional<lane::Failure> failure_;             // why it ended early
  std::uint64_t message_up_ = 0, message_down_ = 0;  // bytes of the present messages
  std::uint64_t up_ = 0, down_ = 0, messages_up_ = 0, messages_down_ = 0;
};

}  // namespace bulkhead::egress

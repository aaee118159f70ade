// gateway/websocket/: WebSocket (RFC 6455), the same for both sides of the gateway. Nothing of it is passed on as it
// came: front and egress each end one WebSocket, and between them go messages (gateway/lane.h).
//
//   frames.h     frames read strictly, and written (this file)
//   handshake.h  the opening handshake
//
// The head of a frame is read and written by WebSocket++; what follows from it is judged here, and only refused. No
// extension is ever agreed on, so a reserved bit is an error and nothing is compressed. Whether a text is UTF-8 is left
// to its reader, who has to look at all of it anyway.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>

#include "gateway/lane.h"

namespace bulkhead::websocket {

using lane::Message;
using lane::Opcode;

// Close codes we say ourselves (RFC 6455 §7.4.1).
inline constexpr std::uint16_t protocol_error = 1002, policy_violation = 1008, too_big = 1009, internal_error = 1011;

// A message goes on in parts of at most that many bytes, so that a long one is never held.
inline constexpr std::size_t max_part = 32 * 1024;

bool is_control(Opcode opcode);

// What may follow what on a lane: one message at a time, control frames whole and between its parts, a close with a
// code that may be sent, nothing behind it. The other end of the lane is trusted no further than a peer is.
class Order {
 public:
  // Why this may not come now; nullopt: it may, and it has.
  std::optional<std::string> take(const Message& part);
  bool closed() const { return closed_; }

 private:
  bool in_message_ = false;
  bool closed_ = false;
};

enum class Sender { client, server };  // a client masks what it sends, a server never does (RFC 6455 §5.1)

// One direction. After an error it is of no more use.
class Reader {
 public:
  explicit Reader(Sender sender) : sender_(sender) {}

  // Takes from the front of `bytes`: the next part of a message (at most max_part bytes) or a whole control frame.
  // nullopt: all of `bytes` is taken and more is needed. An error says what is wrong with the frame.
  tl::expected<std::optional<Message>, std::string> next(std::string_view& bytes);

 private:
  std::optional<std::string> begin_frame();
  std::optional<Message> take_payload(std::string_view& bytes);

  const Sender sender_;
  std::array<std::uint8_t, 14> head_{};
  std::size_t have_ = 0;   // of head_
  bool in_frame_ = false;  // head_ is whole and was judged
  Opcode opcode_ = Opcode::continuation;
  bool last_ = false;
  std::array<std::uint8_t, 4> mask_{};
  std::uint64_t size_ = 0, left_ = 0;  // of this frame's payload
  std::string control_;                // payload so far
  bool in_message_ = false;            // between a message's first frame and its last
  std::optional<Opcode> begins_;       // the message's opcode, until a part of it was given out
  bool closed_ = false;
  std::size_t empty_ = 0;  // fragments with nothing in them, one after another
};

// One frame. A client's is masked with a random key. Aborts where there is no randomness.
std::string frame(Sender sender, const Message& part);

// A close frame's payload; `reason` is cut to what fits.
std::string close_payload(std::uint16_t code, std::string_view reason);

}  // namespace bulkhead::websocket

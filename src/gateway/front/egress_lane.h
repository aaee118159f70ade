// front's end of a lane (gateway/lane.h): one exchange at a time with an egress process.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/front/io.h"
#include "gateway/lane.h"

namespace bulkhead::front {

class EgressLane {
 public:
  EgressLane(asio::io_context& context, UniqueFd socket);
  ~EgressLane();

  // All of `bytes` (whole frames). False: the lane is gone or abandoned.
  Task<bool> send(std::string_view bytes);

  // Part of a frame: heads (`response`, `failure`) come whole, body frames in whatever portions arrive.
  struct Piece {
    lane::Kind kind;
    std::string_view bytes;  // valid until the next call of next() or fill()
  };
  // The next piece that is already here. nullopt: fill() first, or broken().
  std::optional<Piece> next();
  // An answer is on its way: the next fill() waits for it before it looks.
  void expect_answer() { asked_ = true; }
  // Waits for more bytes. False: the lane is gone or abandoned.
  Task<bool> fill();
  bool broken() const { return broken_; }  // the other side broke the protocol

  // Wakes send() and fill(), which then return false; for good.
  void abandon();

  // Between exchanges: is the other end still there, and silent as it must be?
  bool is_idle_and_alive();
  // Gives the buffer back while the lane is not used.
  void rest();

 private:
  Task<bool> wait(Wait::wait_type direction);
  bool open_frame();

  Descriptor socket_;
  std::unique_ptr<char[]> buffer_;
  std::size_t size_ = 0;  // of it
  bool filled_ = false;   // by the last read
  bool asked_ = false;    // expect_answer()
  std::size_t begin_ = 0, end_ = 0;
  std::string head_;  // a response or failure payload that came in parts
  std::optional<lane::FrameHeader> frame_;
  std::uint32_t left_ = 0;  // of the present frame's payload
  bool broken_ = false;
  bool abandoned_ = false;
};

// The lanes to one egress: idle ones are used again, new ones are made by handing one end of a socket pair over.
class LanePool {
 public:
  struct Bounds {
    std::size_t open, idle;
  };
  // `control` is the egress's SEQPACKET socket.
  LanePool(asio::io_context& context, UniqueFd control, Bounds bounds);

  // Null: too many, or the egress is gone.
  std::unique_ptr<EgressLane> take();
  // Only after a complete exchange; a lane that is not given back is destroyed by its owner, who calls drop().
  void give_back(std::unique_ptr<EgressLane> lane);
  void drop(std::unique_ptr<EgressLane> lane);

  std::size_t open() const { return open_; }

 private:
  asio::io_context& context_;
  UniqueFd control_;
  Bounds bounds_;
  std::size_t open_ = 0;
  std::vector<std::unique_ptr<EgressLane>> idle_;
};

}  // namespace bulkhead::front

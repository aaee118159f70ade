// Many commands' descriptors over one stream socket, for a kernel inside that no descriptor of the host's can be sent
// to (gVisor's, a virtual machine's). The same class is both ends: outside, the supervisor opens commands; inside, the
// shim that holds the session is told of them. What arrives outside is hostile: a frame that makes no sense, or more
// than was asked for, is an error that ends the session.
//
// A frame is eight bytes and its payload: command (32 bits, little-endian), channel, kind, size of the payload (16
// bits).
//
//   open   one byte: which channels the command has (bit 0 is `control`). From outside; numbers only grow.
//   data   bytes; of `control` the end of a datagram, or a whole one
//   more   of `control`: a part of a datagram, more of it follows
//   room   four bytes: so many more may be sent on that channel
//   end    nothing more comes on that channel. On `control`: the command is over, and all it wrote has been sent
//   shut   nothing more is taken on that channel
//
// A channel holds at most `window` bytes that its reader has not taken (a datagram counts 64 more than it has): who
// reads slowly holds up who writes, and nobody else.
#pragma once

#include <poll.h>

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/fd.h"
#include "base/result.h"

namespace bulkhead::shim {

enum Channel : std::uint8_t { control, input, output, errors, terminal };
inline constexpr std::size_t channels = 5;
inline constexpr std::uint32_t max_commands = 256;

// A command's ends on this side, by channel; those it does not have are unset. control: SOCK_SEQPACKET, terminal:
// SOCK_STREAM, the others pipes. They are made non-blocking, so they must be nobody else's.
using Ends = std::array<UniqueFd, channels>;

class Mux {
 public:
  // Outside.
  explicit Mux(UniqueFd stream);
  // Inside: `begin` is asked for the ends of each new command that has these channels.
  using Begin = std::function<Result<Ends>(std::uint8_t used)>;
  Mux(UniqueFd stream, Begin begin);

  // Outside: a new command. Refused when there are too many.
  Result<void> open(Ends ends);
  std::size_t commands() const { return commands_.size(); }
  // No command is left, and nothing is on its way into the stream.
  bool idle() const { return commands_.empty() && out_at_ == out_.size(); }

  // Adds what poll(2) shall wait for; handle() looks at just those entries again. Neither blocks.
  void prepare(std::vector<pollfd>& fds);
  // An error: the other end is gone (code EPIPE), or said what makes no sense. After EPIPE what has come already still
  // goes on to the local ends, if it is handled further, and then they end.
  Result<void> handle(const std::vector<pollfd>& fds);

 private:
  struct Lane {
    UniqueFd fd;
    bool reads = false, writes = false;  // what this side does with it
    std::uint32_t room = 0;              // bytes that may be sent
    std::deque<std::string> waiting;     // what came, on its way to fd: of `control` whole datagrams
    std::size_t held = 0;                // bytes of them, and of `part`
    std::string part;                    // of a datagram
    std::uint32_t taken = 0;             // bytes that went on to fd and are not yet told of
    bool peer_ended = false;
    std::size_t drained = 0;                              // bytes read from fd, ever
    std::optional<std::size_t> last_byte = std::nullopt;  // draining: so many are the command's
  };
  struct Command {
    std::array<Lane, channels> lanes;
    bool draining = false;  // inside: its process is gone; what it wrote is still here
  };
  struct Entry {
    std::uint32_t command;
    std::uint8_t channel;
  };
  enum Kind : std::uint8_t { open_kind, data, more, room, end, shut };

  Result<void> add(std::uint32_t number, std::uint8_t used, Ends ends);
  void queue(std::uint32_t number, std::uint8_t channel, Kind kind, std::string_view payload = {});
  Result<void> read_stream();
  void end_stream();
  Result<void> write_stream();
  Result<void> take_frames();
  Result<void> take(std::uint32_t number, std::uint8_t channel, std::uint8_t kind, std::string_view payload);
  Result<void> take_data(Lane& lane, std::uint8_t channel, bool last, std::string_view payload);
  Result<void> begin_command(std::uint32_t number, std::string_view payload);
  void read_lane(std::uint32_t number, Command& command, std::uint8_t channel);
  void write_lane(std::uint32_t number, Lane& lane, std::uint8_t channel);
  static void begin_draining(Command& command);
  void end_reading(std::uint32_t number, Lane& lane, std::uint8_t channel);
  static void stop_reading(Lane& lane);
  static void stop_writing(Lane& lane);
  bool finish(std::uint32_t number, Command& command);
  bool may_read(const Lane& lane, std::uint8_t channel) const;

  UniqueFd stream_;
  Begin begin_;  // set: this is the inside
  std::map<std::uint32_t, Command> commands_;
  std::uint32_t last_ = 0;  // the newest command's number
  std::string in_, out_;
  std::size_t out_at_ = 0;
  std::size_t first_ = 0;  // of the entries that prepare() added
  std::vector<Entry> entries_;
};

}  // namespace bulkhead::shim

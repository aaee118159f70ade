#include "guest/mux.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>

#include "guest/protocol.h"

namespace bulkhead::shim {
namespace {

constexpr std::size_t head = 8;
constexpr std::size_t max_payload = 32 * 1024;
constexpr std::uint32_t stream_window = 128 * 1024;
constexpr std::uint32_t control_window = 4 * max_datagram;
constexpr std::size_t enough = 256 * 1024;   // on its way into the stream: then nothing more is read
constexpr std::size_t too_much = 8 << 20;    // what is said about commands comes on top of that, from an end that reads
constexpr std::uint32_t datagram_cost = 64;  // of a window, beside its bytes: many small ones are not to be free
constexpr int turns = 16;                    // reads of one poll

std::uint32_t window(std::uint8_t channel) {
  return channel == control ? control_window : stream_window;
}

std::uint32_t number_at(std::string_view bytes, std::size_t at, int size) {
  std::uint32_t value = 0;
  for (int i = 0; i < size; ++i) {
    value |= static_cast<std::uint32_t>(static_cast<unsigned char>(bytes[at + static_cast<std::size_t>(i)])) << (8 * i);
  }
  return value;
}

void append(std::string& out, std::uint32_t value, int size) {
  for (int i = 0; i < size; ++i) out.push_back(static_cast<char>((value >> (8 * i)) & 0xff));
}

bool not_now() {
  return errno == EAGAIN || errno == EINTR;
}

Result<void> make_nonblocking(int fd) {
  const int flags = ::fcntl(fd, F_GETFL);
  if (flags < 0 || ::fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0)
    return fail("can't set up a command's channel", errno);
  return {};
}

Result<void> nonsense() {
  return fail("the session's inside said something that makes no sense");
}

}  // namespace

Mux::Mux(UniqueFd stream) : stream_(std::move(stream)) {
  (void)make_nonblocking(stream_.get());
}
Mux::Mux(UniqueFd stream, Begin begin) : Mux(std::move(stream)) {
  begin_ = std::move(begin);
}

Result<void> Mux::add(std::uint32_t number, std::uint8_t used, Ends ends) {
  Command& command = commands_[number];
  for (std::uint8_t channel = 0; channel < channels; ++channel) {
    if ((used >> channel & 1) == 0) continue;
    Lane& lane = command.lanes[channel];
    lane.fd = std::move(ends[channel]);
    const bool inwards = channel == input, both = channel == control || channel == terminal;
    lane.reads = both || inwards != static_cast<bool>(begin_);
    lane.writes = both || inwards == static_cast<bool>(begin_);
    lane.room = window(channel);
    BH_CHECK(make_nonblocking(lane.fd.get()));
  }
  return {};
}

Result<void> Mux::open(Ends ends) {
  if (!stream_) return fail("the session's inside is gone", EPIPE);
  if (commands_.size() >= max_commands) return fail("too many commands run in this session", EAGAIN);
  if (last_ == UINT32_MAX) return fail("this session has run too many commands", EAGAIN);
  std::uint8_t used = 0;
  for (std::uint8_t channel = 0; channel < channels; ++channel) {
    if (ends[channel]) used = static_cast<std::uint8_t>(used | 1U << channel);
  }
  BH_CHECK(add(++last_, used, std::move(ends)));
  queue(last_, control, open_kind, std::string_view(reinterpret_cast<const char*>(&used), 1));
  return {};
}

void Mux::queue(std::uint32_t number, std::uint8_t channel, Kind kind, std::string_view payload) {
  if (!stream_) return;
  append(out_, number, 4);
  append(out_, channel, 1);
  append(out_, kind, 1);
  append(out_, static_cast<std::uint32_t>(payload.size()), 2);
  out_.append(payload);
}

bool Mux::may_read(const Lane& lane, std::uint8_t channel) const {
  // A datagram is taken as a whole.
  const std::uint32_t least = channel == control ? max_datagram + datagram_cost : 1;
  return lane.reads && lane.room >= least && out_.size() - out_at_ < enough;
}

void Mux::prepare(std::vector<pollfd>& fds) {
  first_ = fds.size();
  entries_.clear();
  fds.push_back({stream_.get(), static_cast<short>(POLLIN | (out_.size() > out_at_ ? POLLOUT : 0)), 0});
  for (const auto& [number, command] : commands_) {
    for (std::uint8_t channel = 0; channel < channels; ++channel) {
      const Lane& lane = command.lanes[channel];
      short events = 0;
      if (may_read(lane, channel)) events = POLLIN;
      if (lane.writes && !lane.waiting.empty()) events = static_cast<short>(events | POLLOUT);
      // A pipe tells without being asked that its reader is gone; a socket would say so again and again.
      const bool watched = lane.writes && !lane.reads;
      if (events == 0 && !watched) continue;
      entries_.push_back({number, channel});
      fds.push_back({lane.fd.get(), events, 0});
    }
  }
}

Result<void> Mux::handle(const std::vector<pollfd>& fds) {
  if (first_ >= fds.size() || fds[first_].fd != stream_.get()) return {};  // not prepared
  for (std::size_t i = 0; i < entries_.size() && first_ + 1 + i < fds.size(); ++i) {
    const pollfd& p = fds[first_ + 1 + i];
    const auto at = commands_.find(entries_[i].command);
    if (p.revents == 0 || at == commands_.end()) continue;
    Lane& lane = at->second.lanes[entries_[i].channel];
    if (lane.fd.get() != p.fd) continue;
    if ((p.events & POLLIN) != 0 && (p.revents & (POLLIN | POLLHUP | POLLERR)) != 0) {
      read_lane(at->first, at->second, entries_[i].channel);
    }
    if (lane.writes && (p.revents & (POLLOUT | POLLERR)) != 0) {
      if (lane.waiting.empty() && !lane.reads) {  // a pipe without a reader
        stop_writing(lane);
        queue(at->first, entries_[i].channel, shut);
      } else {
        write_lane(at->first, lane, entries_[i].channel);
      }
    }
  }
  if ((fds[first_].revents & (POLLIN | POLLHUP | POLLERR)) != 0) BH_CHECK(read_stream());
  for (auto it = commands_.begin(); it != commands_.end();) {
    it = finish(it->first, it->second) ? commands_.erase(it) : std::next(it);
  }
  return write_stream();
}

// From the local end into the stream.
void Mux::read_lane(std::uint32_t number, Command& command, std::uint8_t channel) {
  Lane& lane = command.lanes[channel];
  std::string buffer;
  for (int i = 0; i < turns && may_read(lane, channel); ++i) {
    buffer.resize(channel == control ? max_datagram : std::min<std::size_t>(max_payload, lane.room));
    const ssize_t n = ::read(lane.fd.get(), buffer.data(), buffer.size());
    if (n < 0 && not_now()) {
      if (command.draining) end_reading(number, lane, channel);
      return;
    }
    if (n <= 0) {
      // Inside, the command is over; that is said when all it wrote has been sent.
      if (channel == control && begin_) {
        begin_draining(command);
        stop_reading(lane);
      } else {
        end_reading(number, lane, channel);
      }
      return;
    }
    std::string_view rest(buffer.data(), static_cast<std::size_t>(n));
    lane.room -= static_cast<std::uint32_t>(n) + (channel == control ? datagram_cost : 0);
    lane.drained += static_cast<std::size_t>(n);
    while (rest.size() > max_payload) {
      queue(number, channel, channel == control ? more : data, rest.substr(0, max_payload));
      rest.remove_prefix(max_payload);
    }
    queue(number, channel, data, rest);
  }
}

// Its process is gone. What its pipes hold now is its; what comes later is somebody's whom it has left running.
void Mux::begin_draining(Command& command) {
  command.draining = true;
  for (Lane& lane : command.lanes) {
    int bytes = 0;
    if (!lane.reads || ::ioctl(lane.fd.get(), FIONREAD, &bytes) != 0) continue;
    lane.last_byte = lane.drained + static_cast<std::size_t>(std::max(bytes, 0));
  }
}

void Mux::end_reading(std::uint32_t number, Lane& lane, std::uint8_t channel) {
  if (!lane.reads) return;
  queue(number, channel, end);
  stop_reading(lane);
}

void Mux::stop_reading(Lane& lane) {
  lane.reads = false;
  if (!lane.writes) lane.fd.reset();
}

void Mux::stop_writing(Lane& lane) {
  lane.writes = false;
  lane.waiting.clear();
  lane.held = 0;
  lane.part.clear();
  if (!lane.reads) {
    lane.fd.reset();
  } else {
    (void)::shutdown(lane.fd.get(), SHUT_WR);
  }
}

// From the stream to the local end.
void Mux::write_lane(std::uint32_t number, Lane& lane, std::uint8_t channel) {
  while (lane.writes && !lane.waiting.empty()) {
    std::string& first = lane.waiting.front();
    const bool socket = channel == control || channel == terminal;
    const ssize_t n = socket ? ::send(lane.fd.get(), first.data(), first.size(), MSG_NOSIGNAL)
                             : ::write(lane.fd.get(), first.data(), first.size());
    if (n < 0 && not_now()) break;
    if (n < 0) {
      stop_writing(lane);
      queue(number, channel, shut);
      return;
    }
    const std::uint32_t cost = static_cast<std::uint32_t>(n) + (channel == control ? datagram_cost : 0);
    lane.held -= cost;
    lane.taken += cost;
    first.erase(0, static_cast<std::size_t>(n));
    if (first.empty()) lane.waiting.pop_front();
  }
  if (lane.taken >= window(channel) / 4) {
    std::string size;
    append(size, std::exchange(lane.taken, 0), 4);
    queue(number, channel, room, size);
  }
  if (lane.writes && lane.peer_ended && lane.waiting.empty()) stop_writing(lane);
}

// True: nothing is left of the command.
bool Mux::finish(std::uint32_t number, Command& command) {
  if (command.draining) {
    bool left = false;
    for (std::uint8_t channel = 0; channel < channels; ++channel) {
      Lane& lane = command.lanes[channel];
      if (lane.last_byte && lane.drained >= *lane.last_byte) end_reading(number, lane, channel);
      if (command.lanes[channel].reads && may_read(command.lanes[channel], channel))
        read_lane(number, command, channel);
      left = left || command.lanes[channel].reads;
    }
    if (left) return false;
    queue(number, control, end);
    return true;
  }
  if (begin_) return false;
  // Outside: `control` is the last to end.
  const Lane& last = command.lanes[control];
  if (!last.peer_ended) return false;
  return std::ranges::none_of(command.lanes, [](const Lane& lane) { return lane.writes && !lane.waiting.empty(); });
}

Result<void> Mux::read_stream() {
  std::string buffer(64 * 1024, '\0');
  for (int i = 0; i < turns; ++i) {
    const ssize_t n = ::read(stream_.get(), buffer.data(), buffer.size());
    if (n < 0 && not_now()) break;
    if (n <= 0) {
      end_stream();
      return fail("the session's inside is gone", EPIPE);
    }
    in_.append(buffer, 0, static_cast<std::size_t>(n));
    BH_CHECK(take_frames());
    if (static_cast<std::size_t>(n) < buffer.size()) break;
  }
  return {};
}

// As if the other end had ended all there is.
void Mux::end_stream() {
  stream_.reset();
  for (auto& [number, command] : commands_) {
    for (Lane& lane : command.lanes) {
      if (lane.reads) stop_reading(lane);
      lane.peer_ended = true;
      if (lane.writes && lane.waiting.empty()) stop_writing(lane);
    }
  }
}

Result<void> Mux::take_frames() {
  std::size_t at = 0;
  while (in_.size() - at >= head) {
    const std::uint32_t size = number_at(in_, at + 6, 2);
    if (size > max_payload) return nonsense();
    if (in_.size() - at < head + size) break;
    BH_CHECK(take(number_at(in_, at, 4), static_cast<std::uint8_t>(in_[at + 4]), static_cast<std::uint8_t>(in_[at + 5]),
                  std::string_view(in_).substr(at + head, size)));
    at += head + size;
  }
  in_.erase(0, at);
  return {};
}

Result<void> Mux::take(std::uint32_t number, std::uint8_t channel, std::uint8_t kind, std::string_view payload) {
  if (channel >= channels || kind > shut) return nonsense();
  if (kind == open_kind) return begin_command(number, payload);
  if (number == 0 || number > last_) return nonsense();
  const auto found = commands_.find(number);
  if (found == commands_.end()) return {};  // it is over; this was under way
  Lane& lane = found->second.lanes[channel];
  switch (kind) {
    case data:
    case more:
      BH_CHECK(take_data(lane, channel, kind == data, payload));
      write_lane(number, lane, channel);
      return {};
    case room:
      if (payload.size() != 4 || number_at(payload, 0, 4) > window(channel) - std::min(lane.room, window(channel))) {
        return nonsense();
      }
      lane.room += number_at(payload, 0, 4);
      return {};
    case end:
      if (!payload.empty() || !lane.part.empty()) return nonsense();
      lane.peer_ended = true;
      if (lane.writes && lane.waiting.empty()) stop_writing(lane);
      return {};
    default:
      if (!payload.empty()) return nonsense();
      if (lane.reads && channel != control) stop_reading(lane);
      return {};
  }
}

Result<void> Mux::take_data(Lane& lane, std::uint8_t channel, bool last, std::string_view payload) {
  if (lane.peer_ended || (!last && channel != control)) return nonsense();
  const bool ours = channel == control || channel == terminal || (channel == input) == static_cast<bool>(begin_);
  if (!ours || payload.empty()) return nonsense();
  if (!lane.writes) return {};  // shut was sent; this was under way
  if (lane.held + payload.size() > window(channel)) return nonsense();
  lane.held += payload.size();
  if (channel != control) {
    // One text, however small its pieces: each of its own would cost more than its bytes.
    if (lane.waiting.empty()) lane.waiting.emplace_back();
    lane.waiting.back().append(payload);
    return {};
  }
  lane.part.append(payload);
  if (lane.part.size() > max_datagram) return nonsense();
  if (!last) return {};
  lane.held += datagram_cost;
  lane.waiting.push_back(std::exchange(lane.part, {}));
  return {};
}

Result<void> Mux::begin_command(std::uint32_t number, std::string_view payload) {
  if (!begin_ || number <= last_ || payload.size() != 1 || commands_.size() >= max_commands) return nonsense();
  const auto used = static_cast<std::uint8_t>(payload[0]);
  if ((used & 1U) == 0 || used >> channels != 0) return nonsense();
  last_ = number;
  auto ends = begin_(used);
  if (!ends) {
    queue(number, control, end);  // it could not be begun; outside it is over without a word
    return {};
  }
  return add(number, used, std::move(*ends));
}

Result<void> Mux::write_stream() {
  if (!stream_) return {};
  if (out_.size() - out_at_ > too_much) return fail("the session's inside does not listen");
  while (out_at_ < out_.size()) {
    ssize_t n = ::send(stream_.get(), out_.data() + out_at_, out_.size() - out_at_, MSG_NOSIGNAL);
    // A virtual machine's port.
    if (n < 0 && errno == ENOTSOCK) n = ::write(stream_.get(), out_.data() + out_at_, out_.size() - out_at_);
    if (n < 0 && not_now()) break;
    if (n < 0) {
      out_.clear();  // nobody takes it; what the other end said before can still be read
      out_at_ = 0;
      return fail("the session's inside is gone", EPIPE);
    }
    out_at_ += static_cast<std::size_t>(n);
  }
  if (out_at_ == out_.size() || out_at_ > enough) out_.erase(0, std::exchange(out_at_, 0));
  return {};
}

}  // namespace bulkhead::shim

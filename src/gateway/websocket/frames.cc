#include "gateway/websocket/frames.h"

#include <openssl/rand.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <websocketpp/frame.hpp>

#include "base/text.h"

namespace bulkhead::websocket {
namespace {

namespace wire = websocketpp::frame;

// A fragment may be empty, but a run of them only costs time.
constexpr std::size_t most_empty = 64;

// RFC 6455 §7.4 and IANA's registry: 1004 to 1006 and 1015 are never sent.
bool is_close_code(unsigned code) {
  return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999);
}

std::optional<std::string> judge_close(std::string_view payload) {
  if (payload.empty()) return std::nullopt;
  if (payload.size() == 1) return "a close frame with half a code";
  const unsigned code =
      static_cast<unsigned>(static_cast<unsigned char>(payload[0])) << 8 | static_cast<unsigned char>(payload[1]);
  if (!is_close_code(code)) return "a close frame with code " + std::to_string(code);
  if (!valid_utf8(payload.substr(2))) return "a close frame whose reason is not UTF-8";
  return std::nullopt;
}

std::optional<Opcode> opcode_of(unsigned number) {
  switch (number) {
    case wire::opcode::continuation:
    case wire::opcode::text:
    case wire::opcode::binary:
    case wire::opcode::close:
    case wire::opcode::ping:
    case wire::opcode::pong:
      return static_cast<Opcode>(number);
    default:
      return std::nullopt;
  }
}

}  // namespace

bool is_control(Opcode opcode) {
  return static_cast<std::uint8_t>(opcode) >= 8;
}

std::optional<std::string> Order::take(const Message& part) {
  if (closed_) return "a frame behind the close frame";
  if (is_control(part.opcode)) {
    if (!part.last) return "a control frame in fragments";
    if (part.data.size() > wire::limits::payload_size_basic) return "a control frame of more than 125 bytes";
    if (part.opcode != Opcode::close) return std::nullopt;
    closed_ = true;
    return judge_close(part.data);
  }
  const bool goes_on = part.opcode == Opcode::continuation;
  if (goes_on && !in_message_) return "a continuation of no message";
  if (!goes_on && in_message_) return "a message within another";
  in_message_ = !part.last;
  return std::nullopt;
}

// head_ is whole: the frame is judged before a byte of its payload is.
std::optional<std::string> Reader::begin_frame() {
  const wire::basic_header basic(head_[0], head_[1]);
  wire::extended_header extended;
  std::copy_n(head_.begin() + wire::BASIC_HEADER_LENGTH, have_ - wire::BASIC_HEADER_LENGTH, extended.bytes);
  const auto opcode = opcode_of(wire::get_opcode(basic));
  if (!opcode) return "a frame of an unknown kind";
  opcode_ = *opcode;
  last_ = wire::get_fin(basic);
  size_ = left_ = wire::get_payload_size(basic, extended);
  const wire::masking_key_type key = wire::get_masking_key(basic, extended);
  std::copy_n(key.c, mask_.size(), mask_.begin());

  if (wire::get_rsv1(basic) || wire::get_rsv2(basic) || wire::get_rsv3(basic)) {
    return "a reserved bit, though no extension was agreed on";
  }
  if (sender_ == Sender::client && !wire::get_masked(basic)) return "a frame that its client did not mask";
  if (sender_ == Sender::server && wire::get_masked(basic)) return "a frame that its server masked";
  const unsigned said = wire::get_basic_size(basic);
  if (said == wire::payload_size_code_64bit && (size_ >> 63) != 0) return "a frame longer than there can be";
  if ((said == wire::payload_size_code_16bit && size_ <= wire::limits::payload_size_basic) ||
      (said == wire::payload_size_code_64bit && size_ <= wire::limits::payload_size_extended)) {
    return "a length in a longer form than it needs";
  }
  if (is_control(opcode_)) {
    if (!last_) return "a control frame in fragments";
    if (size_ > wire::limits::payload_size_basic) return "a control frame of more than 125 bytes";
    return std::nullopt;
  }
  if (opcode_ == Opcode::continuation && !in_message_) return "a continuation of no message";
  if (opcode_ != Opcode::continuation && in_message_) return "a message within another";
  if (opcode_ != Opcode::continuation) begins_ = opcode_;
  in_message_ = !last_;
  empty_ = size_ == 0 && !last_ ? empty_ + 1 : 0;
  if (empty_ > most_empty) return "fragments with nothing in them, without end";
  return std::nullopt;
}

// What `bytes` holds of the frame. nullopt: nothing that can be given out yet.
std::optional<Message> Reader::take_payload(std::string_view& bytes) {
  const std::size_t room = is_control(opcode_) ? bytes.size() : std::min(bytes.size(), max_part);
  const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(room, left_));
  std::string data(bytes.substr(0, count));
  bytes.remove_prefix(count);
  if (sender_ == Sender::client) {
    wire::masking_key_type key;
    std::copy_n(mask_.begin(), mask_.size(), key.c);
    wire::byte_mask(data.begin(), data.end(), key, static_cast<std::size_t>((size_ - left_) % mask_.size()));
  }
  left_ -= count;
  const bool whole = left_ == 0;
  if (whole) {
    in_frame_ = false;
    have_ = 0;
  }
  if (is_control(opcode_)) {
    control_ += data;
    if (!whole) return std::nullopt;
    return Message{opcode_, true, std::exchange(control_, {})};
  }
  const bool last = whole && last_;
  if (data.empty() && !last) return std::nullopt;
  const Opcode opcode = begins_.value_or(Opcode::continuation);
  begins_.reset();
  return Message{opcode, last, std::move(data)};
}

tl::expected<std::optional<Message>, std::string> Reader::next(std::string_view& bytes) {
  for (;;) {
    if (!in_frame_) {
      if (bytes.empty()) return std::nullopt;
      if (closed_) return tl::unexpected(std::string("a frame behind the close frame"));
      head_[have_++] = static_cast<std::uint8_t>(bytes.front());
      bytes.remove_prefix(1);
      if (have_ < wire::BASIC_HEADER_LENGTH) continue;
      if (have_ < wire::get_header_len(wire::basic_header(head_[0], head_[1]))) continue;
      if (auto wrong = begin_frame()) return tl::unexpected(std::move(*wrong));
      in_frame_ = true;
    }
    if (bytes.empty() && left_ > 0) return std::nullopt;
    auto part = take_payload(bytes);
    if (!part) continue;
    if (part->opcode != Opcode::close) return part;
    closed_ = true;
    if (auto wrong = judge_close(part->data)) return tl::unexpected(std::move(*wrong));
    return part;
  }
}

std::string frame(Sender sender, const Message& part) {
  const bool masked = sender == Sender::client;
  wire::masking_key_type key;
  key.i = 0;
  if (masked && ::RAND_bytes(key.c, sizeof key.c) != 1) {
    std::fputs("bulkhead: websocket: no random bytes to mask a frame with\n", stderr);
    std::abort();
  }
  const auto opcode = static_cast<wire::opcode::value>(part.opcode);
  std::string out = wire::prepare_header(
      wire::basic_header(opcode, part.data.size(), part.last, masked),
      masked ? wire::extended_header(part.data.size(), key.i) : wire::extended_header(part.data.size()));
  const auto at = static_cast<std::ptrdiff_t>(out.size());
  out += part.data;
  if (masked) wire::byte_mask(out.begin() + at, out.end(), key);
  return out;
}

std::string close_payload(std::uint16_t code, std::string_view reason) {
  std::string out{static_cast<char>(code >> 8), static_cast<char>(code & 0xff)};
  reason = reason.substr(0, wire::limits::close_reason_size);
  while (!valid_utf8(reason)) reason.remove_suffix(1);
  return out.append(reason);
}

}  // namespace bulkhead::websocket

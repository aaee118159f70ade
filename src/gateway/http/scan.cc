// The byte-level half of the gate: heads and chunk lines, one byte after the other.
#include <algorithm>

#include "gateway/http/gate.h"

namespace bulkhead::http {

tl::unexpected<Refusal> refuse(std::uint16_t status, std::string reason, std::string text) {
  return tl::unexpected(Refusal{status, std::move(reason), std::move(text)});
}

namespace {

// NUL, VT, FF, DEL and the rest (ATTACKS H11): parsers disagree about each of them.
bool is_control(unsigned char c) {
  return (c < 0x20 && c != '\t') || c == 0x7f;
}

// Not a control character, and taken by both sides.
bool is_ordinary(char c) {
  return c >= 0x20 && c < 0x7f;
}

int hex_digit(unsigned char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

auto bad_chunk(const char* what) {
  return refuse(400, "chunk", std::string("the chunked body is malformed: ") + what);
}

}  // namespace

Gated HeadScanner::step(unsigned char c) {
  if (++size_ > limits_.head) {
    return refuse(431, "head-size", "the head is larger than " + std::to_string(limits_.head) + " bytes");
  }
  if (after_cr_) {
    if (c != '\n') return refuse(400, "bare-cr", "a carriage return that ends no line");
    after_cr_ = false;
    if (line_ == 0) {
      if (lines_ == 0) return refuse(400, "empty-line", "an empty line where a message should start");
      complete_ = true;
      return {};
    }
    line_ = 0;
    // The first line is the start line; the others are fields.
    if (++lines_ > limits_.headers + 1) {
      return refuse(431, "headers", "more than " + std::to_string(limits_.headers) + " header fields");
    }
    return {};
  }
  if (c == '\r') {
    after_cr_ = true;
    return {};
  }
  if (c == '\n') return refuse(400, "bare-lf", "a line that ends without carriage return");
  if (is_control(c)) return refuse(400, "control-byte", "a control character in the head");
  if (c >= 0x80 && side_ == Side::request) return refuse(400, "eight-bit", "a byte outside ASCII in the head");
  if (line_ == 0 && (c == ' ' || c == '\t')) {
    return refuse(400, lines_ == 0 ? "start-line" : "obs-fold",
                  lines_ == 0 ? "a blank before the start line" : "a header field folded over two lines");
  }
  ++line_;
  return {};
}

tl::expected<std::size_t, Refusal> HeadScanner::take(std::string_view bytes) {
  std::size_t taken = 0;
  while (taken < bytes.size() && !complete_) {
    // In the middle of a line most bytes mean nothing to step(), and are passed over together.
    if (line_ > 0 && !after_cr_) {
      const std::string_view rest = bytes.substr(taken, limits_.head - size_);
      const auto end = std::ranges::find_if_not(rest, is_ordinary);
      const auto count = static_cast<std::size_t>(end - rest.begin());
      size_ += count;
      line_ += count;
      taken += count;
      if (taken == bytes.size()) break;
    }
    if (auto ok = step(static_cast<unsigned char>(bytes[taken])); !ok) return tl::unexpected(std::move(ok).error());
    ++taken;
  }
  return taken;
}

tl::expected<ChunkScanner::Step, Refusal> ChunkScanner::step(unsigned char c) {
  switch (state_) {
    case State::first_digit:
    case State::digits: {
      if (const int digit = hex_digit(c); digit >= 0) {
        // 15 digits can't overflow, in any parser's arithmetic (ATTACKS H07: 17 digits).
        if (++digits_ > 15) return bad_chunk("a size of more than 15 digits");
        size_ = size_ * 16 + static_cast<std::uint64_t>(digit);
        state_ = State::digits;
        ++length_;
        return Step::more;
      }
      if (state_ == State::first_digit) return bad_chunk("no size where one should be");
      if (c == '\r') {
        state_ = State::size_lf;
        return Step::more;
      }
      if (c == ';' && side_ == Side::response) {
        state_ = State::extension;
        ++length_;
        return Step::more;
      }
      // An extension's end is where parsers disagree (CVE-2025-55315), and no client needs one.
      return bad_chunk(c == ';' ? "chunk extensions are not accepted" : "something other than digits in a size");
    }
    case State::extension:
      if (c == '\r') {
        state_ = State::size_lf;
        return Step::more;
      }
      if (is_control(c) || c >= 0x80) return bad_chunk("a control character in an extension");
      if (++length_ > limit_) return bad_chunk("an extension without end");
      return Step::more;
    case State::size_lf:
      if (c != '\n') return bad_chunk("a carriage return that ends no line");
      if (size_ == 0) {
        state_ = State::trailer;
        return Step::more;
      }
      state_ = State::data_cr;
      return Step::data;
    case State::data_cr:
      if (c != '\r') return bad_chunk("more data than the chunk's size");
      state_ = State::data_lf;
      return Step::more;
    case State::data_lf:
      if (c != '\n') return bad_chunk("a carriage return that ends no line");
      state_ = State::first_digit;
      size_ = 0;
      digits_ = length_ = 0;
      return Step::more;
    case State::trailer:
      if (c == '\r') {
        state_ = State::last_lf;
        return Step::more;
      }
      if (side_ == Side::request) return refuse(400, "trailer", "trailer fields after the body are not accepted");
      if (c == ' ' || c == '\t') return refuse(400, "obs-fold", "a trailer field folded over two lines");
      state_ = State::trailer_line;
      [[fallthrough]];
    case State::trailer_line:
      if (++trailers_ > max_trailers) return bad_chunk("trailers without end");
      if (c == '\r') {
        state_ = State::trailer_lf;
        return Step::more;
      }
      if (is_control(c)) return bad_chunk("a control character in a trailer");
      return Step::more;
    case State::trailer_lf:
      if (c != '\n') return bad_chunk("a carriage return that ends no line");
      state_ = State::trailer;
      return Step::more;
    case State::last_lf:
      if (c != '\n') return bad_chunk("a carriage return that ends no line");
      state_ = State::done;
      return Step::done;
    case State::done:
      break;
  }
  return bad_chunk("bytes after its end");
}

}  // namespace bulkhead::http

#include "gateway/egress/scrub.h"

#include <string.h>

#include <algorithm>

#include "base/text.h"
#include "credential/exchange.h"

namespace bulkhead::egress {
namespace {

constexpr std::size_t shortest_encoded = 8;  // below that, what it becomes would be ordinary text

bool unreserved(char c) {  // RFC 3986 §2.3
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
         c == '_' || c == '~';
}

// application/x-www-form-urlencoded (`form`) encodes "~" and writes a blank as "+"; RFC 3986 does neither.
std::string percent_encode(std::string_view text, std::string_view digits, bool form) {
  std::string out;
  out.reserve(text.size() * 3);
  for (const char c : text) {
    if (form && c == ' ') {
      out += '+';
    } else if (unreserved(c) && !(form && c == '~')) {
      out += c;
    } else {
      const auto byte = static_cast<unsigned char>(c);
      out += '%';
      out += digits[byte >> 4];
      out += digits[byte & 15];
    }
  }
  return out;
}

std::string json_escape(std::string_view text, bool slashes) {
  // By hand, because a library's copies stay in memory. A secret has no control characters (credential/source.h).
  std::string out;
  out.reserve(text.size() * 2);
  for (const char c : text) {
    if (c == '"' || c == '\\' || (slashes && c == '/')) out += '\\';
    out += c;
  }
  return out;
}

std::size_t slot_of(char first, char second) {
  return (static_cast<unsigned char>(first) << 4 ^ static_cast<unsigned char>(second)) & 0xfff;
}

// The longest proper prefix of `pattern` that `text` ends with.
std::size_t open_end(std::string_view text, std::string_view pattern) {
  std::size_t at = text.size() - std::min(pattern.size() - 1, text.size());
  for (; (at = text.find(pattern[0], at)) != std::string_view::npos; ++at) {
    if (pattern.starts_with(text.substr(at))) return text.size() - at;
  }
  return 0;
}

}  // namespace

Patterns::Patterns(const Secret& secret, const TokenSlot& slot) {
  add(secret, slot);
}

void Patterns::add(const Secret& secret, const TokenSlot& slot) {
  if (secret.empty()) return;
  if (slot.carrier == Credential::Carrier::sigv4) {
    for (const std::string_view part : key_pair_parts(secret.reveal())) add_forms(part);
  } else {
    add_forms(secret.reveal());
  }
  if (slot.carrier == Credential::Carrier::basic) {
    std::string pair;
    pair.reserve(slot.basic_user.size() + 1 + secret.reveal().size());
    pair += slot.basic_user;
    pair += ':';
    pair += secret.reveal();
    add_base64(pair, 0);
    wipe(pair);
  }
  prepare();
}

void Patterns::add_forms(std::string_view raw) {
  add_one(raw);
  for (const std::string_view digits : {"0123456789ABCDEF", "0123456789abcdef"}) {
    for (const bool form : {false, true}) {
      std::string encoded = percent_encode(raw, digits, form);
      add_one(encoded);
      wipe(encoded);
    }
  }
  for (const bool slashes : {false, true}) {
    std::string encoded = json_escape(raw, slashes);
    add_one(encoded);
    wipe(encoded);
  }
  if (raw.size() < shortest_encoded) return;
  for (const std::string_view digits : {"0123456789ABCDEF", "0123456789abcdef"}) {
    std::string encoded = hex(raw, digits);
    add_one(encoded);
    wipe(encoded);
  }
  // Three ways to stand in a longer text.
  for (std::size_t before = 0; before < 3; ++before) add_base64(raw, before);
}

// As it appears when `before` other bytes stand before it: the characters that come of it alone. So no padding, which
// an echo may leave out or percent-encode.
void Patterns::add_base64(std::string_view raw, std::size_t before) {
  std::string text(before, '\0');
  text.reserve(before + raw.size());
  text += raw;
  const Secret encoded = base64(text);
  const std::size_t begin = (before * 8 + 5) / 6, end = text.size() * 8 / 6;
  // Without neighbours the last character is known, too: zeros fill it up.
  const std::size_t whole = encoded.reveal().find('=');
  wipe(text);
  for (const std::size_t until : {end, before == 0 ? std::min(whole, encoded.reveal().size()) : end}) {
    std::string body(encoded.reveal().substr(begin, until - begin));
    add_one(body);
    std::ranges::replace(body, '+', '-');
    std::ranges::replace(body, '/', '_');
    add_one(body);
    wipe(body);
  }
}

// For mask(): how far a window as long as the shortest pattern may move on, by its last two bytes (Wu and Manber, "A
// fast algorithm for multi-pattern searching", 1994). So the number of patterns costs next to nothing.
void Patterns::prepare() {
  shortest_ = patterns_.front().reveal().size();
  for (const Secret& pattern : patterns_) shortest_ = std::min(shortest_, pattern.reveal().size());
  shift_.fill(static_cast<std::uint8_t>(std::min<std::size_t>(shortest_ - 1, 255)));
  for (const Secret& secret : patterns_) {
    const std::string_view pattern = secret.reveal();
    // Further in front a shift is never less than what fits the table.
    for (std::size_t i = shortest_ > 256 ? shortest_ - 256 : 1; i < shortest_; ++i) {
      std::uint8_t& shift = shift_[slot_of(pattern[i - 1], pattern[i])];
      shift = static_cast<std::uint8_t>(std::min<std::size_t>(shift, shortest_ - 1 - i));
    }
  }
}

void Patterns::add_one(std::string_view pattern) {
  const auto same = [&](const Secret& known) { return known.reveal() == pattern; };
  if (pattern.empty() || std::ranges::any_of(patterns_, same)) return;
  patterns_.emplace_back(pattern);
  std::string lower = lower_ascii(pattern);
  lower_.emplace_back(lower);
  wipe(lower);
}

std::size_t Patterns::mask(std::string_view original, char* out) const {
  // Every occurrence, overlapping ones too: a byte is masked when any of them covers it.
  const auto look = [&](std::size_t start) {
    for (const Secret& secret : patterns_) {
      const std::string_view pattern = secret.reveal();
      if (!original.substr(start).starts_with(pattern)) continue;
      ::memset(out + start, '*', pattern.size());
    }
  };
  for (std::size_t last = shortest_ - 1; last < original.size();) {
    const std::size_t shift = last == 0 ? 0 : shift_[slot_of(original[last - 1], original[last])];
    if (shift == 0) look(last++ - (shortest_ - 1));
    last += shift;
  }
  std::size_t held = 0;
  for (const Secret& secret : patterns_) held = std::max(held, open_end(original, secret.reveal()));
  return held;
}

void Patterns::scrub(std::string& text) const {
  if (patterns_.empty()) return;
  std::string original = text;
  (void)mask(original, text.data());
  wipe(original);
}

bool Patterns::in_name(std::string_view lower_case) const {
  return std::ranges::any_of(
      lower_, [&](const Secret& pattern) { return lower_case.find(pattern.reveal()) != std::string_view::npos; });
}

Scrubber::~Scrubber() {
  wipe(tail_);
  wipe(masked_);
}

void Scrubber::feed(std::string_view chunk, std::string& out) {
  if (patterns_->empty()) {
    out += chunk;
    return;
  }
  const std::size_t begin = out.size();
  if (tail_.empty()) {  // the usual case: no copy of the chunk to match against
    out += chunk;
    const std::size_t held = patterns_->mask(chunk, out.data() + begin);
    tail_ = chunk.substr(chunk.size() - held);
    masked_ = out.substr(out.size() - held);
    out.resize(out.size() - held);
    return;
  }
  tail_ += chunk;
  out += masked_;
  out += chunk;
  const std::size_t held = patterns_->mask(tail_, out.data() + begin);
  tail_.erase(0, tail_.size() - held);
  masked_.assign(out, out.size() - held);
  out.resize(out.size() - held);
}

void Scrubber::finish(std::string& out) {
  out += masked_;
  wipe(tail_);
  wipe(masked_);
}

}  // namespace bulkhead::egress

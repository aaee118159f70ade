#include "gateway/egress/scrub.h"

#include <string.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/text.h"
#include "credential/exchange.h"

namespace bulkhead::egress {
namespace {

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
  std::string quoted = nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  std::string out;
  out.reserve(quoted.size() * 2);
  for (const char c : std::string_view(quoted).substr(1, quoted.size() - 2)) {
    if (slashes && c == '/') out += '\\';
    out += c;
  }
  wipe(quoted);
  return out;
}

// The longest proper prefix of `pattern` that `text` ends with.
std::size_t open_end(std::string_view text, std::string_view pattern) {
  for (std::size_t n = std::min(pattern.size() - 1, text.size()); n > 0; --n) {
    if (text[text.size() - n] == pattern[0] && text.ends_with(pattern.substr(0, n))) return n;
  }
  return 0;
}

}  // namespace

Patterns::Patterns(const Secret& secret, const TokenSlot& slot) {
  if (secret.empty()) return;
  const std::string_view raw = secret.reveal();
  add(raw);
  for (const std::string_view digits : {"0123456789ABCDEF", "0123456789abcdef"}) {
    for (const bool form : {false, true}) {
      std::string encoded = percent_encode(raw, digits, form);
      add(encoded);
      wipe(encoded);
    }
  }
  for (const bool slashes : {false, true}) {
    std::string encoded = json_escape(raw, slashes);
    add(encoded);
    wipe(encoded);
  }
  if (slot.carrier != Credential::Carrier::basic) return;
  std::string pair;
  pair.reserve(slot.basic_user.size() + 1 + raw.size());
  pair += slot.basic_user;
  pair += ':';
  pair += raw;
  const Secret encoded = base64(pair);
  wipe(pair);
  // Without the padding: an echo may leave it out, or percent-encode it.
  const std::string_view body = encoded.reveal().substr(0, encoded.reveal().find('='));
  add(body);
  std::string url_safe(body);
  std::ranges::replace(url_safe, '+', '-');
  std::ranges::replace(url_safe, '/', '_');
  add(url_safe);
  wipe(url_safe);
}

void Patterns::add(std::string_view pattern) {
  const auto same = [&](const Secret& known) { return known.reveal() == pattern; };
  if (pattern.empty() || std::ranges::any_of(patterns_, same)) return;
  patterns_.emplace_back(pattern);
  std::string lower = lower_ascii(pattern);
  lower_.emplace_back(lower);
  wipe(lower);
}

std::size_t Patterns::mask(std::string_view original, char* out) const {
  std::size_t held = 0;
  for (const Secret& secret : patterns_) {
    const std::string_view pattern = secret.reveal();
    std::size_t at = 0;
    // Every occurrence, overlapping ones too: a byte is masked when any of them covers it.
    while (at + pattern.size() <= original.size()) {
      const void* hit = ::memmem(original.data() + at, original.size() - at, pattern.data(), pattern.size());
      if (hit == nullptr) break;
      at = static_cast<std::size_t>(static_cast<const char*>(hit) - original.data());
      ::memset(out + at, '*', pattern.size());
      ++at;
    }
    held = std::max(held, open_end(original, pattern));
  }
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

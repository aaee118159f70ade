#include "session/terminal/modes.h"

#include <algorithm>

namespace bulkhead::session {
namespace {

bool on_by_default(int mode) {
  return mode == 7 || mode == 25 || mode == 1007;
}  // wrap, cursor, wheel as arrows

}  // namespace

void Modes::everything_off() {
  *this = Modes();
}

void Modes::csi(char prefix, const std::vector<int>& parameters, char between, char final) {
  const int first = parameters.empty() ? 0 : parameters.front();
  if (between == '!' && final == 'p') return everything_off();
  if (between == ' ' && final == 'q') {
    cursor_style_ = first != 0;
    return;
  }
  if (prefix == '?' && (final == 'h' || final == 'l')) {
    for (const int mode : parameters) {
      if (mode == 1048) continue;  // saves and restores the cursor
      if ((final == 'h') == on_by_default(mode)) {
        private_.erase(mode);
      } else {
        private_[mode] = final == 'h';
      }
    }
  } else if (final == 'u' && prefix == '>') {
    keyboard_pushes_ = std::min(keyboard_pushes_ + 1, 99);
  } else if (final == 'u' && prefix == '<') {
    keyboard_pushes_ = std::max(keyboard_pushes_ - std::max(first, 1), 0);
  } else if (final == 'u' && prefix == '=') {
    keyboard_set_ = first != 0;
  } else if (final == 'm' && prefix == '>') {
    other_keys_ = parameters.size() > 1 && parameters[1] != 0;
  } else if (prefix == 0 && (final == 'h' || final == 'l')) {
    insert_ = final == 'h';
  } else if (prefix == 0 && final == 'r') {
    margins_ = parameters.size() > 1 || first != 0;
  } else if (prefix == 0 && final == 'm') {
    colours_ = parameters.back() != 0;
  }
}

void Modes::escape(std::string_view sequence) {
  if (sequence ==
      "\x1b"
      "c")
    return everything_off();
  if (sequence == "\x1b=") keypad_ = true;
  if (sequence == "\x1b>") keypad_ = false;
  if (sequence.size() == 3 && sequence[1] == '(') charset_ = sequence[2] != 'B';
}

std::string Modes::reset() const {
  std::string out;
  for (const auto& [mode, on] : private_) {
    // The alternate screen last: the rest may be a property of it.
    if (mode != 47 && mode != 1047 && mode != 1049) out += "\x1b[?" + std::to_string(mode) + (on ? "l" : "h");
  }
  if (keyboard_pushes_ > 0) out += "\x1b[<" + std::to_string(keyboard_pushes_) + "u";
  if (keyboard_set_) out += "\x1b[=0u";
  if (other_keys_) out += "\x1b[>4m";
  if (insert_) out += "\x1b[4l";
  if (keypad_) out += "\x1b>";
  if (margins_)
    out +=
        "\x1b"
        "7\x1b[r\x1b"
        "8";  // setting margins moves the cursor
  if (charset_) out += "\x1b(B";
  if (shifted_) out += "\x0f";
  if (cursor_style_) out += "\x1b[0 q";
  for (const int mode : {47, 1047, 1049}) {
    if (private_.contains(mode)) out += "\x1b[?" + std::to_string(mode) + "l";
  }
  if (colours_) out += "\x1b[0m";
  return out;
}

}  // namespace bulkhead::session

#include "session/terminal/modes.h"

#include <algorithm>
#include <cstddef>

namespace bulkhead::session {
namespace {

bool on_by_default(int mode) {
  return mode == 7 || mode == 25 || mode == 1007;
}  // wrap, cursor, wheel as arrows

bool is_screen(int mode) {
  return mode == 47 || mode == 1047 || mode == 1049;
}

std::string set_mode(int mode, bool on) {
  return "\x1b[?" + std::to_string(mode) + (on ? "h" : "l");
}

// Does this list of colours and styles (SGR) leave any on?
bool leaves_colours(const std::vector<int>& parameters, bool before) {
  bool on = before;
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    const int p = parameters[i];
    on = p != 0;
    // 38;5;N and 38;2;R;G;B: the numbers that follow are a colour, 0 among them.
    if ((p == 38 || p == 48 || p == 58) && i + 1 < parameters.size()) {
      const int kind = parameters[i + 1];
      i += kind == 5 ? 2 : kind == 2 ? 4 : 0;
    }
  }
  return on;
}

}  // namespace

bool Modes::types(int mode) {
  // 1005, 1006, 1015 and 1016 only say how a mouse is reported.
  for (const int one : {9, 1000, 1001, 1002, 1003, 1004, 2031, 2048}) {
    if (mode == one) return true;
  }
  return false;
}

void Modes::Look::add(const Look& other) {
  colours = colours || other.colours;
  charset = charset || other.charset;
  shifted = shifted || other.shifted;
}

std::string Modes::Keyboard::reset() const {
  std::string out;
  if (pushes > 0) out += "\x1b[<" + std::to_string(pushes) + "u";
  if (set) out += "\x1b[=0u";
  return out;
}

bool Modes::alternate() const {
  return std::any_of(private_.begin(), private_.end(), [](const auto& mode) { return is_screen(mode.first); });
}

// DECSTR puts back what a VT220 had, not the mouse, the screen or the keyboard's protocol. Wrapping becomes on in some
// terminals and off in others.
void Modes::soft_reset() {
  for (const int mode : {1, 6, 25, 66}) private_.erase(mode);
  insert_ = keypad_ = margins_ = false;
  look_ = saved_ = Look();
}

void Modes::private_mode(int mode, char final) {
  if (mode == 1048 || mode == 1049) {
    if (final == 'h') save();
    if (final == 'l') restore();
  }
  if (mode == 1048) return;
  // Restored (XTRESTORE): to what, the terminal alone knows.
  if (final == 'r') {
    private_[mode] = !on_by_default(mode);
  } else if (final == 'h' || final == 'l') {
    if ((final == 'h') == on_by_default(mode)) {
      private_.erase(mode);
    } else {
      private_[mode] = final == 'h';
    }
  }
}

void Modes::csi(char prefix, const std::vector<int>& parameters, char between, char final) {
  const int first = parameters.empty() ? 0 : parameters.front();
  if (between == '!' && final == 'p') return soft_reset();
  if (between == ' ' && final == 'q') {
    cursor_style_ = first != 0;
    return;
  }
  if (between != 0) return;
  Keyboard& keyboard = alternate() ? other_ : main_;
  if (prefix == '?') {
    for (const int mode : parameters) private_mode(mode, final);
  } else if (final == 'u' && prefix == '>') {
    keyboard.pushes = std::min(keyboard.pushes + 1, 99);
  } else if (final == 'u' && prefix == '<') {
    keyboard.pushes = std::max(keyboard.pushes - std::max(first, 1), 0);
  } else if (final == 'u' && prefix == '=') {
    keyboard.set = first != 0;
  } else if (final == 'm' && prefix == '>') {
    if (parameters.size() > 1 && parameters[1] != 0) {
      key_options_[first] = parameters[1];
    } else {
      key_options_.erase(first);
    }
  } else if (prefix == 0) {
    if (final == 'h' || final == 'l') insert_ = final == 'h';
    if (final == 'r') margins_ = parameters.size() > 1 || first != 0;
    if (final == 'm') look_.colours = leaves_colours(parameters, look_.colours);
    if (final == 's') save();
    if (final == 'u') restore();
  }
}

void Modes::escape(std::string_view sequence) {
  if (sequence.size() == 2) {
    switch (sequence[1]) {
      case 'c':
        *this = Modes();
        break;
      case '=':
      case '>':
        keypad_ = sequence[1] == '=';
        break;
      case '7':
        save();
        break;
      case '8':
        restore();
        break;
      case 'n':
      case 'o':
        look_.shifted = true;  // LS2, LS3
        break;
      default:
        break;
    }
  } else if (sequence.size() == 3 && sequence[1] == '(') {
    look_.charset = sequence[2] != 'B';
  }
}

std::string Modes::typing(bool on) const {
  std::string out;
  for (const auto& [mode, is_on] : private_) {
    if (is_on && types(mode)) out += set_mode(mode, on);
  }
  return out;
}

std::string Modes::set_aside() const {
  std::string out;
  for (const auto& [mode, on] : private_) {
    if (!is_screen(mode)) out += set_mode(mode, !on);
  }
  for (const auto& [option, value] : key_options_) out += "\x1b[>" + std::to_string(option) + "m";
  if (insert_) out += "\x1b[4l";
  out += alternate() ? "\x1b"
                       "7"
                     : "\x1b[?1049h";
  if (speaks_kitty()) out += "\x1b[>0u";
  // Also of a link that was left open: the question would be its text.
  return out + "\x1b(B\x0f\x1b[0m\x1b]8;;\x1b\\\x1b[2J\x1b[H";
}

std::string Modes::take_up() const {
  std::string out = "\x1b[0m\x1b[2J";
  if (speaks_kitty()) out += "\x1b[<u";
  out += alternate() ? "\x1b"
                       "8"
                     : "\x1b[?1049l";
  if (insert_) out += "\x1b[4h";
  for (const auto& [option, value] : key_options_) {
    out += "\x1b[>" + std::to_string(option) + ";" + std::to_string(value) + "m";
  }
  for (const auto& [mode, on] : private_) {
    if (!is_screen(mode)) out += set_mode(mode, on);
  }
  return out;
}

std::string Modes::reset() const {
  std::string out;
  for (const auto& [mode, on] : private_) {
    // The alternate screen last: the rest may be a property of it.
    if (!is_screen(mode)) out += set_mode(mode, !on);
  }
  if (alternate()) out += other_.reset();
  for (const auto& [option, value] : key_options_) out += "\x1b[>" + std::to_string(option) + "m";
  if (insert_) out += "\x1b[4l";
  if (keypad_) out += "\x1b>";
  if (margins_) out += std::string("\x1b") + "7\x1b[r\x1b" + "8";  // setting margins moves the cursor
  if (cursor_style_) out += "\x1b[0 q";
  for (const auto& [mode, on] : private_) {
    if (is_screen(mode)) out += set_mode(mode, false);
  }
  out += main_.reset();
  Look look = look_;
  if (private_.contains(1049)) look.add(saved_);  // leaving it restored the cursor
  if (look.charset) out += "\x1b(B";
  if (look.shifted) out += "\x0f";
  if (look.colours) out += "\x1b[0m";
  return out;
}

}  // namespace bulkhead::session

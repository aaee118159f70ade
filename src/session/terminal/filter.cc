#include "session/terminal/filter.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <system_error>
#include <vector>

#include "base/text.h"

namespace bulkhead::session {
namespace {

constexpr unsigned char esc = 0x1b, bel = 0x07, can = 0x18, sub = 0x1a;

// Bytes that go through untouched, in runs.
constexpr auto plain = [] {
  std::array<bool, 256> table{};
  for (unsigned c = 0x20; c < 0x7f; ++c) table[c] = true;
  for (const unsigned char c : {'\a', '\b', '\t', '\n', '\v', '\f', '\r'}) table[c] = true;
  return table;
}();

// A CSI sequence taken apart (ECMA-48 5.4).
struct Csi {
  char prefix = 0;              // < = > ? or 0
  std::string_view parameters;  // digits, ; and :
  std::string_view between;     // intermediate bytes
  char final = 0;
};

Csi take_apart(std::string_view sequence) {
  Csi out;
  out.final = sequence.back();
  std::string_view body = sequence.substr(2, sequence.size() - 3);
  if (!body.empty() && body.front() >= '<' && body.front() <= '?') {
    out.prefix = body.front();
    body.remove_prefix(1);
  }
  const std::size_t end = std::min(body.find_first_not_of("0123456789;:"), body.size());
  out.parameters = body.substr(0, end);
  out.between = body.substr(end);
  return out;
}

std::vector<int> numbers(std::string_view parameters) {
  std::vector<int> out;
  for (const std::string& part : split(parameters, ';')) {
    int value = 0;
    const auto end = std::from_chars(part.data(), part.data() + part.size(), value);
    // Not 0, which would be another command.
    out.push_back(end.ec == std::errc::result_out_of_range ? std::numeric_limits<int>::max() : value);
  }
  return out;
}

template <std::size_t N>
bool one_of(int value, const int (&list)[N]) {
  return std::find(std::begin(list), std::end(list), value) != std::end(list);
}

// Private modes that only change how the screen looks or what keys and mouse send to the program
// inside.
constexpr int private_modes[] = {1,    5,    6,    7,    9,    12,   25,   45,   47,   66,   69,   1000,
                                 1001, 1002, 1003, 1004, 1005, 1006, 1007, 1015, 1016, 1034, 1035, 1036,
                                 1039, 1045, 1047, 1048, 1049, 2004, 2026, 2027, 2031, 2048};
// Window reports that say a size, and the title stack. 20 and 21 would type the title, the rest
// moves windows.
constexpr int window_queries[] = {14, 16, 18, 19};

bool all_digits(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

bool is_link(std::string_view text) {  // "params;URI"
  const std::size_t semicolon = text.find(';');
  if (semicolon == std::string_view::npos) return false;
  const std::string_view uri = text.substr(semicolon + 1);
  return uri.empty() || uri.starts_with("https://") || uri.starts_with("http://");
}

// No controls of any width: an OSC's text is shown by the terminal's own windows.
bool is_text(std::string_view text) {
  if (!valid_utf8(text)) return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (c < 0x20 || c == 0x7f) return false;
    if (c == 0xc2 && i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) < 0xa0) return false;
  }
  return true;
}

}  // namespace

void OutputFilter::feed(std::string_view in, std::string& out) {
  while (!in.empty()) {
    if (state_ == State::text && need_ == 0) {
      const auto end = std::find_if(in.begin(), in.end(), [](char c) { return !plain[static_cast<unsigned char>(c)]; });
      const auto run = static_cast<std::size_t>(end - in.begin());
      out.append(in.substr(0, run));
      in.remove_prefix(run);
      if (in.empty()) return;
    }
    byte(static_cast<unsigned char>(in.front()), out);
    in.remove_prefix(1);
  }
}

// Controls that mean the same in every state. True: it was one.
bool OutputFilter::control(unsigned char c, std::string&) {
  if (c == can || c == sub) {
    state_ = State::text;
    return true;
  }
  if (c != esc) return false;
  state_ = State::escape;
  sequence_.assign(1, static_cast<char>(esc));
  too_long_ = false;
  return true;
}

void OutputFilter::byte(unsigned char c, std::string& out) {
  switch (state_) {
    case State::text:
      if (need_ > 0 && (c & 0xc0) != 0x80) broken(out);
      if (need_ == 0 && control(c, out)) return;
      return text(c, out);
    case State::escape:
    case State::escape_more:
      if (control(c, out)) return;
      return escape(c, out);
    case State::csi:
      if (control(c, out)) return;
      if (c < 0x20 || c > 0x7e) {
        // A terminal would carry the control out in the middle of the sequence; here the sequence
        // is none.
        state_ = State::text;
        return byte(c, out);
      }
      if (sequence_.size() < max_csi) {
        sequence_ += static_cast<char>(c);
      } else {
        too_long_ = true;
      }
      if (c >= 0x40) finish_csi(out);
      return;
    case State::osc:
      if (c == bel) return finish_osc("\a", out);
      if (c == esc) {
        state_ = State::osc_escape;
        return;
      }
      if (c == can || c == sub) {
        state_ = State::text;
        return;
      }
      if (sequence_.size() < max_osc) {
        sequence_ += static_cast<char>(c);
      } else {
        too_long_ = true;
      }
      return;
    case State::osc_escape:
      if (c == '\\') return finish_osc("\x1b\\", out);
      state_ = State::escape;  // cut short by another sequence
      sequence_.assign(1, static_cast<char>(esc));
      too_long_ = false;
      return byte(c, out);
    case State::string:
      if (c == esc) state_ = State::string_escape;
      if (c == can || c == sub) state_ = State::text;
      return;
    case State::string_escape:
      if (c == '\\') {
        state_ = State::text;
        return;
      }
      state_ = State::escape;
      sequence_.assign(1, static_cast<char>(esc));
      too_long_ = false;
      return byte(c, out);
  }
}

// An unfinished or impossible character. Lone bytes above 0x7f are controls to a terminal in an
// 8-bit mode.
void OutputFilter::broken(std::string& out) {
  have_ = need_ = 0;
  out += "\xef\xbf\xbd";
}

void OutputFilter::text(unsigned char c, std::string& out) {
  if (need_ == 0) {
    if (plain[c] || c == 0x0e || c == 0x0f) {  // SO and SI: line drawing in old programs
      if (c == 0x0e || c == 0x0f) modes_.shifted(c == 0x0e);
      out += static_cast<char>(c);
    } else if (c >= 0xc2 && c <= 0xf4) {
      character_[0] = static_cast<char>(c);
      have_ = 1;
      need_ = c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
    } else if (c >= 0x80) {
      broken(out);
    }
    return;  // other controls: nothing anybody needs, and ENQ makes terminals type
  }
  character_[have_++] = static_cast<char>(c);
  if (have_ < need_) return;
  const std::string_view whole(character_.data(), need_);
  const bool c1 = character_[0] == '\xc2' && static_cast<unsigned char>(character_[1]) < 0xa0;
  if (!valid_utf8(whole)) return broken(out);
  have_ = need_ = 0;
  if (!c1) out += whole;
}

void OutputFilter::escape(unsigned char c, std::string& out) {
  if (c < 0x20 || c > 0x7e) {
    state_ = State::text;
    return byte(c, out);
  }
  sequence_ += static_cast<char>(c);
  if (state_ == State::escape) {
    switch (c) {
      case '[':
        state_ = State::csi;
        return;
      case ']':
        state_ = State::osc;
        return;
      case 'P':
      case 'X':
      case '^':
      case '_':
        state_ = State::string;
        return;
      default:
        break;
    }
  }
  if (c < 0x30) {  // intermediate
    state_ = State::escape_more;
    if (sequence_.size() > 3) too_long_ = true;
    return;
  }
  state_ = State::text;
  if (too_long_) return;
  bool passes = false;
  if (sequence_.size() == 2) {
    passes = std::string_view("78=>DEMHcNOno|}~").find(static_cast<char>(c)) != std::string_view::npos;
  } else if (sequence_.size() == 3) {
    // Character sets, and DECALN. Not `%` and ` `: they would change what later bytes mean to the
    // terminal.
    passes = std::string_view("()*+#").find(sequence_[1]) != std::string_view::npos;
  }
  if (!passes) return;
  modes_.escape(sequence_);
  out += sequence_;
}

bool OutputFilter::ask() {
  if (may_ask_) asked_ = true;
  return may_ask_;
}

bool OutputFilter::csi_passes() {
  const Csi csi = take_apart(sequence_);
  if (csi.between.size() > 1) return false;
  const char between = csi.between.empty() ? '\0' : csi.between.front();
  if (between != 0 && (between < 0x20 || between > 0x2f)) return false;
  const std::vector<int> n = numbers(csi.parameters);
  if (between == ' ') return csi.prefix == 0 && csi.final == 'q';                                  // cursor style
  if (between == '!') return csi.prefix == 0 && csi.final == 'p';                                  // soft reset
  if (between == '$') return (csi.prefix == '?' || csi.prefix == 0) && csi.final == 'p' && ask();  // which mode
  if (between != 0) return false;
  switch (csi.prefix) {
    case 0:
      switch (csi.final) {
        case 'c':
          return ask();
        case 'n':
          if ((n[0] != 5 && n[0] != 6) || !ask()) return false;
          if (n[0] == 5) ++status_questions_;
          return true;
        case 't':
          return one_of(n[0], window_queries) ? ask() : n[0] == 22 || n[0] == 23;
        case 'h':
        case 'l':
          return std::all_of(n.begin(), n.end(), [](int mode) { return mode == 4; });
        default:
          return std::string_view("@ABCDEFGHIJKLMPSTXZ`abdefgmrsu").find(csi.final) != std::string_view::npos;
      }
    case '?':
      switch (csi.final) {
        case 'h':
        case 'l':
        case 's':
        case 'r':
          if (!std::all_of(n.begin(), n.end(), [](int mode) { return one_of(mode, private_modes); })) return false;
          // Switched on, or restored to a state nobody here knows.
          return csi.final == 'l' || csi.final == 's' || std::none_of(n.begin(), n.end(), Modes::types) || ask();
        case 'n':
          return (n[0] == 6 || n[0] == 996) && ask();
        case 'u':
          return ask();
        case 'J':
        case 'K':
          return true;
        default:
          return false;
      }
    case '>':
      if (csi.final == 'c' || csi.final == 'q') return ask();
      return csi.final == 'u' || csi.final == 'm';
    case '<':
      return csi.final == 'u';
    case '=':
      if (csi.final == 'c') return ask();
      return csi.final == 'u';
    default:
      return false;
  }
}

void OutputFilter::finish_csi(std::string& out) {
  state_ = State::text;
  if (too_long_ || !csi_passes()) return;
  const Csi csi = take_apart(sequence_);
  modes_.csi(csi.prefix, numbers(csi.parameters), csi.between.empty() ? '\0' : csi.between.front(), csi.final);
  out += sequence_;
}

bool OutputFilter::osc_passes() {
  const std::string_view body = std::string_view(sequence_).substr(2);
  const std::size_t semicolon = std::min(body.find(';'), body.size());
  const std::string_view number = body.substr(0, semicolon);
  const std::string_view rest = semicolon < body.size() ? body.substr(semicolon + 1) : std::string_view();
  if (!all_digits(number) || number.size() > 4 || !is_text(body)) return false;
  int code = 0;
  std::from_chars(number.data(), number.data() + number.size(), code);
  switch (code) {
    case 0:
    case 1:
    case 2:
      return rest.size() <= 512;  // titles
    case 8:
      return is_link(rest);
    case 4:
      return rest.ends_with(";?") && all_digits(rest.substr(0, rest.size() - 2)) && ask();
    case 10:
    case 11:
    case 12:
      return rest == "?" && ask();
    case 9:  // progress; other subcommands run programs in some terminals
      return rest.starts_with("4;") && rest.find_first_not_of("0123456789;") == std::string_view::npos;
    case 104:
    case 110:
    case 111:
    case 112:
      return rest.find_first_not_of("0123456789;") == std::string_view::npos;
    case 133:
      return true;  // where a prompt begins and ends
    default:
      return false;
  }
}

void OutputFilter::finish_osc(std::string_view end, std::string& out) {
  state_ = State::text;
  if (too_long_ || !osc_passes()) return;
  out += sequence_;
  out += end;
}

}  // namespace bulkhead::session

#include "gateway/grant/git_push.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/text.h"
#include "policy/git_ref.h"
#include "policy/json_path.h"

namespace bulkhead::grant {
namespace {

using namespace std::string_view_literals;

constexpr std::size_t sha1 = 40, sha256 = 64;

// gitprotocol-capabilities(5), those a push may name.
constexpr std::array plain_capabilities{"report-status"sv, "report-status-v2"sv, "delete-refs"sv,
                                        "ofs-delta"sv,     "atomic"sv,           "quiet"sv,
                                        "push-options"sv,  "side-band-64k"sv,    "no-thin"sv};
constexpr std::array valued_capabilities{"agent="sv, "session-id="sv};

std::string quoted(std::string_view text) {
  return "\"" + escape_for_terminal(text, 100) + "\"";
}

bool is_zero(std::string_view id) {
  return id.find_first_not_of('0') == std::string_view::npos;
}

}  // namespace

PushJudge::State PushJudge::refuse(std::string why) {
  if (state_ != State::refused) why_ = std::move(why);
  held_.clear();
  return state_ = State::refused;
}

PushJudge::State PushJudge::feed(std::string_view bytes) {
  if (state_ != State::judging || bytes.empty()) return state_;
  if (read_ + held_.size() + bytes.size() > max_push_commands) {
    // One piece may hold the end of the list and much of the pack: only so much of it is looked at.
    bytes = bytes.substr(0, max_push_commands - std::min(max_push_commands, read_ + held_.size()));
    held_ += bytes;
    if (advance() != State::judging) return state_;
    return refuse("the list of refs is longer than " + std::to_string(max_push_commands) + " bytes");
  }
  held_ += bytes;
  return advance();
}

PushJudge::State PushJudge::advance() {
  std::string_view rest = held_;
  while (state_ == State::judging) {
    if (part_ == Part::nothing) {
      if (!rest.empty()) return refuse("something follows a push that has no pack");
      break;
    }
    if (part_ == Part::pack) {
      // gitformat-pack(5): version 2 or 3; the number of objects after it is the server's business.
      constexpr auto two = "PACK\0\0\0\2"sv;
      constexpr auto three = "PACK\0\0\0\3"sv;
      const std::string_view begin = rest.substr(0, two.size());
      if (!two.starts_with(begin) && !three.starts_with(begin))
        return refuse("what follows the list of refs is no pack");
      if (begin.size() < two.size()) break;
      held_.clear();
      return state_ = State::pack;
    }
    PktLine line;
    std::size_t taken = 0;
    const PktState read = read_pkt_line(rest, line, taken);
    if (read == PktState::more) break;
    if (read == PktState::bad) return refuse("the list of refs is not in pkt-lines as git writes them");
    if (!take(line)) return state_;
    rest.remove_prefix(taken);
    read_ += taken;
  }
  held_.erase(0, held_.size() - rest.size());
  return state_;
}

PushJudge::State PushJudge::finish() {
  if (state_ != State::judging) return state_;
  if (part_ != Part::nothing || !held_.empty()) return refuse("the push ends before it says what it is");
  return state_ = State::pack;
}

bool PushJudge::take(const PktLine& line) {
  if (part_ == Part::options) {
    if (!line.flush) return take_option(line.data);
    part_ = writes_ ? Part::pack : Part::nothing;
    return true;
  }
  if (line.flush) return end_of_commands();
  if (part_ == Part::shallow && line.data.starts_with("shallow ")) return take_shallow(line.data);
  return take_command(line.data);
}

bool PushJudge::end_of_commands() {
  if (has_options_) {
    part_ = Part::options;
  } else {
    // A flush alone is how git asks, before a large push, whether it may.
    part_ = writes_ ? Part::pack : Part::nothing;
  }
  return true;
}

// The lengths are those of one kind of name throughout.
bool PushJudge::is_id(std::string_view text) {
  const bool hex = text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
  if (!hex || (text.size() != sha1 && text.size() != sha256)) return false;
  if (id_size_ == 0) id_size_ = text.size();
  return text.size() == id_size_;
}

bool PushJudge::take_shallow(std::string_view line) {
  if (line.ends_with('\n')) line.remove_suffix(1);
  has_shallow_ = true;
  if (is_id(line.substr("shallow "sv.size()))) return true;
  refuse("a `shallow` line without an object's name");
  return false;
}

bool PushJudge::take_command(std::string_view line) {
  const auto bad = [&](std::string why) {
    refuse(std::move(why));
    return false;
  };
  if (line.ends_with('\n')) line.remove_suffix(1);
  const std::size_t nul = line.find('\0');
  if (part_ == Part::shallow) {
    if (line.starts_with("push-cert"))
      return bad("a signed push says what it does in a certificate, which is not judged");
    if (nul == std::string_view::npos) return bad("the first command of a push without capabilities");
    part_ = Part::commands;
    if (!take_capabilities(line.substr(nul + 1))) return false;
    line = line.substr(0, nul);
  } else if (nul != std::string_view::npos) {
    return bad("a NUL in a command of a push");
  }
  const std::size_t first = line.find(' ');
  const std::size_t second = first == std::string_view::npos ? first : line.find(' ', first + 1);
  if (second == std::string_view::npos) return bad("a command of a push is OLD NEW REF, not " + quoted(line));
  const std::string_view before = line.substr(0, first), after = line.substr(first + 1, second - first - 1);
  const std::string_view ref = line.substr(second + 1);
  if (!is_id(before) || !is_id(after)) return bad("a command of a push is OLD NEW REF, not " + quoted(line));
  if (auto named = check_ref(ref); !named) return bad("in the push, " + named.error().message);
  if (refs_.contains(ref)) return bad("the ref " + quoted(ref) + " stands in the push twice");
  if (refs_.size() == max_push_refs) return bad("more than " + std::to_string(max_push_refs) + " refs in one push");
  refs_.emplace(ref);
  const bool granted = std::any_of(rules_.refs.begin(), rules_.refs.end(),
                                   [&](const std::string& pattern) { return ref_matches(pattern, ref); });
  if (!granted)
    return bad("pushing to " + quoted(ref) +
               " is not granted; granted: " + escape_for_terminal(join(rules_.refs, ", "), 300));
  if (is_zero(after)) {
    if (is_zero(before)) return bad("a command of a push that changes nothing");
    if (!rules_.remove) return bad("deleting " + quoted(ref) + " is not granted (delete = false)");
  } else {
    writes_ = true;
  }
  return true;
}

bool PushJudge::take_capabilities(std::string_view list) {
  std::size_t size = 0;
  for (const std::string& word : split(list, ' ')) {
    if (word.empty()) continue;
    if (word == "push-options") has_options_ = true;
    const bool plain =
        std::find(plain_capabilities.begin(), plain_capabilities.end(), word) != plain_capabilities.end();
    const bool valued =
        std::any_of(valued_capabilities.begin(), valued_capabilities.end(), [&](std::string_view start) {
          return word.starts_with(start) &&
                 std::all_of(word.begin(), word.end(), [](char c) { return c > 0x20 && c < 0x7f; });
        });
    const bool format = word == "object-format=sha1" || word == "object-format=sha256";
    if (format && std::exchange(size, word == "object-format=sha1" ? sha1 : sha256) != 0) {
      refuse("the push says twice how it names objects");
      return false;
    }
    if (!plain && !valued && !format) {
      refuse("the push has a capability that is not known here: " + quoted(std::string_view(word)));
      return false;
    }
  }
  if (size == 0) size = sha1;
  if (std::exchange(id_size_, size) == size || !has_shallow_) return true;
  refuse("objects' names of another kind than the push says");
  return false;
}

bool PushJudge::take_option(std::string_view option) {
  if (option.ends_with('\n')) option.remove_suffix(1);
  const bool granted = std::any_of(rules_.push_options.begin(), rules_.push_options.end(),
                                   [&](const std::string& pattern) { return json_value_matches(pattern, option); });
  // A server may read a line break or a NUL as the end of one option and the beginning of another.
  const bool plain = valid_utf8(option) && option.find_first_of("\n\r\0"sv) == std::string_view::npos;
  if (granted && plain) return true;
  refuse("the push option " + quoted(option) + " is not granted (push_options)");
  return false;
}

}  // namespace bulkhead::grant

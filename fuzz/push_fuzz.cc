// The body of a push against rules, in pieces: the same verdict however it is cut, and what is allowed really changes
// granted refs only. Judged a second time by other means: a plain reader of what would reach the server.
// Input: a byte that says how long the pieces are, then the body.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/text.h"
#include "expect.h"
#include "gateway/grant/git_push.h"

namespace {
using bulkhead::grant::PushJudge;

const bulkhead::GitRules rules{
    .refs = {"refs/heads/agent/*", "refs/tags/v1"}, .remove = true, .push_options = {"ci.*"}};

PushJudge judged(std::string_view body, std::size_t piece) {
  PushJudge judge(rules);
  for (; !body.empty(); body.remove_prefix(std::min(piece, body.size()))) judge.feed(body.substr(0, piece));
  judge.finish();
  return judge;
}

// As git's parse_feature_request() looks for one: between blanks, so not within another's value.
bool has_word(std::string_view list, std::string_view word) {
  constexpr std::string_view blanks = " \t\n\v\f\r";
  for (std::size_t at = list.find(word); at != std::string_view::npos; at = list.find(word, at + 1)) {
    const std::size_t end = at + word.size();
    if ((at == 0 || blanks.find(list[at - 1]) != blanks.npos) &&
        (end == list.size() || blanks.find(list[end]) != blanks.npos))
      return true;
  }
  return false;
}

// What a lenient server makes of it: lengths by strtoul(3), the first blank-separated words, the name up to a NUL or
// LF.
void read_as_server(std::string_view body) {
  bool options = false, writes = false, first = true;
  std::size_t flushes = 0;
  while (flushes < (options ? 2U : 1U)) {
    expect(body.size() >= 4);
    const std::size_t length = std::strtoul(std::string(body.substr(0, 4)).c_str(), nullptr, 16);
    if (length == 0) {
      ++flushes;
      body.remove_prefix(4);
      continue;
    }
    expect(length > 4 && length <= body.size());
    const std::string_view line = body.substr(4, length - 4);
    body.remove_prefix(length);
    if (flushes == 1) {
      expect(line.starts_with("ci."));
      continue;
    }
    if (line.starts_with("shallow ") && first) continue;
    const std::size_t nul = line.find('\0');
    if (first) expect(nul != std::string_view::npos);
    if (first) options = has_word(line.substr(nul + 1), "push-options");
    first = false;
    const std::string command(line.substr(0, line.find_first_of(std::string_view("\0\n", 2))));
    const std::size_t a = command.find(' '), b = command.find(' ', a + 1);
    expect(a != std::string::npos && b != std::string::npos);
    const std::string ref = command.substr(b + 1);
    expect(ref == "refs/tags/v1" || (ref.starts_with("refs/heads/agent/") && ref.find("..") == std::string::npos));
    const std::string after = command.substr(a + 1, b - a - 1);
    writes = writes || after.find_first_not_of('0') != std::string::npos;
  }
  expect(writes ? body.starts_with("PACK") : body.empty());
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::size_t piece = data[0] == 0 ? size : data[0];
  const std::string_view body(reinterpret_cast<const char*>(data) + 1, size - 1);
  const PushJudge whole = judged(body, size), cut = judged(body, piece);
  expect(whole.state() == cut.state() && whole.why() == cut.why() && whole.state() != PushJudge::State::judging);
  if (whole.state() == PushJudge::State::refused) {
    const std::string& why = whole.why();
    expect(!why.empty() && why.size() < 1000 && bulkhead::escape_for_terminal(why, why.size() + 1) == why);
    return 0;
  }
  read_as_server(body);
  return 0;
}

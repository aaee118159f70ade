// What src/trust/ reads from strangers: names (folding, patterns), files (what they would do), and lists of control
// files. The first byte says which.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/text.h"
#include "expect.h"
#include "trust/catalogue.h"
#include "trust/judge.h"
#include "trust/look.h"
#include "trust/pattern.h"
#include "trust/spelling.h"

namespace {

using namespace bulkhead;
using namespace bulkhead::trust;

// As the definition says it, without thinking of time.
bool naive(std::string_view pattern, std::string_view text) {
  if (pattern.empty()) return text.empty();
  if (pattern[0] == '*') return naive(pattern.substr(1), text) || (!text.empty() && naive(pattern, text.substr(1)));
  return !text.empty() && pattern[0] == text[0] && naive(pattern.substr(1), text.substr(1));
}

// Folding is done once for all: again it changes nothing, and ASCII's case never mattered.
void names(std::string_view name) {
  const std::string once = folded(name);
  expect(folded(once) == once);
  expect(once.empty() == name.empty());
  std::string upper(name);
  for (char& c : upper) c = is_lower(c) ? static_cast<char>(c - 'a' + 'A') : c;
  if (valid_utf8(name)) expect(folded(upper) == once);
  (void)is_short_name_of(once, ".gitmodules");
}

void patterns(std::string_view text) {
  const auto line = text.find('\n');
  if (line == std::string_view::npos) return;
  const std::string_view left = text.substr(0, line), right = text.substr(line + 1);
  if (left.size() < 12 && right.size() < 16) expect(wildcard_matches(left, right) == naive(left, right));
  const auto pattern = Pattern::parse(left);
  if (!pattern) {
    expect(escape_for_terminal(pattern.error().message) == pattern.error().message);
    return;
  }
  Matcher matcher;
  matcher.add(*pattern, 3);
  // At any depth: what holds here holds below, too.
  const bool holds = !matcher.match_path(right).empty();
  expect(!holds || !matcher.match_path("x/" + std::string(right)).empty());
}

// Git's own parser is left out: a process for each input would be slow, and it is not ours.
const Catalogue& catalogue() {
  static const Catalogue made = [] {
    Catalogue out;
    expect(out.add(R"(version = 1
[[control]]
id = "j"
match = ["j"]
class = "runs"
who = "w"
trigger = "t"
format = "json"
harmless = ["a.*"]
shows = [{ at = "h/*/*/c", as = "{} {1} {2} {d/e}" }, { at = "s/*", needs = "c=*", as = "{c} {args}" }, { at = "*", as = "{}" }]
[[control]]
id = "t"
match = ["t"]
class = "runs"
who = "w"
trigger = "t"
format = "toml"
shows = [{ at = "h/*/*/c", as = "{} {1} {2} {d/e}" }, { at = "s/*", needs = "c=*", as = "{c} {args}" }]
[[control]]
id = "x"
match = ["x"]
class = "instructs"
who = "w"
trigger = "t"
[[control]]
id = "s"
match = ["s"]
class = "runs"
who = "w"
trigger = "t"
secret = true
contains = ["_url", "token"]
)",
                   "f", true)
               .has_value());
    return out;
  }();
  return made;
}

void contents(std::string_view bytes) {
  Content content;
  content.bytes = bytes;
  for (const Rule& rule : catalogue().rules()) {
    const Judgement judgement = judge(rule, content);
    expect(judgement.does.size() < 50);
    for (const std::string& line : judgement.does) expect(line.size() < 700);
    if (judgement.counts) expect(!judgement.does.empty());
    // As its reader says it (look.h).
    const auto said = judgement_from(look_answer(judgement));
    expect(said && said->counts == judgement.counts && said->does.size() == judgement.does.size());
  }
  // And whatever one says that was taken over.
  if (const auto said = judgement_from(bytes)) {
    expect(said->does.size() <= 64 && (!said->counts || !said->does.empty()));
  }
}

void lists(std::string_view text) {
  Catalogue out;
  const auto added = out.add(text, "f", false);
  if (added) return;
  const std::string& message = added.error().message;
  expect(!message.empty() && escape_for_terminal(message, message.size() + 1) == message);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view rest(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 4) {
    case 0:
      names(rest);
      break;
    case 1:
      patterns(rest);
      break;
    case 2:
      contents(rest);
      break;
    default:
      lists(rest);
      break;
  }
  return 0;
}

// The words of a question. What came from inside is ASCII by now (gateway/question.h), is escaped all the same, and
// stands on lines of its own that nothing of ours follows.
#include <algorithm>
#include <cstdint>

#include "base/text.h"
#include "session/asking.h"

namespace bulkhead::session {
namespace {

constexpr std::size_t least_columns = 60, most_url_lines = 3;

// Columns: nothing here is wider than a byte.
std::string cut(std::string text, std::size_t columns) {
  for (char& c : text) {
    if (c < 0x20 || c >= 0x7f) c = '?';
  }
  if (text.size() > columns) text = text.substr(0, columns - 3) + "...";
  return text;
}

std::string bytes_text(std::uint64_t bytes) {
  return std::to_string(bytes) + (bytes == 1 ? " byte" : " bytes");
}

std::string body_text(const Question& question) {
  std::string out = question.body == lane::BodyKind::none     ? "no body"
                    : question.body == lane::BodyKind::length ? "a body of " + bytes_text(question.body_length)
                                                              : "a body of unknown length";
  if (!question.content_type.empty()) out += ", " + question.content_type;
  if (!question.headers.empty()) out += "; headers " + join(question.headers, ", ");
  return out;
}

}  // namespace

std::vector<std::string> question_lines(const Question& question, const advice::Offer& offer, const AskShown& shown,
                                        const shim::WindowSize& window) {
  if (window.columns < least_columns) return {};
  const std::size_t columns = window.columns - 1U;  // the last one makes some terminals wrap
  std::vector<std::string> lines{"\x1b[1mBulkhead asks: may the session do this?\x1b[0m", ""};
  const auto add = [&](const std::string& start, const std::string& text) {
    lines.push_back(start + cut(escape_for_terminal(text, 4096), columns - start.size()));
  };
  const std::string url = escape_for_terminal(question.method + " " + question.scheme + "://" + question.host + ":" +
                                                  std::to_string(question.port) + question.target,
                                              4096);
  const std::size_t width = columns - 2;
  for (std::size_t at = 0; at < url.size(); at += width) {
    if (at >= width * most_url_lines) {
      add("  ", "(cut; " + bytes_text(url.size()) + " in all)");
      break;
    }
    lines.push_back("  " + cut(url.substr(at, width), width));
  }
  add("  with ", body_text(question));
  // Said before what it is asked for: this is the one line that makes it another question.
  if (!offer.credential.empty()) {
    add("  with your key: ", "credential \"" + offer.credential + "\", put in where the session's token stands");
  }
  if (!shown.command.empty()) add("  session: ", shown.command);
  lines.emplace_back();
  lines.emplace_back("  o  once: this request alone (or y)");
  if (offer.preset.empty()) {
    lines.emplace_back("  s  until this session ends:");
  } else {
    std::vector<std::string> hosts;
    for (const Grant& grant : offer.grants) hosts.insert(hosts.end(), grant.hosts.begin(), grant.hosts.end());
    add("  s  until this session ends, a preset, which allows more at ", join(hosts, ", "));
  }
  for (const std::string& line : split(offer.toml, '\n')) {
    if (!line.empty()) add("       ", line);
  }
  if (const std::string why = why_not_always(shown, offer); !why.empty()) {
    add("     not for always: ", why);
  } else {
    add("  a  always: the same, and written to ", shown.file);
  }
  lines.push_back("  n  no (or Enter; or nothing for " + std::to_string(shown.left.count()) + " seconds)");
  lines.emplace_back("     What was typed before this is no answer.");
  if (lines.size() > window.rows) return {};
  return lines;
}

}  // namespace bulkhead::session

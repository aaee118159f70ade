#include "policy/json_path.h"

#include <algorithm>
#include <span>

#include "base/text.h"
#include "policy/names.h"

namespace bulkhead {
namespace {

bool is_key_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         std::string_view("_-$@/").find(c) != std::string_view::npos;
}

using Steps = std::span<const std::string>;

bool match(Steps pattern, Steps steps) {
  for (;;) {
    if (pattern.empty()) return steps.empty();
    if (pattern.front() == "**") {
      pattern = pattern.subspan(1);
      if (pattern.empty()) return true;
      for (std::size_t skip = 0; skip <= steps.size(); ++skip) {
        if (match(pattern, steps.subspan(skip))) return true;
      }
      return false;
    }
    if (steps.empty() || (pattern.front() != "*" && pattern.front() != steps.front())) return false;
    pattern = pattern.subspan(1);
    steps = steps.subspan(1);
  }
}

}  // namespace

Result<JsonPath> JsonPath::parse(std::string_view text) {
  BH_TRY(JsonPath path, parse_object(text));
  if (path.written_.back() == "**") return fail(in_quotes(text) + ": a place ends with a key or `*`");
  return path;
}

Result<JsonPath> JsonPath::parse_object(std::string_view text) {
  JsonPath path;
  std::size_t deep = 0;
  for (const std::string& step : split(text, '.')) {
    const bool plain = !step.empty() && std::all_of(step.begin(), step.end(), is_key_char);
    if (!plain && step != "*" && step != "**") {
      return fail(in_quotes(text) + ": a place in a JSON document is keys, `*` and `**` with dots between them, like " +
                  "\"tools.*.type\"");
    }
    if (step == "**" && ++deep > 1) return fail(in_quotes(text) + ": `**` stands in a place once at most");
    path.folded_.push_back(fold_json(step));
    path.written_.push_back(step);
  }
  if (path.written_.size() > max_json_steps) {
    return fail(in_quotes(text) + ": a place has at most " + std::to_string(max_json_steps) + " steps");
  }
  return path;
}

namespace {

bool match_folded(const std::vector<std::string>& folded, Steps steps) {
  // Nearly every place of a document fails here.
  const std::string& last = folded.back();
  if (last != "*" && last != "**" && (steps.empty() || last != steps.back())) return false;
  return match(folded, steps);
}

}  // namespace

bool JsonPath::matches(const std::vector<std::string>& steps) const {
  return match_folded(folded_, steps);
}

bool JsonPath::holds(const std::vector<std::string>& steps) const {
  return !steps.empty() && match_folded(folded_, Steps(steps).first(steps.size() - 1));
}

bool JsonPath::matches_exactly(const std::vector<std::string>& steps) const {
  return match(written_, steps);
}

std::string fold_json(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    if (text.starts_with("\xc5\xbf")) {  // U+017F, the long s
      out += 's';
      text.remove_prefix(2);
    } else if (text.starts_with("\xe2\x84\xaa")) {  // U+212A, the Kelvin sign
      out += 'k';
      text.remove_prefix(3);
    } else {
      const char c = text.front();
      out += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
      text.remove_prefix(1);
    }
  }
  return out;
}

bool json_value_matches(std::string_view pattern, std::string_view value) {
  if (!pattern.ends_with('*')) return pattern == value;
  return value.starts_with(pattern.substr(0, pattern.size() - 1));
}

}  // namespace bulkhead

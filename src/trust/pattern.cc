#include "trust/pattern.h"

#include <algorithm>

#include "base/text.h"
#include "trust/spelling.h"

namespace bulkhead::trust {

bool wildcard_matches(std::string_view pattern, std::string_view text) {
  // Only the last star is ever gone back to: linear in the product, whatever is asked.
  std::size_t p = 0, t = 0, star = std::string_view::npos, resume = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      resume = t;
    } else if (p < pattern.size() && pattern[p] == text[t]) {
      ++p;
      ++t;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      t = ++resume;
    } else {
      return false;
    }
  }
  return pattern.find_first_not_of('*', p) == std::string_view::npos;
}

Result<Pattern> Pattern::parse(std::string_view text) {
  const auto bad = [&](const char* why) {
    return fail("\"" + escape_for_terminal(text, 100) + "\" is no pattern: " + why);
  };
  if (text.empty() || text.front() == '/' || text.back() == '/') return bad("write it relative, ending in a name");
  Pattern out;
  for (const std::string& part : split(text, '/')) {
    if (part.empty() || part == "." || part == "..") return bad("an empty name, `.` or `..`");
    Name name;
    name.any_depth = part == "**";
    if (!name.any_depth && part.find("**") != std::string::npos) return bad("`**` is a name of its own");
    if (name.any_depth && out.names_.empty()) return bad("it holds at any depth by itself, without a leading `**`");
    name.text = folded(part);
    name.wildcard = part.find('*') != std::string::npos;
    out.names_.push_back(std::move(name));
  }
  return out;
}

bool Pattern::Name::matches(std::string_view folded_name) const {
  if (any_depth) return true;
  if (wildcard) return wildcard_matches(text, folded_name);
  return text == folded_name || is_short_name_of(folded_name, text);
}

void Matcher::add(const Pattern& pattern, std::size_t id) {
  const std::size_t index = entries_.size();
  const Pattern::Name& first = pattern.names().front();
  if (first.wildcard) {
    const char from = first.text.front(), to = first.text.back();
    (from != '*' ? wild_from_[from] : to != '*' ? wild_to_[to] : wild_).push_back(index);
  } else {
    by_first_name_[first.text].push_back(index);
    first_has_alias_.push_back(index);
  }
  entries_.push_back({pattern, id});
}

void Matcher::advance(State at, std::string_view name, Step& out) const {
  const auto& names = entries_[at.pattern].pattern.names();
  const Pattern::Name& wanted = names[at.position];
  const bool last = at.position + 1 == names.size();
  const auto keep = [&](State state) {
    if (std::find(out.below.begin(), out.below.end(), state) == out.below.end()) out.below.push_back(state);
  };
  if (wanted.any_depth && !last) {
    keep(at);
    return advance({at.pattern, at.position + 1}, name, out);
  }
  if (!wanted.matches(name)) return;
  if (wanted.any_depth) keep(at);
  if (!last) return keep({at.pattern, at.position + 1});
  const std::size_t id = entries_[at.pattern].id;
  if (std::find(out.full.begin(), out.full.end(), id) == out.full.end()) out.full.push_back(id);
}

Matcher::Step Matcher::step(const std::vector<State>& state, std::string_view folded_name, bool anywhere) const {
  Step out;
  for (const State& one : state) advance(one, folded_name, out);
  if (!anywhere) return out;
  if (const auto found = by_first_name_.find(std::string(folded_name)); found != by_first_name_.end()) {
    for (const std::size_t index : found->second) advance({index, 0}, folded_name, out);
  } else if (folded_name.find('~') != std::string_view::npos) {
    for (const std::size_t index : first_has_alias_) advance({index, 0}, folded_name, out);
  }
  const auto begin = [&](const std::vector<std::size_t>& patterns) {
    for (const std::size_t index : patterns) advance({index, 0}, folded_name, out);
  };
  begin(wild_);
  if (folded_name.empty()) return out;
  if (const auto found = wild_from_.find(folded_name.front()); found != wild_from_.end()) begin(found->second);
  if (const auto found = wild_to_.find(folded_name.back()); found != wild_to_.end()) begin(found->second);
  return out;
}

std::vector<Matcher::State> Matcher::below(std::string_view path, const std::vector<State>& from) const {
  std::vector<State> state = from;
  for (const std::string& name : split(path, '/')) {
    if (!name.empty()) state = step(state, folded(name)).below;
  }
  return state;
}

std::vector<std::size_t> Matcher::match_path(std::string_view path, const std::vector<State>& from) const {
  Step step;
  step.below = from;
  for (const std::string& name : split(path, '/')) step = this->step(step.below, folded(name));
  return step.full;
}

}  // namespace bulkhead::trust

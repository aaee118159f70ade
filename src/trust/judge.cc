#include "trust/judge.h"

#include <algorithm>
#include <exception>
#include <nlohmann/json.hpp>
#include <set>

#include "base/text.h"
#include "policy/toml.h"
#include "trust/git_config.h"
#include "trust/pattern.h"

namespace bulkhead::trust {
namespace {

using nlohmann::json;

constexpr std::size_t max_lines = 40;
constexpr std::size_t max_line = 300;
constexpr std::size_t first_lines = 3;  // of a text
constexpr int max_json_depth = 64;

std::string cut(std::string text) {
  if (text.size() <= max_line) return text;
  text.resize(max_line);
  return text + "…";
}

// ---- text

// The first lines that say something: what a script begins with, what an agent is told first.
std::vector<std::string> opening(std::string_view bytes, bool comments_count) {
  std::vector<std::string> out;
  std::size_t lines = 0;
  for (std::size_t at = 0; at < bytes.size();) {
    const std::size_t end = std::min(bytes.find('\n', at), bytes.size());
    std::string_view line = bytes.substr(at, end - at);
    if (line.ends_with('\r')) line.remove_suffix(1);
    at = end + 1;
    line = trim_blanks(line);
    if (line.empty() || (!comments_count && line.starts_with('#'))) continue;
    if (++lines <= first_lines) out.push_back(cut(std::string(line)));
  }
  if (lines > first_lines) out.push_back("… and " + std::to_string(lines - first_lines) + " more lines");
  return out;
}

// Of a file that may hold keys: the lines by which it counts, without what looks like a key.
std::vector<std::string> secret_lines(const Rule& rule, std::string_view bytes) {
  std::vector<std::string> out;
  for (const std::string& line : split(bytes, '\n')) {
    const std::string lower = lower_ascii(line);
    const auto in_it = [&](std::string_view word) { return lower.find(word) != std::string::npos; };
    if (std::none_of(rule.contains.begin(), rule.contains.end(), in_it)) continue;
    const bool key = in_it("key") || in_it("secret") || in_it("token") || in_it("pass") || in_it("credential");
    const auto equals = line.find('=');
    out.push_back("sets: " + cut(key && equals != std::string::npos ? line.substr(0, equals + 1) + "…" : line));
    if (out.size() == max_lines) break;
  }
  if (out.empty()) out.emplace_back("holds settings, and perhaps keys: they are not shown");
  return out;
}

std::vector<std::string> text_lines(const Rule& rule, std::string_view bytes) {
  if (bytes.find('\0') != std::string_view::npos) {
    return {"is a program of " + std::to_string(bytes.size()) + " bytes, not a text"};
  }
  if (rule.secret) return secret_lines(rule, bytes);
  const bool says = rule.kind == Class::instructs;
  std::vector<std::string> out = opening(bytes, says);
  for (std::string& line : out) {
    if (!line.starts_with("…")) line.insert(0, rule.verb + ": ");
  }
  if (out.empty()) out.emplace_back(bytes.empty() ? "is empty" : "holds nothing but comments");
  return out;
}

// ---- json and toml

json from_toml(const TomlValue& value) {
  switch (value.type) {
    case TomlValue::Type::string:
      return value.string;
    case TomlValue::Type::integer:
      return value.integer;
    case TomlValue::Type::boolean:
      return value.boolean;
    case TomlValue::Type::array: {
      json out = json::array();
      for (const TomlValue& item : value.items) out.push_back(from_toml(item));
      return out;
    }
    case TomlValue::Type::table: {
      json out = json::object();
      for (const TomlEntry& entry : value.entries) out[entry.key] = from_toml(entry.value);
      return out;
    }
    default:
      return name_of(value.type);
  }
}

// Comments are taken, as editors and agents take them. Twice the same key in one object is refused: which one counts is
// every reader's own choice, and the other one would be hidden.
json parse_json(std::string_view bytes) {
  std::vector<std::set<std::string>> open;
  bool bad = false;
  const json::parser_callback_t look = [&](int depth, json::parse_event_t event, json& parsed) {
    bad = bad || depth > max_json_depth;
    if (event == json::parse_event_t::object_start) open.emplace_back();
    if (event == json::parse_event_t::object_end) open.pop_back();
    if (event == json::parse_event_t::key) bad = !open.back().insert(parsed.get<std::string>()).second || bad;
    return !bad;
  };
  if (bytes.starts_with("\xef\xbb\xbf")) bytes.remove_prefix(3);
  json out = json::parse(bytes, look, false, true);
  return bad ? json(json::value_t::discarded) : out;
}

// A value as one would type it: text bare, a list of words joined, everything else as JSON.
std::string plain(const json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_array() && std::all_of(value.begin(), value.end(), [](const json& v) { return v.is_string(); })) {
    std::string out;
    for (const json& word : value) out += (out.empty() ? "" : " ") + word.get<std::string>();
    return out;
  }
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

const json* at_place(const json& from, std::string_view place) {
  const json* here = &from;
  for (const std::string& name : split(place, '/')) {
    if (!here->is_object() || !here->contains(name)) return nullptr;
    here = &(*here)[name];
  }
  return here;
}

class Sentences {
 public:
  explicit Sentences(const Rule& rule) : rule_(rule) {}

  std::vector<std::string> of(const json& root) {
    for (const Show& show : rule_.shows) walk(root, root, split(show.at, '/'), 0, show, "");
    if (root.is_object()) {
      std::vector<std::string> rest;
      for (const auto& [key, value] : root.items()) {
        if (!shown_keys_.contains(key) && !is_harmless(key)) rest.push_back(key);
      }
      if (!rest.empty()) lines_.push_back(cut("also sets: " + join(rest, ", ")));
    }
    if (more_ > 0) lines_.push_back("… and " + std::to_string(more_) + " more of these");
    return std::move(lines_);
  }

  bool is_harmless(const std::string& key) const {
    return std::any_of(rule_.harmless.begin(), rule_.harmless.end(),
                       [&](const std::string& pattern) { return wildcard_matches(pattern, key); });
  }

 private:
  void walk(const json& node, const json& owner, const std::vector<std::string>& names, std::size_t position,
            const Show& show, const std::string& key) {
    above_.push_back(&node);
    take(node, owner, names, position, show, key);
    above_.pop_back();
  }

  void take(const json& node, const json& owner, const std::vector<std::string>& names, std::size_t position,
            const Show& show, const std::string& key) {
    if (position == names.size()) return say(node, owner, show);
    if (node.is_object()) {
      for (const auto& [name, value] : node.items()) {
        if (!wildcard_matches(names[position], name)) continue;
        if (position == 0) top_ = name;
        if (names[position].find('*') != std::string::npos) stars_.push_back(name);
        walk(value, node, names, position + 1, show, name);
        if (names[position].find('*') != std::string::npos) stars_.pop_back();
      }
    } else if (node.is_array() && names[position] == "*") {
      for (const json& value : node) {
        stars_.push_back(key);
        walk(value, value.is_object() ? value : owner, names, position + 1, show, key);
        stars_.pop_back();
      }
    }
  }

  void say(const json& value, const json& owner, const Show& show) {
    const json& object = value.is_object() ? value : owner;
    if (!show.needs.empty()) {
      const json* const found = at_place(object, show.needs);
      if (found == nullptr || (show.needs_value != "*" && plain(*found) != show.needs_value)) return;
    }
    shown_keys_.insert(top_);
    if (said_.contains(&value)) return;  // an earlier sentence was about this, or about what is in it
    said_.insert(above_.begin(), above_.end());
    std::string line;
    for (std::size_t at = 0; at < show.as.size();) {
      const std::size_t open = show.as.find('{', at);
      const std::size_t close = open == std::string::npos ? open : show.as.find('}', open);
      if (close == std::string::npos) {
        line += show.as.substr(at);
        break;
      }
      line += show.as.substr(at, open - at);
      const std::string put = word(show.as.substr(open + 1, close - open - 1), value, object);
      if (put.empty() && line.ends_with(' ')) line.pop_back();
      line += put;
      at = close + 1;
    }
    while (line.ends_with(' ')) line.pop_back();
    if (lines_.size() < max_lines) {
      lines_.push_back(cut(line));
    } else {
      ++more_;
    }
  }

  // {} the value, {1} what the first star stood for, {a/b} a value of the same object.
  std::string word(const std::string& name, const json& value, const json& object) const {
    if (name.empty()) return plain(value);
    if (name.size() == 1 && is_digit(name[0])) {
      const auto index = static_cast<std::size_t>(name[0] - '1');
      return index < stars_.size() ? stars_[index] : "";
    }
    const json* const found = at_place(object, name);
    return found == nullptr ? "" : plain(*found);
  }

  const Rule& rule_;
  std::vector<std::string> lines_, stars_;
  std::vector<const json*> above_;  // from the root to the value
  std::set<const json*> said_;
  std::set<std::string> shown_keys_;
  std::string top_;
  std::size_t more_ = 0;
};

Judgement judge_structure(const Rule& rule, const json& root, std::string_view bytes) {
  Judgement out;
  if (root.is_discarded()) {
    out.does = {"can't be parsed as " + std::string(rule.format == Format::json ? "JSON" : "TOML") +
                ", so it counts as it is:"};
    for (std::string& line : opening(bytes, true)) out.does.push_back(std::move(line));
    return out;
  }
  Sentences sentences(rule);
  if (!rule.harmless.empty() && root.is_object()) {
    out.counts = std::any_of(root.items().begin(), root.items().end(),
                             [&](const auto& item) { return !sentences.is_harmless(item.key()); });
  }
  if (out.counts) out.does = sentences.of(root);
  if (out.does.empty()) out.does = {"sets nothing"};
  return out;
}

Judgement judge_json(const Rule& rule, std::string_view bytes) {
  json root;
  try {
    root = parse_json(bytes);
  } catch (const std::exception&) {
    root = json(json::value_t::discarded);
  }
  return judge_structure(rule, root, bytes);
}

Judgement judge_toml(const Rule& rule, std::string_view bytes) {
  const auto value = parse_toml(bytes, "it");
  return judge_structure(rule, value ? from_toml(*value) : json(json::value_t::discarded), bytes);
}

Judgement judge_git_config(std::string_view bytes) {
  Judgement out;
  const auto entries = read_git_config(bytes);
  if (!entries) {
    out.does = {"can't be read by git (" + cut(entries.error().message) + "), so it counts as it is"};
    return out;
  }
  std::size_t more = 0;
  for (const GitConfigEntry& entry : *entries) {
    std::string line = what_git_would_do(entry);
    if (line.empty()) continue;
    if (out.does.size() < max_lines) {
      out.does.push_back(cut(std::move(line)));
    } else {
      ++more;
    }
  }
  if (more > 0) out.does.push_back("… and " + std::to_string(more) + " more of these");
  out.counts = !out.does.empty();
  return out;
}

}  // namespace

std::optional<Judgement> judged_unread(const Rule& rule, const Content& content) {
  if (!content.problem.empty()) return Judgement{true, {content.problem}};
  if (rule.executable && !content.executable) return Judgement{false, {}};
  if (rule.contains.empty()) return std::nullopt;
  const std::string lower = lower_ascii(content.bytes);
  const bool any = std::any_of(rule.contains.begin(), rule.contains.end(),
                               [&](const std::string& word) { return lower.find(word) != std::string::npos; });
  if (!any) return Judgement{false, {}};
  return std::nullopt;
}

Judgement judge_bytes(const Rule& rule, std::string_view bytes) {
  switch (rule.format) {
    case Format::json:
      return judge_json(rule, bytes);
    case Format::toml:
      return judge_toml(rule, bytes);
    case Format::git_config:
      return judge_git_config(bytes);
    case Format::text:
      return {true, text_lines(rule, bytes)};
  }
  return {};
}

void say_link(const Content& content, Judgement& judgement) {
  if (content.kind != Content::Kind::link) return;
  judgement.does.insert(judgement.does.begin(), "is a link to " + cut(content.target));
}

Judgement judge(const Rule& rule, const Content& content) {
  if (auto known = judged_unread(rule, content)) return *known;
  Judgement out = judge_bytes(rule, content.bytes);
  say_link(content, out);
  return out;
}

}  // namespace bulkhead::trust

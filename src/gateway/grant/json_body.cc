#include "gateway/grant/json_body.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <unordered_set>

#include "base/text.h"
#include "policy/json_path.h"

namespace bulkhead::grant {
namespace {

using nlohmann::json;

struct Place {
  std::string text;
  JsonPath path;
};

struct Values {
  Place place;
  const std::vector<std::string>* texts;
};

// An object whose members are a closed list.
struct Closed {
  std::string parent_text;
  std::optional<JsonPath> parent;  // none: the outermost
  std::vector<std::string> keys;
};

// The rules, ready to be asked about each place of a document.
struct Compiled {
  std::vector<Place> deny_keys;
  std::vector<Closed> closed;
  std::vector<Values> deny, allow, require;
};

bool add_closed(std::vector<Closed>& all, const std::string& place) {
  const std::size_t dot = place.rfind('.');
  const std::string parent = dot == std::string::npos ? std::string() : place.substr(0, dot);
  auto it = std::find_if(all.begin(), all.end(), [&](const Closed& one) { return one.parent_text == parent; });
  if (it == all.end()) {
    Closed closed{parent, std::nullopt, {}};
    if (!parent.empty()) {
      auto path = JsonPath::parse_object(parent);
      if (!path) return false;
      closed.parent = std::move(*path);
    }
    all.push_back(std::move(closed));
    it = all.end() - 1;
  }
  it->keys.push_back(dot == std::string::npos ? place : place.substr(dot + 1));
  return true;
}

// Load has seen every place to be one (policy/load_json_rules.cc); what is none all the same closes the rule.
std::optional<Compiled> compile(const JsonRules& rules) {
  Compiled out;
  for (const std::string& text : rules.deny_keys) {
    auto path = JsonPath::parse(text);
    if (!path) return std::nullopt;
    out.deny_keys.push_back({text, std::move(*path)});
  }
  for (const std::string& text : rules.allow_keys) {
    if (!JsonPath::parse(text) || !add_closed(out.closed, text)) return std::nullopt;
  }
  for (const auto& [from, to] :
       {std::pair(&rules.deny_values, &out.deny), {&rules.allow_values, &out.allow}, {&rules.require, &out.require}}) {
    for (const auto& [text, texts] : *from) {
      auto path = JsonPath::parse(text);
      if (!path) return std::nullopt;
      to->push_back({{text, std::move(*path)}, &texts});
    }
  }
  return out;
}

// The parser's events (nlohmann::json_sax). False from any of them ends the parse.
class Judge {
 public:
  explicit Judge(const Compiled& rules) : rules_(rules), found_(rules.require.size()) {}

  bool null() { return value("null", false); }
  bool boolean(bool is) { return value(is ? "true" : "false", false); }
  bool number_integer(json::number_integer_t number) { return value(std::to_string(number), false); }
  bool number_unsigned(json::number_unsigned_t number) { return value(std::to_string(number), false); }
  bool number_float(json::number_float_t, const std::string& raw) { return value(raw, true); }
  bool string(std::string& text) { return value(text, false, is_word(text)); }
  bool binary(json::binary_t&) { return refuse("something is no JSON"); }

  bool start_object(std::size_t) { return open(false); }
  bool start_array(std::size_t) { return open(true); }
  bool end_object() { return close(); }
  bool end_array() { return close(); }

  bool key(std::string& name) {
    if (name.find('\0') != std::string::npos) return refuse("a key holds a NUL character");
    if (!levels_.back().keys.insert(name).second) return refuse("the key " + quoted(name) + " stands in it twice");
    steps_.back() = fold_json(name);
    exact_.back() = name;
    for (const Place& place : rules_.deny_keys) {
      if (place.path.matches(steps_)) return refuse(at() + " is not granted (deny_keys " + quoted(place.text) + ")");
    }
    for (const Closed& closed : rules_.closed) {
      if (!is_in(closed) || among(closed.keys, name)) continue;
      return refuse(at() + " is not granted (allow_keys: " + join(closed.keys, ", ") + ")");
    }
    return true;
  }

  bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception&) {
    return refuse("there is no JSON that every reader takes for the same, from byte " + std::to_string(position));
  }

  // After the parse: what had to be there.
  void finish() {
    if (why_) return;
    for (std::size_t i = 0; i < found_.size(); ++i) {
      if (found_[i]) continue;
      refuse(quoted(rules_.require[i].place.text) + " has to be there: " + join(*rules_.require[i].texts, ", "));
      return;
    }
  }

  const std::optional<std::string>& why() const { return why_; }

 private:
  struct Level {
    bool array;
    std::unordered_set<std::string> keys;
  };

  bool refuse(std::string why) {
    if (!why_) why_ = std::move(why);
    return false;
  }

  static std::string quoted(std::string_view text) { return "\"" + escape_for_terminal(text, 60) + "\""; }

  // Where the parse is, as people write it.
  std::string at() const {
    std::string out;
    for (const std::string& step : exact_) {
      out += (out.empty() ? "" : ".") + (step.empty() ? std::string("*") : escape_for_terminal(step, 40));
      if (out.size() > 120) return out + "…";
    }
    return out;
  }

  bool open(bool array) {
    if (levels_.size() >= max_json_depth)
      return refuse("something is more than " + std::to_string(max_json_depth) + " deep");
    if (array && levels_.empty() && closed_outermost()) return refuse("it has to be an object");
    if (!structure()) return false;
    levels_.push_back({array, {}});
    steps_.emplace_back();
    exact_.emplace_back();
    return true;
  }

  bool close() {
    levels_.pop_back();
    steps_.pop_back();
    exact_.pop_back();
    return true;
  }

  // An object or an array stands where a rule wants one value: what a server makes of it is not known. (Where
  // values are denied, an array's are looked at one by one: stands_at().)
  bool structure() {
    for (const auto* list : {&rules_.allow, &rules_.require}) {
      for (const Values& rule : *list) {
        if (rule.place.path.matches(steps_)) return refuse(at() + " has to be one value, not several");
      }
    }
    return true;
  }

  // A text that spells one of JSON's words is another value than the word.
  static bool is_word(std::string_view text) { return text == "true" || text == "false" || text == "null"; }

  bool closed_outermost() const {
    return std::any_of(rules_.closed.begin(), rules_.closed.end(), [](const Closed& one) { return !one.parent; });
  }

  // Is the member at steps_ one of this object's?
  bool is_in(const Closed& closed) const {
    if (!closed.parent) return steps_.size() == 1;
    return closed.parent->holds(steps_);
  }

  static bool among(const std::vector<std::string>& texts, std::string_view value) {
    for (const std::string& text : texts) {
      if (json_value_matches(text, value)) return true;
    }
    return false;
  }

  // There, or in an array there: to some servers a list of one is the one.
  bool stands_at(const JsonPath& path) const {
    if (path.matches(steps_)) return true;
    std::vector<std::string> outer;
    for (auto level = levels_.rbegin(); level != levels_.rend() && level->array; ++level) {
      if (outer.empty()) outer = steps_;
      outer.pop_back();
      if (path.matches(outer)) return true;
    }
    return false;
  }

  bool denied(const Values& rule, std::string_view text, const std::string& folded) const {
    for (const std::string& denied : *rule.texts) {
      if (json_value_matches(denied, text) || json_value_matches(fold_json(denied), folded)) return true;
    }
    return false;
  }

  bool value(std::string_view text, bool fraction, bool spelt = false) {
    if (levels_.empty() && closed_outermost()) return refuse("it has to be an object");
    for (std::size_t i = 0; i < rules_.require.size(); ++i) {
      const Values& rule = rules_.require[i];
      if (!rule.place.path.matches(steps_)) continue;
      if (!among(*rule.texts, text)) return not_granted(text, rule);
      if (spelt && among_exactly(*rule.texts, text)) return only_spelt(text);
      // Under another spelling it is there for some readers only.
      if (rule.place.path.matches_exactly(exact_)) found_[i] = true;
    }
    for (const Values& rule : rules_.allow) {
      if (!rule.place.path.matches(steps_)) continue;
      if (!among(*rule.texts, text)) return not_granted(text, rule);
      if (spelt && among_exactly(*rule.texts, text)) return only_spelt(text);
    }
    if (rules_.deny.empty()) return true;
    for (const Values& rule : rules_.deny) {
      if (!stands_at(rule.place.path)) continue;
      // 1.0 and 1e0 are 1 to a server.
      if (fraction) return refuse(at() + " is a number in a form that can't be judged");
      if (denied(rule, text, fold_json(text))) {
        return refuse(at() + " = " + quoted(text) + " is not granted (deny_values " + quoted(rule.place.text) + ")");
      }
    }
    return true;
  }

  static bool among_exactly(const std::vector<std::string>& texts, std::string_view value) {
    return std::find(texts.begin(), texts.end(), value) != texts.end();
  }

  // "false" is true to many a server.
  bool only_spelt(std::string_view text) {
    return refuse(at() + " is the text " + quoted(text) + ", which is not the JSON value " + std::string(text));
  }

  bool not_granted(std::string_view text, const Values& rule) {
    return refuse(at() + " = " + quoted(text) + " is not granted; it is: " + join(*rule.texts, ", "));
  }

  const Compiled& rules_;
  std::vector<bool> found_;
  std::vector<Level> levels_;
  std::vector<std::string> steps_, exact_;  // folded, and as they stand there
  std::optional<std::string> why_;
};

}  // namespace

struct JsonJudge::Compiled : grant::Compiled {};

JsonJudge::JsonJudge(const JsonRules& rules) {
  if (auto compiled = compile(rules)) compiled_ = std::make_unique<const Compiled>(Compiled{std::move(*compiled)});
}

JsonJudge::~JsonJudge() = default;

tl::expected<void, JsonRefusal> judge_json(const JsonRules& rules, std::string_view body) {
  return JsonJudge(rules).judge(body);
}

tl::expected<void, JsonRefusal> JsonJudge::judge(std::string_view body) const {
  if (!compiled_) return tl::unexpected(JsonRefusal{"the rule about this body can't be read, so nothing is granted"});
  // The parser takes it for the end of the body; a server may read on.
  if (body.find('\0') != std::string_view::npos) return tl::unexpected(JsonRefusal{"the body holds a NUL byte"});
  // The parser skips it; not every reader does.
  if (body.starts_with("\xef\xbb\xbf")) return tl::unexpected(JsonRefusal{"the body begins with a byte order mark"});
  Judge events(*compiled_);
  const bool parsed = json::sax_parse(body.begin(), body.end(), &events);
  if (parsed) events.finish();
  if (events.why()) return tl::unexpected(JsonRefusal{"in the body, " + *events.why()});
  if (!parsed) return tl::unexpected(JsonRefusal{"the body is no JSON"});
  return {};
}

}  // namespace bulkhead::grant

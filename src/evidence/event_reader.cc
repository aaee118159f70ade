#include "evidence/event_reader.h"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "evidence/event.h"
#include "evidence/event_text.h"
#include "evidence/limits.h"

namespace bulkhead::evidence {

// What nlohmann::json::sax_parse() calls. An event that is refused is read on, written or not: whether its sender waits
// for an answer may stand behind the fault.
struct EventReader::Handler {
  explicit Handler(EventReader& r) : reader(r) {}

  bool null() { return literal("null"); }
  bool boolean(bool value) {
    if (taking == Taking::sync) {
      taking = Taking::field;
      sync = value;
      return true;
    }
    return literal(value ? "true" : "false");
  }
  bool number_integer(std::int64_t value) { return number(value); }
  bool number_unsigned(std::uint64_t value) { return number(value); }
  bool number_float(double value, const std::string&) { return literal(nlohmann::json(value).dump()); }
  bool string(const std::string& value) {
    if (taking == Taking::type) {
      taking = Taking::field;
      if (!valid_type(value)) refuse("no valid \"type\"");
      type = value;
      return true;
    }
    if (!begin_value()) return false;
    append_text(out, value);
    return true;
  }
  bool binary(const nlohmann::json::binary_t&) { return false; }  // no JSON has it
  bool start_object(std::size_t) { return start(true); }
  bool start_array(std::size_t) { return start(false); }

  bool key(const std::string& name) {
    Level& level = reader.levels_.back();
    if (reader.levels_.size() == 1) {
      if (name == "type") return take(Taking::type, has_type);
      if (name == "sync") return take(Taking::sync, has_sync);
      if (std::ranges::find(reserved_keys, name) != reserved_keys.end()) refuse("reserved key \"" + name + "\"");
    }
    if (!std::exchange(level.empty, false)) out += ',';
    const std::size_t at = out.size();
    append_text(out, name);
    reader.keys_.emplace_back(at, out.size() - at);
    out += ':';
    return true;
  }
  bool end_object() {
    // Two readers of the log could take two different ones of them.
    const auto text = [this](const auto& at) { return std::string_view(out).substr(at.first, at.second); };
    const auto first = reader.keys_.begin() + static_cast<std::ptrdiff_t>(reader.levels_.back().keys);
    std::sort(first, reader.keys_.end(), [&](const auto& a, const auto& b) { return text(a) < text(b); });
    const auto same = [&](const auto& a, const auto& b) { return text(a) == text(b); };
    if (std::adjacent_find(first, reader.keys_.end(), same) != reader.keys_.end()) refuse("a key that is there twice");
    reader.keys_.erase(first, reader.keys_.end());
    reader.levels_.pop_back();
    if (!reader.levels_.empty()) out += '}';
    return true;
  }
  bool end_array() {
    reader.levels_.pop_back();
    out += ']';
    return true;
  }
  bool parse_error(std::size_t, const std::string&, const nlohmann::json::exception&) {
    if (why.empty()) why = "not a JSON object";
    return false;
  }

  enum class Taking { field, type, sync };

  bool take(Taking what, bool& seen) {
    if (std::exchange(seen, true)) refuse("a key that is there twice");
    taking = what;
    return true;
  }
  // False: it is no event at all.
  bool begin_value() {
    if (taking == Taking::type) refuse("no valid \"type\"");
    if (taking == Taking::sync) refuse("\"sync\" is not a boolean");
    taking = Taking::field;
    if (reader.levels_.empty()) {
      refuse("not a JSON object");
      return false;
    }
    Level& level = reader.levels_.back();
    if (!level.object && !std::exchange(level.empty, false)) out += ',';
    return true;
  }
  bool literal(std::string_view text) {
    if (!begin_value()) return false;
    out += text;
    return true;
  }
  template <class T>
  bool number(T value) {
    char digits[24];
    return literal({digits, std::to_chars(digits, digits + sizeof digits, value).ptr});
  }
  bool start(bool object) {
    const bool outermost = object && reader.levels_.empty();
    if (!outermost && !begin_value()) return false;
    if (reader.levels_.size() == static_cast<std::size_t>(max_depth)) {
      why = "nested too deeply";
      return false;
    }
    if (!outermost) out += object ? '{' : '[';
    reader.levels_.push_back({.object = object, .empty = true, .keys = reader.keys_.size()});
    return true;
  }
  void refuse(std::string reason) {
    if (why.empty()) why = std::move(reason);
  }

  EventReader& reader;
  std::string type, out;
  Taking taking = Taking::field;
  bool has_type = false, has_sync = false, sync = false;
  std::string why;  // it is refused; the first reason counts
};

Result<EventReader::Read> EventReader::read(std::string_view text, bool& sync) {
  levels_.clear();
  keys_.clear();
  Handler handler(*this);
  handler.out.reserve(text.size());
  if (!nlohmann::json::sax_parse(text, &handler)) handler.refuse("not a JSON object");
  sync = handler.sync;
  if (!handler.has_type) handler.refuse("no valid \"type\"");
  if (!handler.why.empty()) return fail(handler.why);
  return Read{std::move(handler.type), std::move(handler.out)};
}

}  // namespace bulkhead::evidence

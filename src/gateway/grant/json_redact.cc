#include "gateway/grant/json_redact.h"

#include <openssl/crypto.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "policy/json_path.h"

namespace bulkhead::grant {
namespace {

using nlohmann::json;

// Writes the document anew from the parser's events (nlohmann::json_sax).
class Writer {
 public:
  Writer(const std::vector<JsonPath>& redact, const std::vector<JsonPath>& issue, const IssueValue& issued)
      : redact_(redact), issue_(issue), issued_(issued) {}

  bool null() { return value("null"); }
  bool boolean(bool is) { return value(is ? "true" : "false"); }
  bool number_integer(json::number_integer_t number) { return value(std::to_string(number)); }
  bool number_unsigned(json::number_unsigned_t number) { return value(std::to_string(number)); }
  bool number_float(json::number_float_t, const std::string& raw) { return value(raw); }
  bool string(std::string& text) {
    if (hidden_ != 0 || at(redact_) || !at(issue_)) return value(json(text).dump());
    auto instead = issued_(text);
    ::OPENSSL_cleanse(text.data(), text.size());  // the parser's own copy
    if (!instead) return refuse(std::move(instead).error());
    comma();
    out_ += json(*instead).dump();
    return true;
  }
  bool binary(json::binary_t&) { return false; }

  bool start_object(std::size_t) { return open('{'); }
  bool start_array(std::size_t) { return open('['); }
  bool end_object() { return close('}'); }
  bool end_array() { return close(']'); }

  bool key(std::string& name) {
    steps_.back() = fold_json(name);
    if (hidden_ != 0) return true;
    comma();
    out_ += json(name).dump() + ":";
    after_key_ = true;
    return true;
  }

  bool parse_error(std::size_t, const std::string&, const nlohmann::detail::exception&) { return false; }

  std::string take() { return std::move(out_); }
  std::optional<JsonRefusal> refused;

 private:
  bool at(const std::vector<JsonPath>& places) const {
    return std::ranges::any_of(places, [this](const JsonPath& place) { return place.matches(steps_); });
  }

  bool refuse(JsonRefusal why) {
    refused = std::move(why);
    return false;
  }
  bool no_string() { return refuse({"what the server hands out is no string"}); }

  void comma() {
    if (after_key_) {
      after_key_ = false;
    } else if (!steps_.empty() && std::exchange(any_.back(), 1)) {
      out_ += ',';
    }
  }

  bool value(std::string_view text) {
    if (hidden_ != 0) return true;
    const bool redacted = at(redact_);
    // Of strings string() has seen to it.
    if (!redacted && at(issue_)) return no_string();
    comma();
    out_ += redacted ? R"("[redacted]")" : text;
    return true;
  }

  bool open(char bracket) {
    if (hidden_ != 0 || at(redact_)) {
      if (hidden_ == 0) value({});
      ++hidden_;
    } else if (at(issue_)) {
      return no_string();
    } else {
      comma();
      out_ += bracket;
    }
    steps_.emplace_back();
    any_.push_back(0);
    return true;
  }

  bool close(char bracket) {
    steps_.pop_back();
    any_.pop_back();
    if (hidden_ != 0) {
      --hidden_;
    } else {
      out_ += bracket;
    }
    return true;
  }

  const std::vector<JsonPath>&redact_, &issue_;
  const IssueValue& issued_;
  std::vector<std::string> steps_;
  std::vector<char> any_;   // does the object or array have a member yet?
  std::size_t hidden_ = 0;  // depth inside a value that was taken out
  bool after_key_ = false;
  std::string out_;
};

tl::expected<std::vector<JsonPath>, JsonRefusal> parsed(const std::vector<std::string>& places) {
  std::vector<JsonPath> paths;
  for (const std::string& text : places) {
    auto path = JsonPath::parse(text);
    if (!path) return tl::unexpected(JsonRefusal{"the rule about this answer can't be read"});
    paths.push_back(std::move(*path));
  }
  return paths;
}

}  // namespace

tl::expected<std::string, JsonRefusal> redact_json(const std::vector<std::string>& redact, std::string_view body,
                                                   const std::vector<std::string>& issue, const IssueValue& issued) {
  const auto hidden = parsed(redact), handed_out = parsed(issue);
  for (const auto* paths : {&hidden, &handed_out}) {
    if (!*paths) return tl::unexpected(paths->error());
  }
  if (auto judged = judge_json({}, body); !judged) return tl::unexpected(std::move(judged).error());
  Writer writer(*hidden, *handed_out, issued);
  if (!json::sax_parse(body.begin(), body.end(), &writer)) {
    return tl::unexpected(writer.refused.value_or(JsonRefusal{"the body is no JSON"}));
  }
  return writer.take();
}

}  // namespace bulkhead::grant

#include "advice/record.h"

#include <unistd.h>

#include <charconv>
#include <chrono>
#include <nlohmann/json.hpp>

#include "base/sys.h"
#include "base/text.h"
#include "policy/json.h"

namespace bulkhead::advice {
namespace {

constexpr std::size_t longest_line = 64 * 1024;  // evidence/limits.h
constexpr std::size_t read_at_once = 256 * 1024;
constexpr int deepest = 24;

using nlohmann::json;

// The top level of a line, without building a tree of it: words and numbers, and lists of words. Twice the same key is
// no evidence of ours, and two readers would take two different ones.
class Flat {
 public:
  struct Field {
    std::string key, text;
    std::uint64_t number = 0;
    enum class Type { text, number, boolean, list, other } type = Type::other;
    std::vector<std::string> list;
  };

  const std::string* text(std::string_view key) const {
    const Field* field = find(key, Field::Type::text);
    return field != nullptr ? &field->text : nullptr;
  }
  std::string text_or_empty(std::string_view key) const {
    const std::string* found = text(key);
    return found != nullptr ? *found : std::string();
  }
  std::optional<std::uint64_t> number(std::string_view key) const {
    const Field* field = find(key, Field::Type::number);
    return field != nullptr ? std::optional(field->number) : std::nullopt;
  }
  bool truth(std::string_view key) const {
    const Field* field = find(key, Field::Type::boolean);
    return field != nullptr && field->number != 0;
  }
  const std::vector<std::string>* list(std::string_view key) const {
    const Field* field = find(key, Field::Type::list);
    return field != nullptr ? &field->list : nullptr;
  }

  // What nlohmann's SAX parser calls. False ends the parse.
  bool null() { return put(Field::Type::other); }
  bool boolean(bool value) {
    if (depth_ == 1) fields_.back().number = value ? 1 : 0;
    return put(Field::Type::boolean);
  }
  bool number_integer(std::int64_t) { return put(Field::Type::other); }  // below 0
  bool number_unsigned(std::uint64_t value) {
    if (depth_ == 1) fields_.back().number = value;
    return put(Field::Type::number);
  }
  bool number_float(double, const std::string&) { return put(Field::Type::other); }
  bool string(std::string& value) {
    if (depth_ == 2 && in_list_) fields_.back().list.push_back(value);
    if (depth_ == 1) fields_.back().text = std::move(value);
    return put(Field::Type::text);
  }
  bool binary(std::vector<std::uint8_t>&) { return false; }
  bool start_object(std::size_t) {
    if (depth_ == 1) in_list_ = false;
    if (!put(Field::Type::other)) return false;
    ++depth_;
    return depth_ <= deepest;
  }
  bool end_object() {
    --depth_;
    return true;
  }
  bool start_array(std::size_t) {
    if (depth_ == 1) in_list_ = true;
    if (!put(depth_ == 1 ? Field::Type::list : Field::Type::other) || depth_ == 0) return false;
    ++depth_;
    return depth_ <= deepest;
  }
  bool end_array() {
    --depth_;
    return true;
  }
  bool key(std::string& name) {
    if (depth_ != 1) return true;
    for (const Field& field : fields_) {
      if (field.key == name) return false;
    }
    fields_.emplace_back();
    fields_.back().key = std::move(name);
    return fields_.size() <= 64;
  }
  bool parse_error(std::size_t, const std::string&, const nlohmann::detail::exception&) { return false; }

 private:
  bool put(Field::Type type) {
    if (depth_ == 1) fields_.back().type = type;
    // A line is an object; a list of anything but words is not one of ours.
    if (depth_ == 2 && in_list_ && type != Field::Type::text) fields_.back().type = Field::Type::other;
    return depth_ > 0 || type == Field::Type::other;
  }
  const Field* find(std::string_view key, Field::Type type) const {
    for (const Field& field : fields_) {
      if (field.key == key) return field.type == type ? &field : nullptr;
    }
    return nullptr;
  }

  std::vector<Field> fields_;
  int depth_ = 0;
  bool in_list_ = false;
};

std::optional<std::uint16_t> small(const Flat& line, std::string_view key) {
  const auto number = line.number(key);
  if (!number || *number > 65535) return std::nullopt;
  return static_cast<std::uint16_t>(*number);
}

std::optional<Event> request_from(const Flat& line) {
  RecordedRequest out;
  out.time = line.text_or_empty("time");
  const std::string* host = line.text("host");
  const std::string* decision = line.text("decision");
  const auto port = small(line, "port");
  if (host == nullptr || decision == nullptr || !port || (*decision != "allow" && *decision != "deny")) {
    return std::nullopt;
  }
  out.host = *host;
  out.port = *port;
  out.allowed = *decision == "allow";
  out.method = line.text_or_empty("method");
  out.scheme = line.text_or_empty("scheme");
  out.target = line.text_or_empty("path");
  out.grant = line.text_or_empty("grant");
  out.rule = line.text_or_empty("rule");
  out.status = small(line, "status").value_or(0);
  out.up = line.number("bytes_up").value_or(0);
  out.down = line.number("bytes_down").value_or(0);
  if (const std::string* body = line.text("body")) {
    out.detailed = true;
    if (*body != "none" && *body != "length" && *body != "streamed") return std::nullopt;
    out.body = *body == "none"     ? RecordedRequest::Body::none
               : *body == "length" ? RecordedRequest::Body::length
                                   : RecordedRequest::Body::streamed;
    out.length = line.number("length").value_or(0);
    out.content_type = line.text_or_empty("content_type");
    out.content_encoding = line.text_or_empty("content_encoding");
    if (const auto* names = line.list("credentials")) out.credentials = *names;
    out.slot = line.truth("slot");
    out.http2 = line.text_or_empty("http") == "2";
    if (const auto* names = line.list("headers")) out.headers = *names;
    out.headers_cut = line.truth("headers_cut");
  }
  // An allowed request has all of it.
  if (out.allowed && (out.method.empty() || out.scheme.empty() || out.target.empty() || out.grant.empty())) {
    return std::nullopt;
  }
  return out;
}

std::vector<std::string> words_at(const json& object, const char* key) {
  auto words = json_read::strings(object, key);
  return words ? std::move(*words) : std::vector<std::string>{};
}
std::string word_at(const json& object, const char* key) {
  auto word = json_read::string(object, key);
  return word ? std::move(*word) : std::string();
}

// The two that come once a session and are not flat.
std::optional<Event> start_from(const json& line) {
  return SessionStart{word_at(line, "time"), word_at(line, "profile"), words_at(line, "command")};
}
std::optional<Event> policy_from(const json& line) {
  const auto policy = json_read::object(line, "policy");
  // It was not put to use; it granted nothing.
  const std::string type = word_at(line, "type");
  if (!policy && type != "session.policy") return OtherEvent{type};
  if (!policy) return std::nullopt;
  const auto grants = json_read::array(**policy, "grants");
  if (!grants) return std::nullopt;
  SessionPolicy out;
  for (const json& grant : **grants) {
    const std::string id = word_at(grant, "id");
    if (id.empty()) return std::nullopt;
    RecordedGrant one{word_at(grant, "credential"), word_at(grant, "address"), words_at(grant, "allow"),
                      words_at(grant, "fingerprints"), word_at(grant, "fingerprint")};
    if (one.fingerprints.size() != one.allow.size()) one.fingerprints.clear();
    if (!out.grants.emplace(id, std::move(one)).second) return std::nullopt;
  }
  return out;
}

}  // namespace

std::optional<Event> read_event(std::string_view text) {
  Flat line;
  if (text.size() > longest_line || !json::sax_parse(text.begin(), text.end(), &line)) return std::nullopt;
  const std::string* type = line.text("type");
  const std::string* source = line.text("source");
  if (line.number("v") != 1U || type == nullptr || source == nullptr) return std::nullopt;
  // Who said it is known by its socket; anybody else's word on it would be hearsay.
  if (*source == "front" && *type == "http.request") return request_from(line);
  if (*source == "front" && *type == "net.refused") {
    return RecordedRefusal{small(line, "port").value_or(0), line.text_or_empty("address"), line.text_or_empty("name"),
                           line.text_or_empty("what")};
  }
  if (*source == "front" && *type == "net.tunnel") {
    const auto port = small(line, "port");
    const std::string* host = line.text("host");
    if (!port || host == nullptr) return std::nullopt;
    return RecordedTunnel{line.text_or_empty("time"),
                          line.text_or_empty("grant"),
                          *host,
                          line.text_or_empty("rule"),
                          *port,
                          line.number("bytes_up").value_or(0),
                          line.number("bytes_down").value_or(0)};
  }
  if (source->starts_with("egress:") && *type == "upstream.failure") {
    return RecordedFailure{line.text_or_empty("grant"), line.text_or_empty("host"), line.text_or_empty("reason"),
                           small(line, "port").value_or(0)};
  }
  const bool has_policy = *type == "session.policy" || *type == "session.reload" || *type == "ask.answer";
  if (*source == "supervisor" && (*type == "session.start" || has_policy)) {
    const json whole = json::parse(text.begin(), text.end(), nullptr, false);
    if (whole.is_discarded()) return std::nullopt;
    return *type == "session.start" ? start_from(whole) : policy_from(whole);
  }
  return OtherEvent{*type};
}

Result<bool> RecordReader::fill() {
  if (ended_) return false;
  if (begin_ > 0) {
    buffer_.erase(0, begin_);
    searched_ -= begin_;
    begin_ = 0;
  }
  const std::size_t had = buffer_.size();
  buffer_.resize(had + read_at_once);
  ssize_t n = 0;
  do {
    n = ::read(file_.get(), buffer_.data() + had, read_at_once);
  } while (n < 0 && errno == EINTR);
  buffer_.resize(had + (n > 0 ? static_cast<std::size_t>(n) : 0));
  if (n < 0) return fail_errno("read", escape_for_terminal(name_), errno);
  ended_ = n == 0;
  return n > 0;
}

Result<std::optional<Event>> RecordReader::next() {
  for (;;) {
    const std::size_t end = buffer_.find('\n', searched_);
    if (end == std::string::npos) {
      searched_ = buffer_.size();
      if (searched_ - begin_ > longest_line) {  // whatever it is, it isn't a line of ours
        skipping_ = true;
        begin_ = searched_;
      }
      BH_TRY(const bool more, fill());
      if (more) continue;
      // What has no newline was cut off with its writer, or is being written.
      if (begin_ < buffer_.size() || skipping_) ++broken_;
      begin_ = searched_ = buffer_.size();
      skipping_ = false;
      return std::nullopt;
    }
    const std::string_view line = std::string_view(buffer_).substr(begin_, end - begin_);
    begin_ = searched_ = end + 1;
    ++lines_;
    auto event = std::exchange(skipping_, false) ? std::nullopt : read_event(line);
    if (event) return event;
    ++broken_;
  }
}

std::optional<std::int64_t> time_of(std::string_view time) {
  // 2026-01-02T03:04:05.678901Z
  if (time.size() != 27 || time[4] != '-' || time[7] != '-' || time[10] != 'T' || time[13] != ':' || time[16] != ':' ||
      time[19] != '.' || time[26] != 'Z') {
    return std::nullopt;
  }
  const auto number = [&](std::size_t at, std::size_t size) -> int {
    int out = -1;
    const auto [end, error] = std::from_chars(time.data() + at, time.data() + at + size, out);
    return error == std::errc() && end == time.data() + at + size && time[at] != '-' ? out : -1;
  };
  const int year = number(0, 4), month = number(5, 2), day = number(8, 2);
  const int hour = number(11, 2), minute = number(14, 2), second = number(17, 2), micros = number(20, 6);
  const std::chrono::year_month_day date{std::chrono::year(year), std::chrono::month(static_cast<unsigned>(month)),
                                         std::chrono::day(static_cast<unsigned>(day))};
  if (year < 1970 || month < 0 || day < 0 || !date.ok() || hour < 0 || hour > 23 || minute < 0 || minute > 59 ||
      second < 0 || second > 60 || micros < 0) {
    return std::nullopt;
  }
  const auto days = std::chrono::sys_days(date).time_since_epoch().count();
  return ((static_cast<std::int64_t>(days) * 24 + hour) * 60 + minute) * 60'000'000 + second * 1'000'000LL + micros;
}

}  // namespace bulkhead::advice

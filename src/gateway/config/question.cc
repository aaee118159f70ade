#include "gateway/question.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "policy/json.h"
#include "policy/names.h"

namespace bulkhead {

using nlohmann::json;

namespace {

constexpr std::size_t longest_method = 32, longest_host = 260, longest_header = 64, longest_type = 128;

// What canonical requests are made of; the rest is for grant/ to refuse.
bool printable(const std::string& text, std::size_t most) {
  return text.size() <= most && std::ranges::all_of(text, [](char c) { return c > 0x1f && c < 0x7f; });
}

const char* word(lane::BodyKind body) {
  return body == lane::BodyKind::none ? "none" : body == lane::BodyKind::length ? "length" : "streamed";
}

}  // namespace

json to_json(const Question& question) {
  return {{"type", "question"},
          {"number", question.number},
          {"method", question.method},
          {"scheme", question.scheme},
          {"host", question.host},
          {"port", question.port},
          {"target", question.target},
          {"headers", question.headers},
          {"content_type", question.content_type},
          {"http2", question.http2},
          {"body", word(question.body)},
          {"length", question.body_length},
          {"credential", question.credential}};
}

Result<Question> question_from(const json& object) {
  BH_CHECK(json_read::keys(object,
                           {"type", "number", "method", "scheme", "host", "port", "target", "headers", "content_type",
                            "http2", "body", "length", "credential"},
                           "a question"));
  BH_TRY(const std::string type, json_read::string(object, "type"));
  if (type != "question") return fail("a message that is no question");
  Question question;
  BH_TRY(question.number, json_read::number(object, "number"));
  BH_TRY(question.method, json_read::string(object, "method"));
  BH_TRY(question.scheme, json_read::string(object, "scheme"));
  BH_TRY(question.host, json_read::string(object, "host"));
  BH_TRY(const std::uint64_t port, json_read::number(object, "port", 65535));
  question.port = static_cast<std::uint16_t>(port);
  BH_TRY(question.target, json_read::string(object, "target"));
  BH_TRY(question.headers, json_read::strings(object, "headers"));
  BH_TRY(question.content_type, json_read::string(object, "content_type"));
  BH_TRY(question.http2, json_read::boolean(object, "http2"));
  BH_TRY(const std::string body, json_read::string(object, "body"));
  BH_TRY(question.body_length, json_read::number(object, "length"));
  BH_TRY(question.credential, json_read::string(object, "credential"));
  bool known = false;
  for (const auto kind : {lane::BodyKind::none, lane::BodyKind::length, lane::BodyKind::streamed}) {
    if (body != word(kind)) continue;
    question.body = kind;
    known = true;
  }
  const bool bounded =
      printable(question.method, longest_method) && printable(question.host, longest_host) &&
      printable(question.target, longest_asked_target) && printable(question.content_type, longest_type) &&
      question.headers.size() <= most_asked_headers &&
      std::ranges::all_of(question.headers, [](const auto& name) { return printable(name, longest_header); });
  const bool named = question.credential.empty() || check_name(question.credential);
  if (!known || !bounded || !named || (question.scheme != "https" && question.scheme != "http") ||
      question.number == 0 || question.port == 0 ||
      (question.body != lane::BodyKind::length && question.body_length != 0)) {
    return fail("a question that no request gives rise to");
  }
  return question;
}

json question_word(const char* type, std::uint64_t number) {
  return {{"type", type}, {"number", number}};
}

Result<std::uint64_t> question_word_from(const json& object) {
  BH_CHECK(json_read::keys(object, {"type", "number"}, "a word about a question"));
  return json_read::number(object, "number");
}

}  // namespace bulkhead

// What front asks the supervisor about a request that no grant allows, so that the person at the terminal can be asked.
// Front may be one that was taken over: to the supervisor a question is text to show, and the place of a grant that the
// supervisor makes by itself and by the policy's own checks. It carries no grant, no words of front's, no header's
// value but the content type. Of a credential it says that the request holds the session's token for it; whether the
// grant may have it is for the supervisor to know.
//
//   front -> supervisor   {"type":"question","number":N,…}    N counts up from 1
//   supervisor -> front   {"type":"answered","number":N}      judge that request again; what holds by then decides
//   front -> supervisor   {"type":"ended","number":N}         the request is over, whether it was answered or not
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "base/result.h"
#include "gateway/lane.h"

namespace bulkhead {

struct Question {
  std::uint64_t number = 0;
  std::string method, scheme, host;  // host: canonical
  std::uint16_t port = 0;
  std::string target;                // path and query as received
  std::vector<std::string> headers;  // by name, those that a rule has to list
  std::string content_type;
  std::string credential;  // whose token its slot holds; empty: it carries none
  bool http2 = false;
  lane::BodyKind body = lane::BodyKind::none;
  std::uint64_t body_length = 0;
};

// A question that is larger is not asked.
inline constexpr std::size_t longest_asked_target = 2000, most_asked_headers = 32;

nlohmann::json to_json(const Question& question);
// Strict, and bounded: an error is a front that is not ours.
Result<Question> question_from(const nlohmann::json& object);

// The two that are a number alone; `type` is "answered" or "ended".
nlohmann::json question_word(const char* type, std::uint64_t number);
Result<std::uint64_t> question_word_from(const nlohmann::json& object);

}  // namespace bulkhead

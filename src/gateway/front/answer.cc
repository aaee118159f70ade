#include "gateway/front/answer.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "gateway/http/http.h"

namespace bulkhead::front {
namespace {

// JSON when the client names it before any text type. No weights: this is about an error's looks.
bool wants_json(const lane::Headers& request) {
  for (const auto& [name, value] : request) {
    if (name != "accept") continue;
    const auto json = value.find("application/json");
    return json != std::string::npos && json < std::min(value.find("text/"), value.size());
  }
  return false;
}

std::string json_body(const Answer& answer) {
  std::string message = answer.text;
  if (!answer.add.empty()) message += "\n\nto allow it, add:\n" + answer.add;
  const char* type = answer.kind == Kind::denied ? "bulkhead_denied" : "bulkhead_failed";
  const nlohmann::json body{{"error", {{"type", type}, {"message", message}}}};
  return body.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

std::string text_body(const Answer& answer) {
  std::string body = "Bulkhead: " + answer.text + "\n";
  if (!answer.add.empty()) body += "\nto allow it, add:\n\n" + answer.add + (answer.add.ends_with('\n') ? "" : "\n");
  return body;
}

}  // namespace

std::string serialise(const Answer& answer, const lane::Headers& request, bool keep_alive, bool head) {
  const bool json = wants_json(request);
  const std::string body = json ? json_body(answer) : text_body(answer);
  const lane::Headers headers{{"content-type", json ? "application/json" : "text/plain; charset=utf-8"},
                              {"x-content-type-options", "nosniff"},
                              {"cache-control", "no-store"},
                              {"x-bulkhead", answer.kind == Kind::denied ? "denied" : "failed"}};
  std::string out = http::serialise_response(
      answer.status, headers, head ? lane::BodyKind::none : lane::BodyKind::length, body.size(), keep_alive, head);
  return head ? out : out + body;
}

}  // namespace bulkhead::front

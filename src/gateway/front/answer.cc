#include "gateway/front/answer.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/text.h"
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

const char* shown(Kind kind) {
  return kind == Kind::denied ? "denied" : "failed";
}

// PERMISSION_DENIED, RESOURCE_EXHAUSTED, UNAVAILABLE (gRPC's statuscodes.md).
int grpc_status(const Answer& answer) {
  if (answer.status == 429) return 8;
  return answer.kind == Kind::denied ? 7 : 14;
}

// gRPC's PROTOCOL-HTTP2.md, "Percent-Encoded"; cut where a header would get too long.
std::string percent_encoded(std::string_view text) {
  constexpr std::size_t longest = 4096;
  constexpr std::string_view digits = "0123456789ABCDEF";
  std::string out;
  for (const char c : text.substr(0, longest)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte < 0x7f && c != '%') {
      out += c;
    } else {
      out += {'%', digits[byte >> 4], digits[byte & 15]};
    }
  }
  return out;
}

}  // namespace

Page page_of(const Answer& answer, const lane::Headers& request) {
  const bool json = wants_json(request);
  return {.status = answer.status,
          .headers = {{"content-type", json ? "application/json" : "text/plain; charset=utf-8"},
                      {"x-content-type-options", "nosniff"},
                      {"cache-control", "no-store"},
                      {"x-bulkhead", shown(answer.kind)}},
          .body = json ? json_body(answer) : text_body(answer)};
}

bool is_grpc(const lane::Headers& request) {
  return std::any_of(request.begin(), request.end(), [](const auto& header) {
    return header.first == "content-type" && lower_ascii(header.second).starts_with("application/grpc");
  });
}

Page grpc_page_of(const Answer& answer) {
  std::string message = "Bulkhead: " + answer.text;
  if (!answer.add.empty()) message += "\n\nto allow it, add:\n" + answer.add;
  return {.status = 200,
          .headers = {{"content-type", "application/grpc"},
                      {"grpc-status", std::to_string(grpc_status(answer))},
                      {"grpc-message", percent_encoded(message)},
                      {"x-bulkhead", shown(answer.kind)}},
          .body = {}};
}

std::string serialise(const Answer& answer, const lane::Headers& request, bool keep_alive, bool head) {
  const Page page = page_of(answer, request);
  std::string out =
      http::serialise_response(page.status, page.headers, head ? lane::BodyKind::none : lane::BodyKind::length,
                               page.body.size(), keep_alive, head);
  return head ? out : out + page.body;
}

}  // namespace bulkhead::front

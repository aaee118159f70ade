#include "gateway/egress/answer.h"

#include <algorithm>

#include "base/text.h"
#include "gateway/egress/limits.h"
#include "gateway/egress/response.h"
#include "gateway/grant/json_redact.h"
#include "policy/units.h"

namespace bulkhead::egress {
namespace {

lane::Failure refused(std::string text) {
  return {403, "response", std::move(text)};
}

// Without parameters, lower case; empty where there is none or more than one.
std::string media_type(const lane::Headers& headers) {
  std::string type;
  for (const auto& [name, value] : headers) {
    if (name != "content-type") continue;
    if (!type.empty() || value.find(',') != std::string::npos) return {};
    type = lower_ascii(trim_blanks(std::string_view(value).substr(0, value.find(';'))));
  }
  return type;
}

// RFC 6839 §3.1: what ends so is JSON too.
bool is_json(std::string_view type) {
  return type == "application/json" || (type.starts_with("application/") && type.ends_with("+json"));
}

}  // namespace

std::optional<lane::Failure> AnswerRules::too_large() const {
  if (!rules_.max_body || bytes_ <= *rules_.max_body) return std::nullopt;
  return refused("the answer is larger than the " + size_text(*rules_.max_body) + " the grant lets in");
}

std::optional<lane::Failure> AnswerRules::head(const http::ResponseHead& head) {
  if (head.body == lane::BodyKind::none) return std::nullopt;
  const std::string type = media_type(head.headers);
  const auto about = [&] {
    return "the answer (status " + std::to_string(head.status) + ") is of " +
           (type.empty() ? "no one type" : "\"" + escape_for_terminal(type, 80) + "\"");
  };
  if (rules_.content_type && std::ranges::find(*rules_.content_type, type) == rules_.content_type->end()) {
    return refused(about() + "; the grant lets in " + join(*rules_.content_type, ", "));
  }
  if (!rules_.streaming && type == "text/event-stream") {
    return refused("the answer is an event stream, and the grant says streaming = false");
  }
  if (reads() && (!is_json(type) || encoded(head.headers))) {
    return refused(about() + (is_json(type) ? ", but encoded" : "") +
                   "; only of plain JSON can values be taken out, as the grant asks");
  }
  if (head.body == lane::BodyKind::length) {
    bytes_ = head.body_length;
    auto failure = too_large();
    bytes_ = 0;
    return failure;
  }
  return std::nullopt;
}

std::optional<lane::Failure> AnswerRules::more(std::size_t bytes) {
  bytes_ += bytes;
  return too_large();
}

std::optional<lane::Failure> AnswerRules::finish(std::string& body, IssuedValues* values,
                                                 std::vector<std::uint32_t>& issued) const {
  if (!reads()) return std::nullopt;
  const auto not_this = [](std::string_view why) {
    return tl::unexpected(grant::JsonRefusal{"what the server hands out can't be kept: " + std::string(why)});
  };
  // Looked at once without keeping anything: of an answer that is refused nothing stays.
  std::size_t count = 0;
  auto changed = grant::redact_json(rules_.redact, body, rules_.issue,
                                    [&](std::string_view value) -> tl::expected<std::string, grant::JsonRefusal> {
                                      if (values == nullptr) return not_this("this grant has no credential for it");
                                      if (++count > max_issued_at_once)
                                        return not_this("there are too many in one answer");
                                      if (const auto why = values->unfit(value)) return not_this(*why);
                                      return "";
                                    });
  if (changed && count > 0) {
    changed = grant::redact_json(rules_.redact, body, rules_.issue,
                                 [&](std::string_view value) -> tl::expected<std::string, grant::JsonRefusal> {
                                   const auto number = values->keep(value);
                                   if (!number) return not_this(number.error().message);
                                   if (std::ranges::find(issued, *number) == issued.end()) issued.push_back(*number);
                                   return values->token(*number);
                                 });
  }
  if (!changed) return refused("values can't be taken out of the answer, as the grant asks: " + changed.error().text);
  std::swap(body, *changed);
  wipe(*changed);
  return std::nullopt;
}

}  // namespace bulkhead::egress

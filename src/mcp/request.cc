#include "mcp/request.h"

#include <openssl/evp.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "base/text.h"

namespace bulkhead::mcp {
namespace {

using nlohmann::json;
using Refused = tl::unexpected<Reply>;

constexpr int header_mismatch = -32020;
constexpr std::size_t longest_session_id = 128;

Refused refuse(std::uint16_t status, int code, const std::string& why) {
  return Refused(refused(status, code, why));
}

std::vector<std::string_view> values_of(const http::RequestHead& head, std::string_view name) {
  std::vector<std::string_view> values;
  for (const auto& [field, value] : head.headers) {
    if (field == name) values.emplace_back(value);
  }
  return values;
}

// Of a field that is there once at most.
tl::expected<std::optional<std::string>, Reply> only(const http::RequestHead& head, std::string_view name) {
  const auto values = values_of(head, name);
  if (values.size() > 1) {
    return refuse(400, header_mismatch, "the header " + std::string(name) + " is there more than once");
  }
  if (values.empty()) return std::nullopt;
  return std::string(values[0]);
}

std::string_view media_type(std::string_view value) {
  return trim_blanks(value.substr(0, value.find(';')));
}

// RFC 9110 §12.4.2: a weight of nought is a no.
bool refuses_it(const std::vector<std::string>& parameters) {
  return std::ranges::any_of(parameters, [](const std::string& parameter) {
    std::string text = lower_ascii(trim_blanks(parameter));
    return text.starts_with("q=0") && text.find_first_not_of("0.", 2) == std::string::npos;
  });
}

// Does a client that accepts this take `type`? RFC 9110 §12.5.1, as far as two types need it.
bool accepts(const std::vector<std::string_view>& fields, std::string_view type) {
  const std::string group = std::string(type.substr(0, type.find('/'))) + "/*";
  for (const std::string_view field : fields) {
    for (const std::string& range : split(field, ',')) {
      std::vector<std::string> parts = split(range, ';');
      const std::string name = lower_ascii(trim_blanks(parts[0]));
      if (name != type && name != group && name != "*/*") continue;
      parts.erase(parts.begin());
      if (!refuses_it(parts)) return true;
    }
  }
  return false;
}

std::optional<std::string> from_base64(std::string_view text) {
  if (text.size() % 4 != 0 || text.size() > 4096) return std::nullopt;
  std::string out(text.size() / 4 * 3, '\0');
  const int n = ::EVP_DecodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                                  reinterpret_cast<const unsigned char*>(text.data()), static_cast<int>(text.size()));
  if (n < 0) return std::nullopt;
  const std::size_t padding = text.ends_with("==") ? 2 : text.ends_with("=") ? 1 : 0;
  out.resize(static_cast<std::size_t>(n) - std::min<std::size_t>(padding, static_cast<std::size_t>(n)));
  return out;
}

// What a header that mirrors a value of the body says: as it is, or behind the revision's mark for base64.
std::optional<std::string> mirrored(const std::string& value) {
  constexpr std::string_view begin = "=?base64?", end = "?=";
  if (value.size() < begin.size() + end.size() || !value.starts_with(begin) || !value.ends_with(end)) return value;
  return from_base64(std::string_view(value).substr(begin.size(), value.size() - begin.size() - end.size()));
}

tl::expected<void, Reply> same(const http::RequestHead& head, const Incoming& incoming, const char* name,
                               const json& meant) {
  const auto value = only(head, name);
  if (!value) return Refused(value.error());
  const auto said = *value ? mirrored(**value) : std::nullopt;
  if (said && meant.is_string() && meant == *said) return {};
  return Refused({400,
                  error_of(incoming.id, header_mismatch,
                           std::string("the header ") + name +
                               (*value ? " says something else than the message" : " has to be there")),
                  {}});
}

// As since 2026-07-28: what others on the way may have judged by is what we do.
tl::expected<void, Reply> mirrors(const http::RequestHead& head, const Incoming& incoming) {
  if (incoming.id.is_null()) return {};  // of a notification the revision asks for no headers
  const json meta = incoming.params.value("_meta", json::object());
  const json version = meta.is_object() ? meta.value(version_key, json()) : json();
  if (auto done = same(head, incoming, "mcp-protocol-version", version); !done) return done;
  if (auto done = same(head, incoming, "mcp-method", incoming.method); !done) return done;
  if (incoming.method != "tools/call") return {};
  return same(head, incoming, "mcp-name", incoming.params.value("name", json()));
}

}  // namespace

Reply refused(std::uint16_t status, int code, const std::string& why) {
  return {status, error_of(nullptr, code, why), {}};
}

std::optional<Reply> refuse_head(const http::RequestHead& head) {
  // Programs send none. A page whose name was made to lead here does (DNS rebinding), and so does one that asks by way
  // of a forwarder.
  if (!values_of(head, "origin").empty()) {
    return refused(403, invalid_request, "requests of web pages (Origin) are not answered here");
  }
  if (head.target != endpoint) {
    return refused(404, invalid_request, std::string("there is nothing but ") + endpoint + " here");
  }
  if (head.method != "POST" && head.method != "DELETE") {
    Reply reply = refused(405, invalid_request, "only POST and DELETE; nothing is said here that was not asked for");
    reply.headers.emplace_back("allow", "POST, DELETE");
    return reply;
  }
  if (head.websocket) return refused(400, invalid_request, "WebSockets are not spoken here");
  if (head.method == "DELETE") {
    if (head.body != lane::BodyKind::none) return refused(400, invalid_request, "a DELETE has no body");
    return std::nullopt;
  }
  const auto types = values_of(head, "content-type");
  if (types.size() != 1 || lower_ascii(media_type(types[0])) != "application/json") {
    return refused(415, invalid_request, "Content-Type has to be application/json");
  }
  const auto accepted = values_of(head, "accept");
  if (!accepts(accepted, "application/json") || !accepts(accepted, "text/event-stream")) {
    return refused(406, invalid_request, "Accept has to name application/json and text/event-stream");
  }
  if (!values_of(head, "content-encoding").empty()) {
    return refused(415, invalid_request, "Content-Encoding is not supported");
  }
  if (head.body == lane::BodyKind::length && head.body_length > max_body) {
    return refused(413, invalid_request, "a message is longer than 32 MiB");
  }
  return std::nullopt;
}

tl::expected<std::optional<std::string>, Reply> session_named(const http::RequestHead& head) {
  auto id = only(head, "mcp-session-id");
  const auto visible = [](char c) { return c > 0x20 && c < 0x7f; };
  if (id && *id && ((*id)->empty() || (*id)->size() > longest_session_id || !std::ranges::all_of(**id, visible))) {
    return refuse(404, invalid_request, "there is no such session; begin again with initialize");
  }
  return id;
}

tl::expected<std::optional<Incoming>, Reply> judge_message(const http::RequestHead& head, std::string_view body) {
  Heard heard = hear(body);
  if (!heard.refusal.is_null()) return Refused({400, std::move(heard.refusal), {}});
  if (!heard.incoming) return std::nullopt;  // an answer; we asked for nothing
  const Incoming& incoming = *heard.incoming;
  const auto version = only(head, "mcp-protocol-version");
  if (!version) return Refused(version.error());
  if (*version && !is_version(**version)) {
    return Refused({400, unsupported(incoming.id, **version), {}});
  }
  if (incoming.stateless || (*version && **version == stateless_version)) {
    if (auto right = mirrors(head, incoming); !right) return Refused(right.error());
    heard.incoming->stateless = true;
  }
  return std::move(heard.incoming);
}

std::uint16_t status_of(const Incoming& incoming, const json& answer) {
  const auto error = answer.find("error");
  if (error == answer.end() || !incoming.stateless) return 200;
  return error->value("code", 0) == method_not_found ? 404 : 200;
}

}  // namespace bulkhead::mcp

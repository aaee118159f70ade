// What a client of `bulkhead mcp --socket` sends: a request is read and judged as the server does, and what is let
// through says the same in its headers as in its message, comes from no page, and can be answered. The same bytes as a
// line on standard input are understood or refused.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "expect.h"
#include "gateway/http/http.h"
#include "mcp/call.h"
#include "mcp/protocol.h"
#include "mcp/request.h"

namespace {

using namespace bulkhead;
using nlohmann::json;

// The only one of its name; "" for none.
std::string header(const http::RequestHead& head, std::string_view name) {
  std::string value;
  std::size_t count = 0;
  for (const auto& [field, text] : head.headers) {
    if (field != name) continue;
    value = text;
    ++count;
  }
  expect(count <= 1);
  return value;
}

// Whatever it asks, an answer can be made of it, and is JSON again.
void answered(const mcp::Incoming& incoming) {
  expect(incoming.params.is_object());
  expect(incoming.id.is_null() || incoming.id.is_string() || incoming.id.is_number_integer());
  json answer = mcp::answer_at_once(incoming);
  if (answer.is_null()) answer = mcp::error_of(incoming.id, mcp::method_not_found, incoming.method);
  (void)mcp::wants_progress(incoming);
  const json again = json::parse(mcp::line_of(answer), nullptr, false);
  expect(again.is_object() && again["id"] == incoming.id);
}

void refused(const mcp::Reply& reply) {
  expect(reply.status >= 400 && reply.status < 500);
  expect(json::parse(mcp::line_of(reply.body), nullptr, false).is_object());
}

void judged(const http::RequestHead& head, std::string_view body) {
  if (const auto refusal = mcp::refuse_head(head)) return refused(*refusal);
  expect(head.target == "/mcp" && (head.method == "POST" || head.method == "DELETE") && !head.websocket);
  for (const auto& [name, value] : head.headers) expect(name != "origin");
  const auto session = mcp::session_named(head);
  if (session && *session) expect(!(*session)->empty() && (*session)->find_first_of(" \r\n") == std::string::npos);
  if (head.method == "DELETE") return;
  expect(header(head, "content-type").size() >= std::string_view("application/json").size());
  const auto message = mcp::judge_message(head, body);
  if (!message) return refused(message.error());
  if (!*message) return;
  const mcp::Incoming& incoming = **message;
  answered(incoming);
  const std::string version = header(head, "mcp-protocol-version");
  expect(version.empty() || mcp::is_version(version));
  if (!incoming.stateless) return expect(version != mcp::stateless_version);
  if (incoming.id.is_null()) return;
  expect(version == mcp::stateless_version && incoming.params["_meta"][mcp::version_key] == mcp::stateless_version);
  const std::string method = header(head, "mcp-method"), name = header(head, "mcp-name");
  expect(method == incoming.method || method.starts_with("=?base64?"));
  if (incoming.method != "tools/call") return;
  expect(incoming.params["name"] == name || name.starts_with("=?base64?"));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  const mcp::Heard heard = mcp::hear(text);
  if (heard.incoming) answered(*heard.incoming);
  if (!heard.refusal.is_null()) expect(json::parse(mcp::line_of(heard.refusal), nullptr, false).is_object());
  http::RequestReader reader({.head = 16U << 10, .headers = 64, .target = 1024});
  std::string body;
  while (!text.empty() && reader.state() == http::State::head) {
    const auto taken = reader.feed(text, body);
    if (!taken) return 0;
    text.remove_prefix(*taken);
  }
  // What frames the body is http_fuzz's; here it is the rest, whatever was said of its length.
  if (reader.state() != http::State::head) judged(reader.head(), text);
  return 0;
}

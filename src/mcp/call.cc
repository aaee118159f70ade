#include "mcp/call.h"

#include <string>

#include "mcp/tools.h"

namespace bulkhead::mcp {
namespace {

using nlohmann::json;

json progress_token(const Incoming& incoming) {
  const json meta = incoming.params.value("_meta", json::object());
  return meta.is_object() ? meta.value("progressToken", json()) : json();
}

}  // namespace

bool wants_progress(const Incoming& incoming) {
  return !progress_token(incoming).is_null();
}

json answer_call(Session& session, const Incoming& incoming, Wanted& wanted, const WhileItRuns& meanwhile) {
  const json name = incoming.params.value("name", json());
  if (!name.is_string()) return error_of(incoming.id, invalid_params, "name has to be a string");
  ToolCall what{name, incoming.params.value("arguments", json::object()), &wanted};
  what.passing = meanwhile.passing;
  const json token = progress_token(incoming);
  std::size_t bytes = 0;
  if (!token.is_null()) {
    what.heard = [&](std::string_view text) {
      bytes += text.size();
      meanwhile.tell({{"jsonrpc", "2.0"},
                      {"method", "notifications/progress"},
                      {"params", {{"progressToken", token}, {"progress", bytes}, {"message", std::string(text)}}}});
    };
  }
  const auto answer = call_tool(session, what);
  if (wanted.cancelled) return nullptr;
  if (!answer) return error_of(incoming.id, invalid_params, answer.error().message);
  return result_of(
      incoming, {{"content", json::array({{{"type", "text"}, {"text", answer->text}}})}, {"isError", answer->failed}});
}

}  // namespace bulkhead::mcp

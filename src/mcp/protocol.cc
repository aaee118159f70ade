#include "mcp/protocol.h"

#include <algorithm>
#include <array>

#include "mcp/tools.h"

namespace bulkhead::mcp {
namespace {

using nlohmann::json;

constexpr std::array versions{"2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"};
constexpr int max_depth = 64;
constexpr int cached_for = 3'600'000;  // milliseconds: what the tools are never changes

json about_us() {
  return {{"name", "bulkhead"}, {"title", "Bulkhead"}, {"version", BULKHEAD_VERSION}};
}

constexpr const char* instructions =
    "These tools act inside a sandboxed session, on its own files and processes; use them for all commands and files. "
    "What is not allowed there is refused with the reason.";

bool is_id(const json& value) {
  return value.is_string() || value.is_number_integer();
}

json initialized(const Incoming& incoming) {
  const json asked = incoming.params.value("protocolVersion", json());
  std::string version = versions[0];
  if (asked.is_string() && std::ranges::find(versions, asked.get<std::string>()) != versions.end()) version = asked;
  return {{"protocolVersion", version},
          {"capabilities", {{"tools", json::object()}}},
          {"serverInfo", about_us()},
          {"instructions", instructions}};
}

json discovered() {
  json supported = json::array({stateless_version});
  for (const char* version : versions) supported.push_back(version);
  return {{"supportedVersions", supported},
          {"capabilities", {{"tools", json::object()}}},
          {"serverInfo", about_us()},
          {"instructions", instructions},
          {"ttlMs", cached_for},
          {"cacheScope", "public"}};
}

}  // namespace

bool is_version(std::string_view text) {
  return text == stateless_version || std::ranges::find(versions, text) != versions.end();
}

json unsupported(const json& id, const json& asked) {
  json out = error_of(id, unsupported_version, "this revision of the protocol is not supported");
  out["error"]["data"] = {{"supported", discovered()["supportedVersions"]}, {"requested", asked}};
  return out;
}

json error_of(const json& id, int code, const std::string& message) {
  return {{"jsonrpc", "2.0"}, {"id", id}, {"error", {{"code", code}, {"message", message}}}};
}

json result_of(const Incoming& to, json result) {
  if (to.stateless) result["resultType"] = "complete";
  return {{"jsonrpc", "2.0"}, {"id", to.id}, {"result", std::move(result)}};
}

std::string line_of(const json& message) {
  return message.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
}

Heard hear(std::string_view line) {
  Heard out;
  // What is nested without end would be copied and written with as much stack.
  bool deep = false;
  const auto shallow = [&](int depth, json::parse_event_t, const json&) { return !(deep = deep || depth > max_depth); };
  const json message = json::parse(line, shallow, false);
  if (deep) {
    out.refusal = error_of(nullptr, parse_error, "it is nested more than 64 deep");
    return out;
  }
  if (message.is_discarded()) {
    out.refusal = error_of(nullptr, parse_error, "this line is no JSON");
    return out;
  }
  if (!message.is_object() || message.value("jsonrpc", json()) != "2.0") {
    out.refusal = error_of(nullptr, invalid_request, "a message is an object with \"jsonrpc\": \"2.0\"");
    return out;
  }
  const json id = message.value("id", json());
  if (!message.contains("method")) return out;  // an answer: we asked for nothing
  if (!message["method"].is_string() || (message.contains("id") && !is_id(id))) {
    out.refusal = error_of(nullptr, invalid_request, "method has to be a string, and id a string or a whole number");
    return out;
  }
  Incoming incoming{message["method"], id, message.value("params", json::object())};
  if (!incoming.params.is_object()) {
    if (!id.is_null()) out.refusal = error_of(id, invalid_params, "params has to be an object");
    return out;
  }
  const json meta = incoming.params.value("_meta", json::object());
  if (meta.is_object() && meta.contains(version_key)) {
    const json& asked = meta[version_key];
    const bool old = asked.is_string() && std::ranges::find(versions, asked.get<std::string>()) != versions.end();
    incoming.stateless = !old;
    if (!old && asked != stateless_version && !id.is_null()) {
      out.refusal = unsupported(id, asked);
      return out;
    }
  }
  out.incoming = std::move(incoming);
  return out;
}

json answer_at_once(const Incoming& incoming) {
  if (incoming.method == "initialize") return result_of(incoming, initialized(incoming));
  if (incoming.method == "server/discover") return result_of(incoming, discovered());
  if (incoming.method == "ping") return result_of(incoming, json::object());
  if (incoming.method != "tools/list") return nullptr;
  json result{{"tools", tool_list()}};
  if (incoming.stateless) result.update({{"ttlMs", cached_for}, {"cacheScope", "public"}});
  return result_of(incoming, std::move(result));
}

}  // namespace bulkhead::mcp

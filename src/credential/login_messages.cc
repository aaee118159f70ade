#include "credential/login_messages.h"

#include <nlohmann/json.hpp>

#include "base/ipc.h"
#include "credential/source.h"
#include "policy/json.h"

namespace bulkhead {

using nlohmann::json;

namespace {

json fields_of(const char* type, const LoginTokens& tokens) {
  return {{"type", type},
          {"access", tokens.access.reveal()},
          {"refresh", tokens.refresh.reveal()},
          {"id", tokens.id.reveal()}};
}

Result<void> send_wiped(int socket, const json& object) {
  std::string text = object.dump(-1, ' ', true, json::error_handler_t::replace);
  auto sent = ipc::send(socket, std::string_view(text));
  wipe(text);
  return sent;
}

Result<LoginTokens> read(const json& object) {
  LoginTokens tokens;
  for (const auto& [key, into] :
       {std::pair{"access", &tokens.access}, {"refresh", &tokens.refresh}, {"id", &tokens.id}}) {
    BH_TRY(std::string text, json_read::string(object, key));
    if (text.size() > max_secret) return fail("a token that is too long");
    *into = Secret(text);
    wipe(text);
  }
  if (tokens.access.empty()) return fail("no access token");
  return tokens;
}

}  // namespace

json to_json(const LoginRequest& request) {
  const auto& become = request.become;
  return {{"type", "login"},
          {"name", request.name},
          {"login", to_json(request.login)},
          {"slot", to_json(request.slot)},
          {"uid", become ? json(become->first) : json(nullptr)},
          {"gid", become ? json(become->second) : json(nullptr)}};
}

Result<LoginRequest> login_request_from(const json& object) {
  BH_CHECK(json_read::keys(object, {"type", "name", "login", "slot", "uid", "gid"}, "the request"));
  LoginRequest request;
  BH_TRY(request.name, json_read::string(object, "name"));
  if (request.name.empty() || request.name.find('/') != std::string::npos) return fail("a name that is none");
  BH_TRY(request.login, login_from(object.at("login")));
  BH_TRY(request.slot, slot_from(object.at("slot")));
  if (object.at("uid").is_null() && object.at("gid").is_null()) return request;
  BH_TRY(const std::uint64_t uid, json_read::number(object, "uid", 0xfffffffe));
  BH_TRY(const std::uint64_t gid, json_read::number(object, "gid", 0xfffffffe));
  request.become = {static_cast<uid_t>(uid), static_cast<gid_t>(gid)};
  return request;
}

Result<void> send_tokens(int socket, const LoginTokens& tokens) {
  return send_wiped(socket, fields_of("tokens", tokens));
}

Result<void> send_store(int socket, const StoreRequest& request) {
  json object = fields_of("store", request.tokens);
  object["expires_in"] = request.expires_in;
  return send_wiped(socket, object);
}

Result<LoginTokens> tokens_from(const json& object) {
  BH_CHECK(json_read::keys(object, {"type", "access", "refresh", "id"}, "the tokens"));
  return read(object);
}

Result<StoreRequest> store_from(const json& object) {
  BH_CHECK(json_read::keys(object, {"type", "access", "refresh", "id", "expires_in"}, "the new tokens"));
  StoreRequest request;
  BH_TRY(request.tokens, read(object));
  BH_TRY(request.expires_in, json_read::number(object, "expires_in"));
  return request;
}

}  // namespace bulkhead

// What bulkhead-login is told, and what it and its egress say to each other. SOCK_SEQPACKET, JSON (docs/formats.md).
//
//   supervisor -> login  {"type":"login","name":…,"login":…,"slot":…,"uid":U,"gid":G}   one socket attached: the
//   egress' login -> supervisor  {"type":"read","error":…,"missing":…,"notes":[…],"inside":…}   `inside`: the session's
//   file;
//                                                 `missing`: the error is that nobody is logged in
//   supervisor -> login  {"type":"release"}       the start is on the disk
//   login -> supervisor  {"type":"ready"}         the egress has the tokens
//   login -> supervisor  {"type":"said","text":…} for the person: what is new could not be written to the file
//
//   login -> egress      {"type":"tokens","access":…,"refresh":…,"id":…}
//   egress -> login      {"type":"begin"}         a refresh: nobody else's, of this file, until it is over
//   login -> egress      {"type":"begun"}, {"type":"tokens",…} where the file holds others by now, or {"type":"busy"}
//   egress -> login      {"type":"store","access":…,"refresh":…,"id":…,"expires_in":N}   over: an empty one stays
//   login -> egress      {"type":"stored","written":…,"why":…}
//   egress -> login      {"type":"end"}           over without new tokens
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <utility>

#include "base/result.h"
#include "credential/login.h"

namespace bulkhead {

struct LoginRequest {
  std::string name;  // of the file, in the folder on descriptor 4
  Login login;
  TokenSlot slot;
  std::optional<std::pair<uid_t, gid_t>> become;
};
nlohmann::json to_json(const LoginRequest& request);
Result<LoginRequest> login_request_from(const nlohmann::json& object);

struct StoreRequest {
  LoginTokens tokens;
  std::uint64_t expires_in = 0;
};

// These carry secrets: the text is wiped once it is sent, or read.
Result<void> send_tokens(int socket, const LoginTokens& tokens);
Result<void> send_store(int socket, const StoreRequest& request);
Result<LoginTokens> tokens_from(const nlohmann::json& object);
Result<StoreRequest> store_from(const nlohmann::json& object);

}  // namespace bulkhead

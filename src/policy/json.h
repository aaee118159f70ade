// Grant <-> JSON, for the processes that judge requests (gateway/gateway.h). Decoding is strict: a
// missing key, an unknown one, a wrong type or a word nobody knows is an error, so that two
// versions never half understand each other.
#pragma once

#include <cstdint>
#include <limits>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "base/result.h"
#include "policy/policy.h"

namespace bulkhead {

nlohmann::json to_json(const Grant& grant);
Result<Grant> grant_from(const nlohmann::json& object);

// For the processes that hold an agent's login.
nlohmann::json to_json(const Login& login);
Result<Login> login_from(const nlohmann::json& object);

// 16 hex digits that two rules (or two grants, whatever their ids) share when they say the same. It tells versions of a
// policy apart in evidence; it is no proof of anything.
std::string fingerprint(const Rule& rule);
std::string fingerprint(const Grant& grant);

const char* name_of(Credential::Carrier carrier);
Result<Credential::Carrier> carrier_from(const nlohmann::json& object, const char* key);

// Reading objects: each of these is an error when the key is absent or of another type.
namespace json_read {
// Exactly these keys, no more and no fewer.
Result<void> keys(const nlohmann::json& object, const std::vector<std::string>& expected, const char* what);
Result<std::string> string(const nlohmann::json& object, const char* key);
Result<bool> boolean(const nlohmann::json& object, const char* key);
Result<std::uint64_t> number(const nlohmann::json& object, const char* key,
                             std::uint64_t most = std::numeric_limits<std::int64_t>::max());
Result<std::vector<std::string>> strings(const nlohmann::json& object, const char* key);
// The value itself, known to be an array or an object.
Result<const nlohmann::json*> array(const nlohmann::json& object, const char* key);
Result<const nlohmann::json*> object(const nlohmann::json& object, const char* key);
}  // namespace json_read

}  // namespace bulkhead

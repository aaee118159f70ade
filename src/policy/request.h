// A PolicyRequest as JSON: a session keeps what its policy was made from, so that it can be loaded again.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "policy/effective.h"

namespace bulkhead {

nlohmann::json to_json(const PolicyRequest& request);
Result<PolicyRequest> policy_request_from(const nlohmann::json& object);

}  // namespace bulkhead

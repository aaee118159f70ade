// A refresh of an agent's login (RFC 6749 §6): the one request that is granted at a token endpoint. Its body is read by
// a strict reader and made anew of what was read, so that what goes up is what was judged.
#pragma once

#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <utility>
#include <vector>

#include "gateway/gateway.h"
#include "gateway/lane.h"
#include "policy/policy.h"

namespace bulkhead::grant {

using RefreshFields = std::vector<std::pair<std::string, std::string>>;  // in the order they came

// `form`: application/x-www-form-urlencoded, else JSON. Allowed is grant_type=refresh_token, the session's own refresh
// token, and what the login may send beside them, each once. A failure is what to answer.
tl::expected<RefreshFields, lane::Failure> judge_refresh(const Login& login, const TokenSlot& slot, bool form,
                                                         std::string_view body);

// The same with the real refresh token; the caller wipes it.
std::string refresh_body(const RefreshFields& fields, bool form, std::string_view real);

}  // namespace bulkhead::grant

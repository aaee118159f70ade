// Which request headers a rule lets through. A header is a parameter of the function that is called: servers take
// options, scopes and whole commands from names nobody here has heard of, so what no rule names and what is not
// everyday is refused (and with it every channel of that kind).
#pragma once

#include <string>
#include <string_view>

#include "policy/policy.h"

namespace bulkhead::grant {

// Headers that HTTP itself, browsers' fetch and tracing define, and that ask for nothing but another form of the same
// answer (RFC 9110, RFC 9111, RFC 9218, Fetch, W3C Trace Context). `folded` as folded_name() has it.
bool everyday_header(std::string_view folded);

// Everyday, or listed by the rule. `name` is lower case. Credentials, overrides and what front drops are judged
// elsewhere (carrier.h, grant.cc): a list never lets them through.
bool header_listed(const Rule& rule, std::string_view name);

}  // namespace bulkhead::grant

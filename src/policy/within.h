// Is one rule, or one grant, no more than another? For loading a policy again: what is within what held before takes
// effect at once, what is not is a widening, which somebody has to want. Where that can't be told, it is not within.
#pragma once

#include "policy/policy.h"

namespace bulkhead {

bool within(const Rule& rule, const Rule& before);
bool within(const ResponseRules& rules, const ResponseRules& before);
// Every host of a wildcard counts; an enumerated name below a wildcard is within it.
bool within(const std::string& host, const std::vector<std::string>& before);
// The lists of a rule. A plain key allows any value of it; `key=value` has to be there, with a value that is listed: a
// list without it asks for less. Names of headers may be the start of one and `*`.
bool query_within(const std::vector<std::string>& query, const std::vector<std::string>& before);
bool headers_within(const std::vector<std::string>& headers, const std::vector<std::string>& before);

// What both `grant` and `before` allow, two grants for the same port, protocol, credential and address: the hosts and,
// rule by rule, the requests of both, the smaller budget, expiry and number of labels, the stricter answers. No host or
// (but for tcp) no rule left: nothing.
struct Common {
  Grant grant;
  bool whole = false;  // it is all of `grant`: that is within `before`
  bool anything() const { return !grant.hosts.empty() && (!grant.allow.empty() || grant.protocol == Protocol::tcp); }
};
Common common_part(const Grant& grant, const Grant& before);

}  // namespace bulkhead

// What Reader and bulkhead-look say to each other, one SEQPACKET message each: JSON with the rule, and the bytes beside
// it in a memory file; back comes no JSON, since who answers may have been taken over.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "base/result.h"
#include "trust/catalogue.h"
#include "trust/judge.h"

namespace bulkhead::trust {

// Only what a judgement of bytes takes; not a git config's.
nlohmann::json look_request(const Rule& rule);
Result<Rule> rule_from(const nlohmann::json& request);

// One byte for `counts`, then each line ended by a NUL. A NUL within a line becomes U+2400.
std::string look_answer(const Judgement& judgement);
// Bounded in number and length as judge.h's are, or an error.
Result<Judgement> judgement_from(std::string_view answer);

}  // namespace bulkhead::trust

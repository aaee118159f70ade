// What may be granted for one request, for a person to be asked about: the tightest grant for it, or the preset that
// stands for it. As with propose.h, nothing of the request gets into it but what the policy's own checks accept; and
// what comes out is judged once: it allows this request, and it carries no credential.
#pragma once

#include <string>
#include <vector>

#include "advice/propose.h"
#include "base/result.h"
#include "gateway/grant/grant.h"
#include "gateway/question.h"

namespace bulkhead::advice {

struct Offer {
  std::vector<Grant> once;    // this request, byte for byte of its head's first line, and no second one
  std::vector<Grant> grants;  // for longer
  std::string toml;           // … as a policy file has them
  std::string preset;         // which they are from, or empty
};

// The head of the request that is asked about, as far as it is told: what to judge. Of headers only that they are
// there.
grant::RequestHead head_of(const Question& question);

// An error: nobody is to be asked, and why.
Result<Offer> offer_for(const Question& question, const Known& known);

}  // namespace bulkhead::advice

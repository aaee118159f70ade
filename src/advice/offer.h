// What may be granted for one request, for a person to be asked about: the tightest grant for it, or the preset that
// stands for it. As with propose.h, nothing of the request gets into it but what the policy's own checks accept; and
// what comes out is judged once: it allows this request.
//
// A request that carries the session's token for a credential is granted with that credential, and only at a place
// where a grant that holds exchanges it already: whoever is asked says yes to one more function of a host that their
// policy lets the key go to, never to another host. Not for what signs, or changes while the session runs.
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
  std::string credential;     // that all of them exchange, or empty
};

// The head of the request that is asked about, as far as it is told: what to judge. Of headers only that they are
// there.
grant::RequestHead head_of(const Question& question);

// Do these allow the request, as far as that shows it?
bool allowed_by(const std::vector<Grant>& grants, const Question& question, const Known& known);

// `held`: the grants that hold now. An error: nobody is to be asked, and why.
Result<Offer> offer_for(const Question& question, const Known& known, const std::vector<Grant>& held);

}  // namespace bulkhead::advice

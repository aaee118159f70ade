// A recorded request, judged again by gateway/grant/ as front would judge it.
//
// Evidence holds no header but a few words about some, and nothing of a body. Where the verdict depends on what is not
// there, every possibility is judged: if they agree the answer is certain, else it is `unknown`, and says for what.
#pragma once

#include <string>
#include <vector>

#include "advice/record.h"
#include "gateway/grant/grant.h"
#include "policy/policy.h"

namespace bulkhead::advice {

enum class Verdict { allow, deny, unknown };

struct TrialAnswer {
  Verdict verdict = Verdict::deny;
  std::string reason;  // grant::Decision's word, or what is not known: "body", "credential", "header", "cut"
  std::string text;    // one line for people
  const Grant* grant = nullptr;
  const Rule* rule = nullptr;
};

class Trial {
 public:
  // `policy` must outlive it. Every credential counts as there.
  explicit Trial(const Policy& policy);

  // `old`: the grant that was in force and decided then, or nullptr. Where its rule is the very same as the new one,
  // what it said about the body stands.
  TrialAnswer judge(const RecordedRequest& request, const RecordedGrant* old) const;

 private:
  std::vector<lane::Headers> carried(const RecordedRequest& request, const RecordedGrant* old) const;
  std::vector<std::string> types(const RecordedRequest& request) const;

  const Policy& policy_;
  std::vector<TokenSlot> tokens_;
};

// The slot's header as a client that uses the session's token would send it; of a signature, what belongs to it, too.
lane::Headers filled(const TokenSlot& slot);

// A refusal that no policy would have changed: no reader took it for a request, or its head means two things.
bool refused_by_any_policy(const RecordedRequest& request);

}  // namespace bulkhead::advice

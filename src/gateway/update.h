// What the supervisor tells front and every egress while the session runs: which grants hold from now on. Revoking
// and loading a policy again are both this message; the helper's answer means that it is done, not that it was heard.
#pragma once

#include <cstddef>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "base/result.h"
#include "policy/policy.h"

namespace bulkhead {

// Why a grant that held holds no more.
enum class Gone {
  revoked,  // for good, by whoever runs the session
  changed,  // the policy was loaded again, and does not have it, or not like this
  closed,   // the policy could not be loaded again: nothing is granted until it can
};
const char* name_of(Gone gone);  // evidence's word: "revoked", "changed", "closed"
const char* text_of(Gone gone);  // for whoever asked by that grant, and what to do

struct WithdrawnGrant {
  Grant grant;
  Gone gone = Gone::revoked;
};

// supervisor -> front (every grant), supervisor -> egress (those of its credential):
//   {"type":"grants","number":N,"grants":[…],"withdrawn":[{"grant":…,"gone":"revoked"}],"forget":false}
// The answer, once requests that no longer hold have been cut off: {"type":"applied","number":N,"cut":K}
struct GrantsUpdate {
  std::uint64_t number = 0;
  std::vector<Grant> grants;  // ids name the same grants as before: their budgets go on counting
  // Only so that a denial can say why. Left out where the message would be too long.
  std::vector<WithdrawnGrant> withdrawn;
  bool forget = false;  // egress: nothing is dialled again, so neither its secret nor the proxy's is needed
};

nlohmann::json to_json(const GrantsUpdate& update);
Result<GrantsUpdate> grants_update_from(const nlohmann::json& object);

// May what `rule` of `grant` allowed go on? Only if among `now` the same grant has a rule that allows all of what that
// one did (policy/within.h): what another would have said of a request that is half up is not guessed. Budget and
// expiry may differ; the next byte meets them. `rule` is null for an opaque connection, which the grant alone allows.
bool still_holds(const std::vector<Grant>& now, const Grant& grant, const Rule* rule);

// Why `id` is gone, as far as the update says.
Gone why_gone(const GrantsUpdate& update, const std::string& id);

}  // namespace bulkhead

// What one tenant's sessions may have together: limits.tenant_sessions and limits.tenant_memory. A tenant is a value of
// the label `tenant` (`bulkhead start --label tenant=…`); sessions without that label are one tenant's, too. Counted
// are the sessions of one user that run (state/state.h).
#pragma once

#include "base/fd.h"
#include "base/result.h"
#include "policy/policy.h"
#include "session/state/state.h"

namespace bulkhead::session {

inline constexpr const char* tenant_label = "tenant";

// Refuses `info`, which is about to be made, where its tenant has as many or as much. The descriptor is a lock: hold it
// until the session is there to be counted, so that two can't take the last place. Without such limits it is unset.
Result<UniqueFd> hold_to_quota(const Store& store, const Limits& limits, const SessionInfo& info);

}  // namespace bulkhead::session

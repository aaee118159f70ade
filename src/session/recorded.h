// What the supervisor records of a session's start (docs/formats.md), and how it words a helper's death.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "base/process.h"
#include "session/live_grants.h"
#include "session/plan.h"
#include "session/session.h"

namespace bulkhead::session {

// session.policy, while the plan still has its mounts.
nlohmann::json policy_event(const Policy& policy, const Planned& planned);
// session.start; `missing`: what this machine can't guarantee.
nlohmann::json start_event(const Options& options, const std::string& workspace, uid_t uid,
                           const std::vector<std::string>& missing);
// The files of the managed policy, as session.start and session.reload name them.
nlohmann::json managed_event(const Managed& managed);
// session.revoke, and the answer to who asked for it.
nlohmann::json revoked_fields(const LiveGrants::Revoked& revoked);
// session.reload, but for the policy that came of it.
nlohmann::json reloaded_fields(const LiveGrants::Reloaded& reloaded);
// Grants as session.policy has them.
nlohmann::json grants_event(const std::vector<Grant>& grants);
// Where a credential is read from, never what is there.
std::string source_name(const Credential& credential);

// Why the session ends when a helper does; `printed` may be hostile.
std::string death(const std::string& name, ExitStatus status, const std::string& printed);

}  // namespace bulkhead::session

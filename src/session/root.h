// The policy's `image`: what is shown in the place of the host's root file system (image/image.h).
#pragma once

#include "policy/policy.h"
#include "secrets/stores.h"
#include "session/plan.h"

namespace bulkhead::session {

// Opens it, judges where it lies as a mount would be, and puts it into the plan, before anything else is in there.
Result<void> add_image(const Policy& policy, const PolicyRequest& request, const Identity& identity, Sources& sources,
                       const std::vector<secrets::Present>& stores, const PlanOf& of, Planned& out);

// When all mounts are known: none of their places lies behind a link of the image's, where it would hide what the link
// leads to.
Result<void> judge_places(const tier::Plan& plan);

// A live folder that holds the cache of images or of templates, or lies in it, would let one session write what the
// next one runs.
Result<void> judge_beside_cache(const Mount& mount, const std::string& real, const Paths& paths);

}  // namespace bulkhead::session

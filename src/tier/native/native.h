// tier/native/: bubblewrap draws the namespaces and mounts; the shim (guest/) adds Landlock and seccomp last,
// because mounting is refused inside a Landlock domain.
//
//   stage.h      the root bubblewrap starts in: the plan's sources and the session's /etc, nothing else of the host
//   arguments.h  Plan -> bubblewrap's argument list
//   native.h     finding bubblewrap and starting it inside the room
#pragma once

#include <memory>

#include "tier/tier.h"

namespace bulkhead::tier::native {

// Fails when bubblewrap is missing or setuid (a setuid one would act on the host as root).
Result<std::unique_ptr<Isolation>> open();
// With a shim that is not beside the running program, for tests.
Result<std::unique_ptr<Isolation>> open_with(const std::string& shim_path);

}  // namespace bulkhead::tier::native

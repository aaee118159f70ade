// tier/native/: bubblewrap draws the namespaces and mounts; the shim (guest/) adds Landlock and seccomp last,
// because mounting is refused inside a Landlock domain.
//
//   arguments.h  Plan -> bubblewrap's argument list
//   native.h     finding bubblewrap and starting it inside the room
#pragma once

#include <memory>

#include "tier/tier.h"

namespace bulkhead::tier::native {

// Fails when bubblewrap is missing or setuid (a setuid bubblewrap ignores --bind-fd's guarantees).
Result<std::unique_ptr<Isolation>> open();
// With a shim that is not beside the running program, for tests.
Result<std::unique_ptr<Isolation>> open_with(const std::string& shim_path);

}  // namespace bulkhead::tier::native

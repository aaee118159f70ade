// Landlock (landlock(7)): what the workload may do beneath which path, whatever the mounts would let it. The
// kernel's ABI decides how much can be said: 1 the file system, 2 moving between directories, 3 truncation,
// 5 device ioctls, 6 abstract unix sockets and signals. Rights a kernel doesn't know stay unrestricted there.
#pragma once

#include <vector>

#include "guest/protocol.h"

namespace bulkhead::shim {

// 0 when this kernel has no Landlock or it is switched off.
int landlock_abi();

// Needs no_new_privs. After it the calling thread and all it starts may do beneath each rule's path what the
// rule says, and nothing else that `abi` can restrict. `scope`: no signals and no abstract sockets across the
// domain's border; whoever is outside may still signal into it. Paths that are not there are skipped.
Result<void> apply_landlock(const std::vector<Rule>& rules, bool scope, int abi);

}  // namespace bulkhead::shim

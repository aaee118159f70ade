// A session's limit on processors (`cpus`): it runs on so many of them, and can't choose others.
#pragma once

#include "tier/tier.h"

namespace bulkhead::tier {

// In the child that will exec the tier's program: it, and everything it starts, runs on limits.cpus of the processors
// that this process may run on, picked by chance, so that sessions side by side do not all share the same ones. Nothing
// of it can change that (a filter for sched_setaffinity(2), which answers EPERM) unless the tier's program has to
// (`may_change`, where the workload's calls end in another kernel). Without that limit: nothing.
Result<void> hold_to_cpus(const Limits& limits, bool may_change);

}  // namespace bulkhead::tier

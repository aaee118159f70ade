#include "tier/gvisor/gvisor.h"
#include "tier/native/native.h"
#include "tier/tier.h"
#include "tier/vm/vm.h"

namespace bulkhead::tier {

Result<std::unique_ptr<Isolation>> open_tier(const Policy& policy) {
  switch (policy.tier) {
    case Tier::native:
      return native::open();
    case Tier::gvisor:
      return gvisor::open(policy.old_runsc);
    case Tier::vm:
      return vm::open();
  }
  return fail("there is no such tier");
}

}  // namespace bulkhead::tier

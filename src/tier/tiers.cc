#include "tier/gvisor/gvisor.h"
#include "tier/native/native.h"
#include "tier/tier.h"
#include "tier/vm/vm.h"

namespace bulkhead::tier {

Result<std::unique_ptr<Isolation>> open_tier(Tier tier) {
  switch (tier) {
    case Tier::native:
      return native::open();
    case Tier::gvisor:
      return gvisor::open();
    case Tier::vm:
      return vm::open();
  }
  return fail("there is no such tier");
}

}  // namespace bulkhead::tier

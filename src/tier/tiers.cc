#include "tier/gvisor/gvisor.h"
#include "tier/native/native.h"
#include "tier/tier.h"

namespace bulkhead::tier {

Result<std::unique_ptr<Isolation>> open_tier(Tier tier) {
  switch (tier) {
    case Tier::native:
      return native::open();
    case Tier::gvisor:
      return gvisor::open();
    case Tier::vm:
      break;
  }
  return fail(std::string("tier \"") + name_of(tier) + "\" is not part of this version; use --tier native or gvisor");
}

}  // namespace bulkhead::tier

#include "tier/gvisor/rest.h"

#include <signal.h>

#include "base/children.h"
#include "base/sys.h"
#include "tier/gvisor/memory.h"

namespace bulkhead::tier::gvisor {

void rest_sentry(pid_t root, bool resting) {
  for (const pid_t child : children_of(root)) {
    // Held before it is looked at: its number can't be another process's then.
    const auto held = sys::pidfd_open(child);
    if (held && is_sentry(child)) (void)sys::pidfd_send_signal(held->get(), resting ? SIGSTOP : SIGCONT);
  }
}

}  // namespace bulkhead::tier::gvisor

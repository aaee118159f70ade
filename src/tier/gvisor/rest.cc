#include "tier/gvisor/rest.h"

#include <signal.h>

#include "base/children.h"
#include "base/sys.h"
#include "tier/gvisor/memory.h"

namespace bulkhead::tier::gvisor {

namespace {

void add_all_below(pid_t pid, std::vector<pid_t>& out) {
  for (const pid_t child : children_of(pid)) {
    out.push_back(child);
    add_all_below(child, out);
  }
}

}  // namespace

std::vector<pid_t> stubs(pid_t root) {
  std::vector<pid_t> out;
  for (const pid_t child : children_of(root)) {
    if (is_sentry(child)) add_all_below(child, out);
  }
  return out;
}

void rest_sentry(pid_t root, bool resting) {
  for (const pid_t child : children_of(root)) {
    // Held before it is looked at: its number can't be another process's then.
    const auto held = sys::pidfd_open(child);
    if (held && is_sentry(child)) (void)sys::pidfd_send_signal(held->get(), resting ? SIGSTOP : SIGCONT);
  }
}

}  // namespace bulkhead::tier::gvisor

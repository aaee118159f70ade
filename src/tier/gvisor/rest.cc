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

std::vector<UniqueFd> stop_sentry(pid_t root) {
  std::vector<UniqueFd> out;
  for (const pid_t child : children_of(root)) {
    // Held before it is looked at: its number can't be another process's then.
    auto held = sys::pidfd_open(child);
    if (held && is_sentry(child) && sys::pidfd_send_signal(held->get(), SIGSTOP)) out.push_back(std::move(*held));
  }
  return out;
}

}  // namespace bulkhead::tier::gvisor

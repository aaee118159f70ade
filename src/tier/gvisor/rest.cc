#include "tier/gvisor/rest.h"

#include "base/children.h"
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
  return stop_children(root, is_sentry);
}

}  // namespace bulkhead::tier::gvisor

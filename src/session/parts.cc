#include "session/parts.h"

#include <algorithm>

#include "base/children.h"

namespace bulkhead::session {

bool Parts::lost(const tier::Isolation& isolation, const Child& process, Clock::time_point now) {
  if (now < deadline()) return false;
  checked_ = now;
  const bool missing = std::ranges::any_of(known_, [](const auto& one) { return began(one.first) != one.second; });
  if (missing) return std::exchange(missed_, true);
  missed_ = false;
  std::map<pid_t, std::uint64_t> there;
  for (const pid_t pid : isolation.parts(process)) {
    if (const std::uint64_t when = began(pid); when != 0) there.emplace(pid, when);
  }
  for (const auto& [pid, when] : there) {
    if (const auto before = seen_.find(pid); before != seen_.end() && before->second == when) known_.emplace(pid, when);
  }
  seen_ = std::move(there);
  return false;
}

}  // namespace bulkhead::session

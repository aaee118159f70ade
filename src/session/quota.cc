#include "session/quota.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>

#include "base/sys.h"
#include "base/text.h"
#include "policy/units.h"

namespace bulkhead::session {
namespace {

std::string tenant_of(const SessionInfo& info) {
  const auto label = info.labels.find(tenant_label);
  return label == info.labels.end() ? "" : label->second;
}

std::string shown(const std::string& tenant) {
  return tenant.empty() ? "sessions without a tenant" : "tenant \"" + escape_for_terminal(tenant, 80) + "\"";
}

}  // namespace

Result<UniqueFd> hold_to_quota(const Store& store, const Limits& limits, const SessionInfo& info) {
  if (!limits.tenant_sessions && !limits.tenant_memory) return UniqueFd();
  BH_TRY(const UniqueFd folder, store.folder("sessions", true));
  BH_TRY(UniqueFd lock, sys::open_at(folder.get(), "quota", O_RDWR | O_CREAT | O_NOFOLLOW, 0600));
  if (::flock(lock.get(), LOCK_EX) != 0) return fail_errno("flock", "sessions/quota", errno);
  BH_TRY(const std::vector<SessionInfo> sessions, store.list());
  const std::string tenant = tenant_of(info);
  std::uint64_t count = 1, memory = info.memory.value_or(0);
  for (const SessionInfo& other : sessions) {
    if (!other.alive || tenant_of(other) != tenant) continue;
    ++count;
    // One without a limit can have everything.
    if (limits.tenant_memory && !other.memory) {
      return fail("limits.tenant_memory: session " + other.id + " of " + shown(tenant) +
                  " runs without limits.memory; stop it, or give it one");
    }
    memory += other.memory.value_or(0);
  }
  if (limits.tenant_sessions && count > *limits.tenant_sessions) {
    return fail("limits.tenant_sessions: " + shown(tenant) + ": " + std::to_string(count - 1) +
                " run already; `bulkhead ps` lists them");
  }
  if (limits.tenant_memory) {
    if (!info.memory) return fail("limits.tenant_memory needs limits.memory: without it a session can have everything");
    if (memory > *limits.tenant_memory) {
      return fail("limits.tenant_memory: " + shown(tenant) + " would have " + size_text(memory) + " of " +
                  size_text(*limits.tenant_memory) + "; `bulkhead ps` lists its sessions");
    }
  }
  return lock;
}

}  // namespace bulkhead::session

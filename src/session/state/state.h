// What is on disk about sessions: who runs, since when, and what a crash left behind.
//
//   ~/.local/state/bulkhead/            0700, owned by the user; refused otherwise
//     sessions/ID/lock                  flock()ed by the supervisor for its life: the lock *is* "alive"
//     sessions/ID/session.json          SessionInfo, for people and for `stop`
//     evidence/ID.jsonl                 stays when the session is gone
//
// A session's directory appears by rename(2) with its lock already taken, so nobody ever sees one that is not
// locked and not dead. The kernel drops the lock with the last descriptor of a dead supervisor, a reboot drops
// all: what can be locked by somebody else is dead, and sweep() removes it. No pid is trusted for that.
//
//   BH_TRY(Store store, Store::open(paths));
//   BH_CHECK(store.sweep());
//   BH_TRY(SessionDir session, store.create(info));   // removed by its destructor, in this process only
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "session/state/paths.h"

namespace bulkhead::session {

struct SessionInfo {
  std::string id;  // 12 characters of a-z2-7
  std::string tier, profile, workspace;
  std::vector<std::string> command;
  pid_t pid = 0;                     // the supervisor's
  std::uint64_t pid_start_time = 0;  // with pid, one process of this boot
  std::string boot_id;
  std::string started;  // RFC 3339, UTC
  bool alive = false;   // found out by list(), not stored
};

// A running session's own directory. Closing it (or dying) releases the lock.
class SessionDir {
 public:
  SessionDir(SessionDir&&) noexcept = default;
  SessionDir& operator=(SessionDir&&) = delete;
  ~SessionDir();  // remove(), unless this is a forked copy

  const std::string& id() const { return info_.id; }
  const SessionInfo& info() const { return info_; }
  int directory() const { return directory_.get(); }
  // The evidence log: O_WRONLY|O_APPEND, 0600, empty. For bulkhead-evidence only.
  UniqueFd take_log() { return std::move(log_); }
  // By descriptor, so it works in any mount namespace and after the user's HOME moved. Idempotent.
  Result<void> remove();

 private:
  friend class Store;
  SessionDir() = default;

  SessionInfo info_;
  UniqueFd sessions_, directory_, lock_, log_;
};

class Store {
 public:
  // Opens the state directory, making it first. Refuses one that is a symlink, somebody else's, or writable by
  // others, in each of its three levels (above it, the user's own symlinks are followed).
  static Result<Store> open(const Paths& paths);
  // Makes nothing: with no state directory, list() and sweep() are empty.
  static Result<Store> open_existing(const Paths& paths);

  // Takes tier, profile, workspace and command from `info`; fills in the rest for the calling process.
  Result<SessionDir> create(SessionInfo info);
  // Oldest first. A session that is going away meanwhile may be missing; a dead one not yet swept is not alive.
  Result<std::vector<SessionInfo>> list() const;
  // Removes what dead supervisors left and returns their ids. Evidence stays; what its file system still holds
  // in reserve for it is released.
  Result<std::vector<std::string>> sweep() const;

  int evidence_directory() const { return evidence_.get(); }

 private:
  static Result<Store> open_levels(const Paths& paths, bool make);
  Result<SessionDir> try_create(const SessionInfo& info) const;
  void release_reserve(const std::string& id) const;

  UniqueFd sessions_, evidence_;
};

// "now" as the state files and `ps` write it: 2026-01-02T03:04:05Z.
std::string rfc3339_now();
bool valid_id(std::string_view id);

}  // namespace bulkhead::session

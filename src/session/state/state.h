// What is on disk about sessions: who runs, since when, and what a crash left behind.
//
//   ~/.local/state/bulkhead/            0700, owned by the user; refused otherwise
//     sessions/ID/lock                  flock()ed by the supervisor for its life: the lock *is* "alive"
//     sessions/ID/session.json          SessionInfo, for people and for `stop`
//     sessions/ID/control               a socket of the supervisor's (session/control.h)
//     sessions/ID/claimed               of one that lives: not empty once it is somebody's (`bulkhead claim`)
//     evidence/ID.jsonl                 stays when the session is gone
//     reviews/ID/                       what a workload changed in mode `review` (review/review.h)
//     kept/ID/N/                        what a mount `rw-no-delete` kept (keep/mirror.h); stays, too
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
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "session/state/paths.h"

namespace bulkhead::session {

inline constexpr const char* claimed_name = "claimed";

struct SessionInfo {
  std::string id;  // 12 characters of a-z2-7
  std::string tier, profile, workspace;
  std::vector<std::string> command;
  std::vector<std::string> published;  // "127.0.0.1:8080 -> 80"
  pid_t pid = 0;                       // the supervisor's
  std::uint64_t pid_start_time = 0;    // with pid, one process of this boot
  std::string boot_id;
  std::string started;  // RFC 3339, UTC
  bool lives = false;   // no command of its own: `bulkhead exec` runs them
  std::map<std::string, std::string> labels;
  std::optional<std::uint64_t> memory;  // limits.memory, for quotas
  bool alive = false;                   // found out by list(), not stored
  bool claimed = false;                 // likewise
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
  // A folder for the originals of the session's mount number `index` (keep/keep.h). It stays when the session is gone,
  // unless it is empty then.
  Result<UniqueFd> make_kept(std::size_t index) const;

  // By descriptor, so it works in any mount namespace and after the user's HOME moved. Idempotent.
  Result<void> remove();

 private:
  friend class Store;
  SessionDir() = default;
  void remove_empty_kept() const;

  SessionInfo info_;
  UniqueFd sessions_, kept_, directory_, lock_, log_;
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

  // A session's folder, for what is in it besides (control.h).
  Result<UniqueFd> open_session(const std::string& id) const;

  int evidence_directory() const { return evidence_.get(); }
  // A folder of the state directory beside these, held to the same rules; `make`: where there is none. ENOENT without a
  // state directory.
  Result<UniqueFd> folder(const std::string& name, bool make) const;
  int kept_directory() const { return kept_.get(); }  // kept/ID/N; -1 without a state directory

 private:
  static Result<Store> open_levels(const Paths& paths, bool make);
  Result<SessionDir> try_create(const SessionInfo& info) const;
  void release_reserve(const std::string& id) const;

  std::string path_;
  UniqueFd state_, sessions_, evidence_, kept_;
};

// "now" as the state files and `ps` write it: 2026-01-02T03:04:05Z.
std::string rfc3339_now();
bool valid_id(std::string_view id);
std::string new_id();

}  // namespace bulkhead::session

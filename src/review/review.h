// review/: mount mode `review`. The workload works in a folder as if it could write it; what it writes goes into a
// layer of the user's state (overlayfs), and the host's folder stays as it is until the user has looked at the changes
// and applies them.
//
//   review.h    what a review is, and those there are (this file)
//   begin.h     a session opens one: what can be reviewed, and its layer
//   tree.h      looking into a tree that may be hostile: openat2(2), no symbolic links, one file system
//   changes.h   the layer compared with the folder: what was removed, changed, added, and what stands in the way
//   content.h   of files: the same? copied? of one kind that can be shown?
//   journal.h   what `apply` is about to do, on the disk before it does it
//   apply.h     does it, all or nothing, and finishes or takes back what a crash interrupted
//   record.h    the evidence of what became of a review
//
// On disk, below the user's state (`~/.local/state/bulkhead`, private to the user):
//
//   reviews/ID/lock         flock()ed by the session while it lives, and by apply and discard
//   reviews/ID/review.json  Info: which folder, since when
//   reviews/ID/base.json    what of the host's the changes are about, as it was when the session had ended (changes.h)
//   reviews/ID/settled.json paths that were applied already
//   reviews/ID/journal.json while `apply` is under way
//   reviews/ID/layers/      upper/ and work/ of the overlay. upper is what a workload wrote: hostile
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "session/state/paths.h"

namespace bulkhead::review {

struct Info {
  std::string id;       // as a session's: 12 characters of a-z2-7
  std::string session;  // that opened it
  std::string folder;   // on the host, resolved
  std::uint64_t device = 0, inode = 0;
  std::string boot_id;  // device numbers are good for one boot
  std::string started;  // RFC 3339, UTC
  // By the clock that stamps files: what the host changed from then on the workload did not see as it began.
  std::int64_t since_seconds = 0, since_nanoseconds = 0;
  std::vector<std::string> command;
  std::vector<std::string> inner;  // paths below the folder at which the session had other mounts
};

// A review in the hand: its directory, and its lock if it was to be had.
class Review {
 public:
  const Info& info() const { return info_; }
  int directory() const { return directory_.get(); }
  bool locked() const { return static_cast<bool>(lock_); }
  // By its full path, for what needs one.
  const std::string& path() const { return path_; }

  // The host's folder, if it still is the one that the review is about.
  Result<UniqueFd> open_folder() const;
  Result<UniqueFd> open_upper() const;

  // Files of the review's own: replaced as a whole and synced.
  Result<void> write(const std::string& name, std::string_view text) const;
  Result<std::optional<std::string>> read(const std::string& name) const;
  Result<void> remove(const std::string& name) const;

  // Paths that are applied already: the review has nothing to say about them any more.
  Result<std::set<std::string>> settled() const;
  Result<void> settle(const std::set<std::string>& paths) const;

  // Takes it off the disk, layers and all. Only while it is locked.
  Result<void> erase();

 private:
  friend class Reviews;
  Info info_;
  std::string path_;
  UniqueFd reviews_, directory_, lock_;
};

class Reviews {
 public:
  // Makes the folder where there is none; refuses one that is not the user's own (session/state/state.h).
  static Result<Reviews> open(const session::Paths& paths);
  // Makes nothing: with no state there are no reviews.
  static Result<Reviews> open_existing(const session::Paths& paths);

  // Takes folder, device, inode, session, command and inner from `info` and fills in the rest. Locked.
  Result<Review> create(Info info) const;
  // Oldest first. Ones that can't be read are left out.
  std::vector<Info> list() const;
  // `lock`: also takes the lock, if nobody has it (Review::locked()).
  Result<Review> open(const std::string& id, bool lock) const;

  // Removes what a crash left half made or half removed, as far as it can.
  void sweep() const;

  const std::string& path() const { return path_; }

 private:
  std::string path_;
  UniqueFd reviews_;
};

// Bytes that may be any as text that JSON takes: `%XX` for what is not printable ASCII, and for `%`.
std::string encode_path(std::string_view path);
Result<std::string> decode_path(std::string_view text);

}  // namespace bulkhead::review

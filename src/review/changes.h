// What a review holds: its layer (upper) compared with the host's folder as it is now.
//
// The layer is hostile, the folder may be: both are read through Tree. Of extended attributes only the overlay's own
// two count (`user.overlay.opaque`, `user.overlay.origin`), which a workload can't set: inside the mount the kernel
// keeps `user.overlay.*` to itself (ovl_own_xattr_handler; from Linux 6.7 such names are stored under another).
//
// A *conflict* is a change whose place on the host is not any more what the workload saw. How that is known:
// - when a session has ended, base.json notes of every entry of the host's that a change is about what it was
//   (inode, size, both times); whatever differs from that later is a conflict. So is what appeared since;
// - before that (the session runs, or died and nobody has looked yet) an entry whose ctime is not before the review's
//   beginning is one: nothing but the clock can set a ctime.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "review/review.h"
#include "review/tree.h"

namespace bulkhead::review {

enum class Kind { removed, changed, added, touched };
const char* name_of(Kind kind);

// One entry of the host's, recognised again.
struct Mark {
  std::uint64_t inode = 0, size = 0;
  std::int64_t mtime = 0, ctime = 0;  // nanoseconds
  std::uint32_t mode = 0;             // with the type
  bool operator==(const Mark&) const = default;
};
Mark mark_of(const struct stat& st);

struct Change {
  std::string path{};
  Kind kind = Kind::changed;
  std::optional<struct stat> before{}, after{};  // on the host; in the layer
  std::string conflict{};                        // why it can't be applied: the host's has changed
  std::string refused{};                         // why it is never applied: what it is
  std::string note{};                            // what is left out of it when it is applied
  std::string renamed{};                         // removed: where the same content is now; added: where it was
  bool content = true;                           // false: only mode or times differ
  bool unread = false;                           // refused, though its owner could make it readable
};

using Base = std::map<std::string, Mark>;

struct Changes {
  // Children before the folder that is removed with them, folders before what is added in them; otherwise by path.
  std::vector<Change> list;
  // What of the host's they are about. A mark of zeros matches nothing: a conflict already.
  Base seen;
};

Result<std::optional<Base>> read_base(const Review& review);

// Compares, content included. Changes nothing.
Result<Changes> scan(const Review& review);

// Which of the removed files is found again among the added ones.
void find_renames(const Tree& host, const Tree& upper, Changes& changes);

// Not the times of a folder, nor what can never be applied.
bool worth_keeping(const Change& change);

// When the session is over: writes base.json, or erases the review when nothing was changed. Review is locked.
// True: there is something to look at.
Result<bool> seal(Review& review);

}  // namespace bulkhead::review

// What `apply` does, in steps that can each be seen to have happened or not, and taken back. The journal is on the disk
// before the first of them; after a crash the next command that touches the review finishes it, or takes it back.
//
// Beside the steps stands a *staging folder* at the top of the reviewed folder, so on the same file system, with
//   new/N   what is to come, complete and synced before the journal says `committing`
//   old/N   what was there before, until all of it is done
//
// | step | does | done when |
// |---|---|---|
// | remove  | path -> old/N                       | old/N is there |
// | replace | path <-> new/N (RENAME_EXCHANGE)    | new/N is not the new file any more |
// | add     | new/N -> path (RENAME_NOREPLACE)    | new/N is gone |
// | set     | mode and times of path              | may be done again |
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "review/changes.h"

namespace bulkhead::review {

struct Step {
  enum class What { remove, replace, add, set };
  What what = What::add;
  std::string path;
  Mark before;              // of the host's (remove, replace, set)
  std::uint64_t fresh = 0;  // inode of new/N (replace, add)
  std::uint32_t mode = 0;   // set: permissions to give
  std::int64_t mtime = 0;   // set: nanoseconds
  bool folder = false;      // remove: an empty folder
};

struct Journal {
  enum class State {
    preparing,   // the staging folder is being filled: nothing has happened to the host's files
    committing,  // the steps are being done; forward
    undoing,     // they are being taken back
    done,        // all are done and synced; only the staging folder is left to remove
  };
  State state = State::preparing;
  std::string staging;               // its name in the reviewed folder
  std::vector<Step> steps;           // N is the place in this list
  std::vector<std::string> settled;  // paths the review is through with, once it is done
  bool whole = false;                // nothing is left in the review then
};

const char* name_of(Journal::State state);
Result<void> write_journal(const Review& review, const Journal& journal);
Result<std::optional<Journal>> read_journal(const Review& review);

}  // namespace bulkhead::review

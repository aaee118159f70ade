// Bringing a review's changes to the host: all that were chosen, or none.
//
// Everything new is made complete beside (journal.h), synced, and written down; then each change is one rename. What a
// rename takes away is kept until the last is done. If one can't be done - the host's file changed this moment, the
// disk is full - all before it are taken back. A crash at any moment is finished, or taken back, by recover().
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/result.h"
#include "review/changes.h"
#include "review/journal.h"
#include "review/review.h"
#include "trust/handoff.h"

namespace bulkhead::review {

struct Wanted {
  std::vector<std::string> paths = {};  // below the folder; empty: everything
  bool deletes = true;
  std::set<std::string> held = {};  // not without somebody's word (handoff/gate.h)
};

// The changes, by what would become of each.
struct Chosen {
  std::vector<const Change*> take;
  std::vector<const Change*> conflicts;  // wanted, but the host's has changed
  std::vector<const Change*> refused;    // never applied
  std::vector<const Change*> held;       // wanted, but held
  std::vector<const Change*> left;       // not wanted, or hangs on one that stays
};
// The result points into `changes`. Fails for a path at which nothing has changed.
Result<Chosen> choose(const Changes& changes, const Wanted& wanted);

// What was judged before somebody said yes, by path.
using Judged = std::map<std::string, trust::Fingerprint>;

// Does what is in `take`. The review is locked. What is prepared has to be what `changes` and `judged` say, else
// nothing is applied: the layer was changed meanwhile. `ready` is called when all is prepared, before the first step:
// its failure takes everything back. Afterwards the review is gone from the disk if nothing is left in it.
Result<void> apply(Review& review, const Chosen& chosen, const Judged& judged,
                   const std::function<Result<void>()>& ready);

// What a crash left of an earlier apply: finished or taken back. The review is locked. What was done, for the user;
// empty: nothing was left. The review may be gone then (`erased`).
struct Recovered {
  std::string what;
  bool erased = false;
};
Result<Recovered> recover(Review& review);

}  // namespace bulkhead::review

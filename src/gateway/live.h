// What is under way by a grant, so that it can be ended when the grant goes (update.h).
#pragma once

#include <functional>
#include <list>
#include <utility>

#include "gateway/update.h"

namespace bulkhead {

class Live {
 public:
  // Ends it soon, from the event loop: it must not end within the call.
  using Cut = std::function<void(Gone why)>;
  struct State {
    const Grant* grant;
    const Rule* rule;
    Cut cut;
  };

  // From here to its end it is ended when its grant goes. `rule` is null for what has none, an opaque connection.
  // `grant` and `rule` stay valid as long (see Retired).
  class Entry {
   public:
    Entry(Live& list, const Grant& grant, const Rule* rule, Cut cut)
        : list_(list), at_(list.entries_.insert(list.entries_.end(), State{&grant, rule, std::move(cut)})) {}
    ~Entry() { list_.entries_.erase(at_); }
    Entry(const Entry&) = delete;
    Entry& operator=(const Entry&) = delete;

   private:
    Live& list_;
    std::list<State>::iterator at_;
  };

  // How many were cut.
  std::size_t apply(const GrantsUpdate& update) {
    std::size_t count = 0;
    for (const State& entry : entries_) {
      if (still_holds(update.grants, *entry.grant, entry.rule)) continue;
      entry.cut(why_gone(update, entry.grant->id));
      ++count;
    }
    return count;
  }

 private:
  std::list<State> entries_;
};

// Grants that no longer hold, kept where they were because what is under way still points at them. One update is one
// entry, and updates are made by hand.
using RetiredGrants = std::list<std::vector<Grant>>;

}  // namespace bulkhead

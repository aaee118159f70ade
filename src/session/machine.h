// The tier vm: a session goes on from a machine that was saved (`bulkhead template create --tier vm`), if there is one
// like its own and nothing is wrong with it; else it boots one.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "session/plan.h"
#include "session/session.h"
#include "session/state/paths.h"

namespace bulkhead::session {

// With the caller's privileges. nullopt: none, or one that is not used, and why is among the plan's notes.
std::optional<Saved> saved_machine(const Paths& paths, const tier::Isolation& isolation, Planned& planned);

// What the tier's program has for the user (tier.h, note_mark), in words that can be shown; it is taken out of `said`.
std::vector<std::string> take_notes(std::string& said);
// Whether it went on from what was saved; the line that says so is taken out of `said`.
bool take_went_on(std::string& said);

}  // namespace bulkhead::session

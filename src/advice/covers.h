// One rule against another: does the wider one allow all that the other does? Both are templates; nothing is sent.
#pragma once

#include "policy/policy.h"

namespace bulkhead::advice {

// All hosts of `grant` are `wider`'s too, with the same port, protocol and credential: their rules stand beside each
// other.
bool stands_beside(const Grant& wider, const Grant& grant);
// Every head that `rule` allows, `wider` allows.
bool covers(const Rule& wider, const Rule& rule);
// Given that it covers: is what `rule` says of bodies void beside it? `first`: the wider rule is asked first. What the
// rule itself refuses by type or size goes on to the wider one; what it refuses of a body that it has taken does not.
bool undoes(const Rule& wider, const Rule& rule, bool first);

}  // namespace bulkhead::advice

// The ways out that a grant leaves: a table of words, for explain.h.
#pragma once

#include <vector>

#include "advice/explain.h"

namespace bulkhead::advice {

std::vector<Remaining> remaining(const Grant& grant);

}  // namespace bulkhead::advice

// What a fuzz target says of its subject: when it does not hold, the input is a finding.
#pragma once

#include <cstdlib>

inline void expect(bool holds) {
  if (!holds) std::abort();
}

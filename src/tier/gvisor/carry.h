// gVisor reads and writes a file it was given at positions of its own, from its beginning on, which nobody else who has
// that file open learns of: what a shell writes to it next would lie on top of what the workload wrote. So a regular
// file is read and written by a process out here, and the workload has a pipe to that. Of a file as its input more is
// read than the workload asks for, as far as a pipe holds.
#pragma once

#include <vector>

#include "base/process.h"

namespace bulkhead::tier::gvisor {

struct Carried {
  std::vector<Child> carriers;
  std::vector<UniqueFd> pipes;  // their other ends; the caller's, until the workload has them
};

// Puts a pipe in the place of each that is a regular file: one and the same where `out` and `err` are the same file, so
// that what is written keeps its order. -1 stays.
Result<Carried> carry_files(int& in, int& out, int& err);

}  // namespace bulkhead::tier::gvisor

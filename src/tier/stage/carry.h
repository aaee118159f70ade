// Between the user's files and a kernel inside that can't be given them. gVisor reads and writes a file it was given at
// positions of its own, from its beginning on, which nobody else who has that file open learns of: what a shell writes
// to it next would lie on top of what the workload wrote. To a virtual machine no descriptor can be given at all. So a
// process out here reads and writes it, and the workload has a pipe to that. Of its input more is read than the
// workload asks for, as far as a pipe holds.
#pragma once

#include <cstdint>
#include <vector>

#include "base/process.h"

namespace bulkhead::tier {

struct Carried {
  std::vector<Child> carriers;
  std::vector<UniqueFd> pipes;  // their other ends; the caller's, until the workload has them
};

// Puts a pipe in the place of each that is a regular file, or of all: one and the same where `out` and `err` are the
// same file, so that what is written keeps its order. -1 stays.
enum class Carry : std::uint8_t { files, all };
Result<Carried> carry(Carry which, int& in, int& out, int& err);

}  // namespace bulkhead::tier

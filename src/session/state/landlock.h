// What the running kernel's Landlock can do (landlock(7)).
#pragma once

#include <string>

namespace bulkhead::session {

// 0: the kernel has none, or it is switched off.
int landlock_abi();

// What that ABI can't restrict, as words with commas: "truncation, device ioctls"; empty when nothing we use is
// missing.
std::string landlock_lacks(int abi);

}  // namespace bulkhead::session

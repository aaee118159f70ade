// Where Bulkhead's own parts are, seen from the running program: beside it in a build tree, in
// ../libexec/bulkhead and ../share/bulkhead once installed. Never from the environment or the working directory.
#pragma once

#include <string>

#include "base/fd.h"
#include "base/result.h"

namespace bulkhead {

// The helper program, opened O_PATH for execveat(2).
Result<UniqueFd> open_helper(const std::string& name);

// The folder that holds profiles/ and presets/.
Result<std::string> data_directory();

}  // namespace bulkhead

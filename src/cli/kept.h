// What rw-no-delete folders kept, for the commands that show it.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace bulkhead::cli {

// Prints what the last session that had this folder kept of it, or of the paths that `words` name ([SESSION] [PATH…]).
// false: no session kept anything here.
Result<bool> list_kept(const std::vector<std::string>& words, bool json);  // restore.cc

}  // namespace bulkhead::cli

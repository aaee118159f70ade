// From argv to an exit status.
#pragma once

#include <string>
#include <vector>

#include "cli/commands.h"

namespace bulkhead::cli {

int dispatch(int argc, char** argv);

// What stands before the first "--"; the rest goes into `invocation`, out of CLI11's sight: a workload's
// arguments are never taken for ours.
std::vector<std::string> split_at_dashes(const std::vector<std::string>& arguments, Invocation& invocation);

}  // namespace bulkhead::cli

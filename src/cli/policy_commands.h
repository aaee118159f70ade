// The commands below `bulkhead policy`, one file each; policy.cc has the short ones.
#pragma once

#include "cli/commands.h"

namespace bulkhead::cli {

void add_policy_check(CLI::App& policy, Invocation& invocation);    // policy_check.cc
void add_policy_explain(CLI::App& policy, Invocation& invocation);  // policy_explain.cc
void add_policy_init(CLI::App& policy, Invocation& invocation);     // policy_init.cc
void add_policy_replay(CLI::App& policy, Invocation& invocation);   // policy_replay.cc

}  // namespace bulkhead::cli

// From what the command line asks for to the Policy that holds: finds the files, loads them,
// expands presets, merges. This is also all there is to `bulkhead policy check`: it succeeds, or
// says in one line what is wrong.
#pragma once

#include <string>

#include "policy/layers.h"

namespace bulkhead {

struct PolicyRequest {
  CommandLine flags;
  // --policy F: stands in the place of the user's file, and must exist.
  std::string policy_file;
  // ~/.config/bulkhead/policy.toml: may be absent; read only without policy_file.
  std::string user_file;
  // --profile P; empty: what the file says, else the one named like the command.
  std::string profile;
  std::string command;   // argv[0] of the workload, for that; may be empty
  std::string data_dir;  // where profiles/ and presets/ are
  Place place;
};

// "none" as a profile, on the command line or in a file, means no profile at all.
Result<Policy> effective_policy(const PolicyRequest& request);

}  // namespace bulkhead

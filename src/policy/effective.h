// From what the command line asks for to the Policy that holds: finds the files, loads them,
// expands presets, merges, lays a trusted project's own over it, and holds what came of it to the managed policy. This
// is also all there is to `bulkhead policy check`: it succeeds, or says in one line what is wrong.
#pragma once

#include <string>

#include "policy/layers.h"
#include "policy/managed.h"

namespace bulkhead {

struct PolicyRequest {
  CommandLine flags;
  // --policy F: stands in the place of the user's file, and must exist.
  std::string policy_file;
  // ~/.config/bulkhead/policy.toml: may be absent; read only without policy_file.
  std::string user_file;
  // --profile P; empty: what the file says, else the one named like the command.
  std::string profile;
  std::string command;       // argv[0] of the workload, for that; may be empty
  std::string data_dir;      // where profiles/, presets/, control/ and secrets/ are
  std::string user_presets;  // ~/.config/bulkhead/presets: may be absent, or empty for none
  // SHA-256, in hex, of what the user has trusted as this project's own policy (project.h).
  std::vector<std::string> trusted_project;
  Place place;
};

// "none" as a profile, on the command line or in a file, means no profile at all.
Result<Policy> effective_policy(const PolicyRequest& request);
// Under these rules instead of the machine's, or none.
Result<Policy> effective_policy(const PolicyRequest& request, const std::shared_ptr<const Managed>& managed);

}  // namespace bulkhead

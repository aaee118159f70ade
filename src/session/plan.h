// Policy -> tier::Plan: every path is opened first, judged by what it is, and mounted by its descriptor.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "policy/effective.h"
#include "policy/policy.h"
#include "review/review.h"
#include "session/identity.h"
#include "session/logins.h"
#include "session/outputs.h"
#include "session/projects.h"
#include "tier/tier.h"

namespace bulkhead::session {

// What is shown in the place of the host's root file system.
struct RootImage {
  std::string path;                                // on the host
  std::string digest;                              // "sha256:…" of its manifest; empty: a folder as it is
  std::map<std::string, std::string> environment;  // what its configuration sets
  UniqueFd use = {};                               // of the cache's: while it is open nobody removes it
};

struct Planned {
  tier::Plan plan;
  std::optional<RootImage> image;
  std::vector<std::string> visible;  // folders for PATH
  std::string directory;             // working directory inside
  Projects projects;                 // what nobody trusted in what the policy lets be written
  std::string workspace;             // the first mount that can be written, for the start line; empty: there is none
  MountMode workspace_mode = MountMode::rw;
  bool workspace_protected = false;     // control files in it can't be changed
  std::vector<review::Review> reviews;  // one for each mount in mode review, locked; the order is that of their paths
  std::vector<Collecting> outputs;      // session/outputs.h
  std::vector<UniqueFd> watches;        // handoff/watch.h
  std::vector<std::string> notes;       // about reviews that earlier sessions left
  std::string keys;                     // what to say of files that look like keys (keys.h); may be empty
};

// The home folders whose credential stores count: HOME's, and those of the accounts.
std::vector<std::string> homes_of(const Identity& identity);

struct PlanOf {
  std::string session;               // its id
  int session_directory = -1;        // where private copies go
  std::string working_directory;     // the caller's, resolved
  Paths paths;                       // Bulkhead's own folders on the host
  std::vector<std::string> command;  // for who reads a review later
  // Null: nothing starts, it is only looked at. What would be copied is then what it is, credential stores
  // (secrets/stores.h) are not refused, and no review is opened. May be of a state that has none.
  const review::Reviews* reviews = nullptr;
  std::vector<LoginFile> logins = {};  // to be put where the agents look for them
};
// With the privileges of whoever starts the session. `request`: what the policy was made from.
Result<Planned> make_plan(const Policy& policy, const PolicyRequest& request, const Identity& identity,
                          Sources& sources, const PlanOf& of);

}  // namespace bulkhead::session

// `bulkhead policy show --reach`: what of the home folder, of /etc and of the policy's mounts a workload can read, as a
// session's plan has it, and what of that looks like a key. Nothing is started, copied or changed.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "policy/effective.h"
#include "secrets/scan.h"

namespace bulkhead::session {

struct Reached {
  std::string path;  // on the host; empty: made for the session
  std::string at;    // inside
  std::string how;   // ro, rw, rw-no-delete, review, copy, image, made, login (an agent's, in place of the host's file)
  std::string origin;               // the layer it is from: "toolchains", "view", "user", …
  secrets::Scan scan;               // keys are relative to `path`
  std::string digest = {};          // of an image: its manifest's; how is "image" then, at is /
  bool unpacked = true;             // false: an image that no session has needed yet; nobody has looked into it
  std::vector<std::string> stores;  // credential stores of which something is in it, as `~/.ssh (SSH keys)`
};

// `cache`: Paths::cache, where an image may lie unpacked.
Result<std::vector<Reached>> reach(const Policy& policy, const PolicyRequest& request, const std::string& cache);

std::string reach_text(const std::vector<Reached>& reached, const std::string& home);
nlohmann::json reach_json(const std::vector<Reached>& reached);

}  // namespace bulkhead::session

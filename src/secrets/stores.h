// A mount that would bring in what logs tools in (a Store) is refused unless it is said twice: on the command line by
// --allow-secrets PATH in any case, and, of a mount that a file says, by `secrets = ["PATH"]` in the mount. What is
// copied in counts as well.
#pragma once

#include <string>
#include <vector>

#include "policy/layers.h"
#include "secrets/secrets.h"

namespace bulkhead::secrets {

// A store that is there. It points into the patterns.
struct Present {
  const Store* store = nullptr;
  std::string path;  // as the pattern has it, `~/.ssh`
  std::string real;  // where it is, every link resolved
};
// `homes`: what `~` may be.
std::vector<Present> present_stores(const Patterns& patterns, const std::vector<std::string>& homes);

// Those of which something is in `mount`, which leads to `real`.
std::vector<Present> stores_in(const std::vector<Present>& stores, const Mount& mount, const std::string& real);

// Refuses those that were not said twice. `allowed`: what --allow-secrets says.
Result<void> judge_stores(const std::vector<Present>& stores, const Mount& mount, const std::string& real,
                          const std::vector<std::string>& allowed, const Place& place);

}  // namespace bulkhead::secrets

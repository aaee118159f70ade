// A repository's own config: git parses it (`git config --file -`, no discovery, no includes, no privilege), we look at
// the keys. What is not known to be harmless counts: git learns new keys, and a list of dangerous ones would be late.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace bulkhead::trust {

struct GitConfigEntry {
  std::string key;  // as git prints it: section and name in lower case, the part between as written
  std::string value;
};

Result<std::vector<GitConfigEntry>> read_git_config(std::string_view bytes);

// "runs `…` at every git status", or "sets core.x = y"; empty for what can't make git run or go anywhere by itself.
std::string what_git_would_do(const GitConfigEntry& entry);

}  // namespace bulkhead::trust

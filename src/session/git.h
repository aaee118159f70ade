// What git inside a session is told, so that repositories work over HTTPS as their grants say: addresses of ssh are
// rewritten to https, and the session's token is given where git asks for a password.
#pragma once

#include <map>
#include <string>

#include "policy/policy.h"

namespace bulkhead::session {

// Variables GIT_CONFIG_COUNT, GIT_CONFIG_KEY_n and GIT_CONFIG_VALUE_n (git-config(1), git 2.31 and newer) for each host
// where a grant opens git's protocol; empty where none does.
std::map<std::string, std::string> git_environment(const Policy& policy);

}  // namespace bulkhead::session

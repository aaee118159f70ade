// The session's credentials: which secrets there are, the tokens that stand for them, and which grants stay
// closed because an optional credential has no source on this machine.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "credential/credential.h"
#include "gateway/gateway.h"
#include "policy/policy.h"

namespace bulkhead::session {

struct Credentials {
  std::map<std::string, Secret> secrets;  // by credential name
  std::vector<TokenSlot> tokens;
  std::vector<std::string> closed;  // one line each: optional credentials that are not here
  std::vector<std::string> notes;   // one line each: worth a warning
};

// Reads every credential that some grant uses, makes its token, and takes the grants of missing optional ones
// out of `policy`. A missing credential that is not optional is an error.
Result<Credentials> read_credentials(Policy& policy);

}  // namespace bulkhead::session

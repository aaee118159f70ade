// What `run` and `start` have in common: from their options to a session that can be started.
#pragma once

#include <string>

#include "cli/common.h"
#include "session/session.h"

namespace bulkhead::cli {

// With its policy loaded, and what is to be known of the project's own said on stderr. `command`: what a profile is
// chosen by, if the options name none; empty where there is no command yet.
Result<session::Options> session_options(const PolicyOptions& options, const std::string& command, bool ask,
                                         bool quiet);

}  // namespace bulkhead::cli

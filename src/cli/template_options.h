// --template: a session that goes on from one (template/template.h).
#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "cli/common.h"
#include "session/session.h"

namespace bulkhead::cli {

void add_template_option(CLI::App& command, std::string& name);

// The options as they are, on the one tier that has templates unless they name another.
PolicyOptions for_template(const PolicyOptions& options, const std::string& name);

// Every byte of it is read here. An empty name: none.
Result<void> use_template(session::Options& session, const std::string& name);

}  // namespace bulkhead::cli

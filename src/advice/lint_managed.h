// Second thoughts about a managed policy that loads: rules that don't do what they seem to.
//
//   stale-pin       a preset here has another content than the one that is pinned, so nobody can use it
//   linked-path     an allowed path is reached by a link; mounts are judged by where they lead
//   absent-path     a path that is not there: a misspelling keeps nothing out
//   unused-review   a path has to be reviewed, and the mode is forbidden
#pragma once

#include "advice/lint.h"
#include "policy/managed.h"

namespace bulkhead::advice {

// `data_dir`: where the shipped presets are. Absolute paths are looked at; `~/…` is everybody's own.
std::vector<Finding> lint(const ManagedFile& file, const std::string& data_dir);

}  // namespace bulkhead::advice

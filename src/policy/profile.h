// The shipped data files: `DATA/profiles/NAME.toml` and `DATA/presets/NAME.toml`, where DATA is the
// folder the caller found (the source tree, or $PREFIX/share/bulkhead). Names are [a-z0-9-], so
// that no name leads out of it.
//
// A preset is a named set of functions: [[grant]] entries with host, rules and default budget, of
// whatever number of hosts. The grant that names it gives values to its parameters (parameters.h), may
// add a credential and replace single keys of the budget, nothing else.
#pragma once

#include <string>
#include <vector>

#include "policy/load.h"

namespace bulkhead {

// Layer "profile NAME". A name that isn't there is an error that suggests the nearest that is.
Result<Document> load_profile(const std::string& data_dir, const std::string& name);

// Where presets are: those that are shipped, and the user's own (empty: none). The same name in both is an error, so
// that nobody's file stands in for what a policy was written for.
struct PresetFolders {
  std::string shipped, own;
};

// Replaces every grant that names a preset by the preset's own, in place. Origins stay those of the
// naming grant; Grant::preset says which preset it was.
Result<void> expand_presets(const PresetFolders& folders, Document& document);
// Only those that are shipped.
Result<void> expand_presets(const std::string& data_dir, Document& document);

// What `bulkhead policy presets` lists.
struct PresetSummary {
  std::string name, file;
  std::string title;                    // the first line of its comment
  std::vector<std::string> parameters;  // their names; in brackets those with a default
  std::string error;                    // why it can't be used; then the rest is empty
};
std::vector<PresetSummary> preset_summaries(const PresetFolders& folders);

// The profile that goes with a command ("/usr/local/bin/claude" -> "claude"), or empty.
std::string profile_for_command(const std::string& data_dir, const std::string& command);

// The names in DATA/profiles and DATA/presets, sorted; empty when the folder can't be read.
std::vector<std::string> profile_names(const std::string& data_dir);
std::vector<std::string> preset_names(const std::string& data_dir);

// The shipped presets that can stand by themselves: name, and the grants they are. `origin` is theirs.
std::vector<std::pair<std::string, std::vector<Grant>>> standalone_presets(const std::string& data_dir,
                                                                           const PresetFolders& folders,
                                                                           const Origin& origin);

}  // namespace bulkhead

// A project's own policy: `.bulkhead/policy.toml`, or else `bulkhead.toml`, in the working directory. It comes with the
// project, from whoever wrote that, so it counts only once the project is trusted, with this content, and even then it
// only narrows: it is laid over the finished policy, and one that would open anything is refused as a whole, by an
// error that names its line.
//
//   [[grant]]             this project needs these requests and no others: each is within a grant that the policy has
//                         (within.h: the same path template, fewer methods, keys, types, bytes)
//   network = false       … and none
//   [[mount]] path, mode  what the policy mounts there is `ro` or `review` instead
//   [[mount]] path, protect = true  what it mounts `rw` there is protected
//   [limits], [budget]    less than the policy's; [budget] is of each grant
//   toolchains, ask       false
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "policy/layers.h"

namespace bulkhead {

struct ProjectFile {
  std::string path, text;
  std::string unusable;  // why it can't be read; then there is no text
};
// No link is followed below `folder`, and nothing but a regular file is read. Nothing: there is none.
std::optional<ProjectFile> find_project(const std::string& folder);

// Where it may be, relative to the project; the first that is there counts.
std::vector<std::string> project_policy_names();

// Is its content among `trusted` (PolicyRequest::trusted_project)?
bool is_trusted(const ProjectFile& file, const std::vector<std::string>& trusted);

// Lays it over `policy`. `data_dir`: where presets are. An error: it is wrong, or opens something.
Result<void> narrow(std::string_view text, const std::string& file, const std::string& data_dir, const Place& place,
                    Policy& policy);

// The same for the project at `place`, if there is one and it is trusted.
Result<void> narrow_to_project(const std::string& data_dir, const Place& place, const std::vector<std::string>& trusted,
                               Policy& policy);
// One line about one that is not used; empty: there is none. Safe to print.
std::string project_note(const std::string& folder, const std::vector<std::string>& trusted);

}  // namespace bulkhead

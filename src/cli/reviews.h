// What diff, apply and discard share: which review is meant, and how its changes are told.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "base/result.h"
#include "review/changes.h"
#include "review/review.h"

namespace bulkhead::cli {

struct Meant {
  review::Review review;
  std::vector<std::string> paths;  // below its folder; empty: all of it
};

// `words` as typed: an open review's id (or six characters of it at least), then paths; or paths alone, or nothing: the
// review of the folder they are in. `lock`: the lock was taken if it was free. An interrupted apply is finished first,
// where the lock was to be had. Lines about that go to stderr.
Result<Meant> meant_review(const std::vector<std::string>& words, bool lock);

// A path on the host as one below `folder`, without looking at the file: "" for the folder itself.
Result<std::string> path_below(const std::string& path, const std::string& working_directory,
                               const std::string& folder);

// "2 removed, 3 changed, 1 added"
std::string counted(const std::vector<const review::Change*>& changes);
std::vector<const review::Change*> pointers(const review::Changes& changes);
std::string shown(const std::string& path);           // in quotes only where it needs them
std::string described(const struct stat& st);         // "file, 1.2 kB", "folder", "link", …
std::string reason_of(const review::Change& change);  // why it would not be applied, or empty

nlohmann::json to_json(const review::Info& info);
nlohmann::json to_json(const review::Change& change);

}  // namespace bulkhead::cli

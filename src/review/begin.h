// A session opens a review of a folder: judged whether it can be one, and given a layer.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "review/review.h"

namespace bulkhead::review {

// Can overlayfs show this folder whole, and apply change it again? `shown` is the mount as the user wrote it.
// Refused: no folder; another file system mounted below it; a file system that can't be a lower layer.
Result<void> can_review(int folder, const std::string& real, const std::string& shown);

// Opens the review; `info` has session, command and inner. The layer is `uid`'s.
Result<Review> begin(const Reviews& reviews, int folder, const std::string& real, Info info, uid_t uid, gid_t gid);

// After a session, and for those whose supervisor died: each open review that nobody uses is sealed (changes.h), and an
// interrupted apply is finished. What a person should know of it.
std::vector<std::string> tend(const Reviews& reviews);

// "review ID of "FOLDER" (1 removed, 2 changed, 3 added); look at it: bulkhead diff ID", for a session that is over.
std::vector<std::string> open_lines(const Reviews& reviews, const std::string& session);
// Reviews of the same folder, or one around or in it, that earlier sessions left.
std::vector<std::string> earlier_lines(const Reviews& reviews, const std::string& folder, const std::string& session);

}  // namespace bulkhead::review

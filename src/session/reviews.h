// A session's part in mode `review` (review/review.h): where its reviews are kept, and what is said of them before it
// begins and after it has ended.
#pragma once

#include <string>
#include <vector>

#include "policy/policy.h"
#include "review/review.h"
#include "session/state/paths.h"

namespace bulkhead::session {

// Made where there are none, if the policy asks for mode review.
Result<review::Reviews> open_reviews(const Policy& policy, const Paths& paths);

// What a crash left of earlier ones is put right. Lines for the user.
std::vector<std::string> tend_reviews(const Paths& paths);
// The session is over, and nothing of it runs: a review in which nothing was changed goes. Lines about the others, and
// about what of them `apply` will hold; `data`: where the list of control files is.
std::vector<std::string> close_reviews(const Paths& paths, const std::string& session, const std::string& data);

}  // namespace bulkhead::session

#include "session/reviews.h"

#include <algorithm>

#include "review/begin.h"

namespace bulkhead::session {

Result<review::Reviews> open_reviews(const Policy& policy, const Paths& paths) {
  const bool any = std::ranges::any_of(policy.mounts, [](const Mount& m) { return m.mode == MountMode::review; });
  return any ? review::Reviews::open(paths) : Result<review::Reviews>(review::Reviews());
}

std::vector<std::string> tend_reviews(const Paths& paths) {
  const auto reviews = review::Reviews::open_existing(paths);
  return reviews ? review::tend(*reviews) : std::vector<std::string>();
}

std::vector<std::string> close_reviews(const Paths& paths, const std::string& session) {
  const auto reviews = review::Reviews::open_existing(paths);
  if (!reviews) return {};
  std::vector<std::string> lines = review::tend(*reviews);
  std::ranges::move(review::open_lines(*reviews, session), std::back_inserter(lines));
  return lines;
}

}  // namespace bulkhead::session

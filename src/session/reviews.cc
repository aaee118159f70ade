#include "session/reviews.h"

#include <algorithm>

#include "handoff/gate.h"
#include "handoff/items.h"
#include "review/begin.h"
#include "trust/trust.h"

namespace bulkhead::session {

Result<review::Reviews> open_reviews(const Policy& policy, const Paths& paths) {
  const bool any = std::ranges::any_of(policy.mounts, [](const Mount& m) { return m.mode == MountMode::review; });
  return any ? review::Reviews::open(paths) : Result<review::Reviews>(review::Reviews());
}

std::vector<std::string> tend_reviews(const Paths& paths) {
  const auto reviews = review::Reviews::open_existing(paths);
  return reviews ? review::tend(*reviews) : std::vector<std::string>();
}

namespace {

Result<std::string> held_line(const review::Review& review, const Paths& paths, const trust::Catalogue& catalogue) {
  BH_TRY(const review::Changes changes, review::scan(review));
  BH_TRY(const handoff::Gate gate, handoff::look(review, changes, {}, catalogue, paths));
  std::vector<const trust::Handed*> handed;
  for (const handoff::GateFile* file : gate.open()) handed.push_back(&file->handed);
  if (handed.empty()) return std::string();
  return "handoff: " + handoff::summary_of(handed) + "; `bulkhead apply` holds " +
         (handed.size() == 1 ? "it" : "them") + " until you say yes";
}

}  // namespace

std::vector<std::string> close_reviews(const Paths& paths, const std::string& session, const std::string& data) {
  const auto reviews = review::Reviews::open_existing(paths);
  if (!reviews) return {};
  std::vector<std::string> lines = review::tend(*reviews);
  std::vector<std::string> open = review::open_lines(*reviews, session);
  if (open.empty()) return lines;
  std::ranges::move(open, std::back_inserter(lines));
  const auto catalogue = trust::load_catalogue(data, paths.config);
  for (const review::Info& info : reviews->list()) {
    const auto review = info.session == session ? reviews->open(info.id, false) : fail("");
    if (!review || !catalogue) continue;
    // What can't be looked at now is said by diff and apply.
    if (auto line = held_line(*review, paths, *catalogue); line && !line->empty()) lines.push_back(std::move(*line));
  }
  return lines;
}

}  // namespace bulkhead::session

// Mode review: which changes need somebody's word before they come to the host, and who has given it.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "review/changes.h"
#include "review/review.h"
#include "session/state/paths.h"
#include "trust/catalogue.h"
#include "trust/handoff.h"

namespace bulkhead::handoff {

// What is larger can't be said yes to.
inline constexpr std::uint64_t max_accepted = std::uint64_t{512} << 20;

struct GateFile {
  trust::Handed handed;
  std::string accepted;  // how somebody said yes to exactly this, earlier; empty: nobody did
};

struct Gate {
  std::vector<GateFile> files;  // in classify()'s order
  // Of every change that a rule names, those judged harmless included: what was judged. What is applied has to be that
  // (review/apply.h).
  std::map<std::string, trust::Fingerprint> judged;

  std::vector<const GateFile*> open() const;  // nobody has said yes
};

// `paths`: at and below which; empty: everywhere. What the user trusts as it is (trust/pins.h) needs no word.
Result<Gate> look(const review::Review& review, const review::Changes& changes, const std::vector<std::string>& paths,
                  const trust::Catalogue& catalogue, const session::Paths& where);

// On the disk when this returns. Somebody's word about `files` as they were judged; `by`: "terminal", "--yes-to".
Result<void> accept(const review::Review& review, const std::vector<const GateFile*>& files, const std::string& by);

// When a review begins: links of the project that lead to a place in it.
Result<void> write_links(const review::Review& review, const std::vector<trust::Surroundings::Alias>& links);

// The text of one side as it was judged, for people. Nothing when it is none, or long. An error when it is another by
// now.
Result<std::optional<std::string>> text_of(const review::Review& review, const trust::Handed& handed,
                                           trust::Trees::Side side);

}  // namespace bulkhead::handoff

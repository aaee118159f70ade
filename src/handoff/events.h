// What is evidence of the handoff (docs/formats.md): `handoff.decision` and `handoff.live`, in records of their own.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "trust/handoff.h"

namespace bulkhead::handoff {

// Somebody's word about files, or that nobody was there to give one.
struct Decision {
  std::string decision;  // accepted, refused, held
  std::string by;        // terminal, --yes-to, nobody
  std::string pattern;   // --yes-to's
  std::int64_t ms = 0;   // that the person took
  std::vector<const trust::Handed*> files;
};

nlohmann::json event_of(const Decision& decision);
// The list may be cut, `count` is not: an event has 63 KiB.
nlohmann::json files_of(const std::vector<const trust::Handed*>& files);

}  // namespace bulkhead::handoff

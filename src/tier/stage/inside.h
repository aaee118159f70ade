// What of a plan is shown where, for a tier whose kernel inside mounts it by itself (gvisor, vm): folders in the stage,
// and the mounts that put them together.
//
// Read-only things outside the in-memory folders are one tree, which the host's kernel mounts read-only; each mount of
// the policy, and what stands in an in-memory folder, is a mount of its own; in-memory folders are the inner kernel's.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tier/stage/stage.h"

namespace bulkhead::tier {

inline constexpr const char* root_folder = "/root";  // of the stage: what is shown at /
inline constexpr const char* over_folder = "/over";  // with an image: what of it lies over the image's own

struct InsideMount {
  std::string source;  // of the stage; empty: memory
  std::string target;  // absolute, inside
  bool writable = false;
  std::uint64_t size = 0;  // memory: bytes
  unsigned mode = 0;       // memory: of its top folder
};

// In the order in which they are to be mounted, over what root_folder shows.
std::vector<InsideMount> inside_mounts(const Plan& plan);

// Puts the plan's sources, files and links where inside_mounts() says they are. Late files are read to their end.
Result<void> furnish(Stage& stage, const Plan& plan);

// What the shim makes inside, because it stands in an in-memory folder.
std::vector<PlannedLink> links_inside(const Plan& plan);

}  // namespace bulkhead::tier

// From a Plan to what runsc starts with: folders in the stage, and an OCI configuration (runtime-spec 1.0) that says
// what of them is shown where.
//
// Read-only things outside the in-memory folders are one tree, which the host's kernel mounts read-only; each mount of
// the policy, and what stands in an in-memory folder, is a mount of its own; in-memory folders are gVisor's.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tier/stage/stage.h"

namespace bulkhead::tier::gvisor {

inline constexpr const char* root_folder = "/root";      // of the stage: what is shown at /
inline constexpr const char* over_folder = "/over";      // with an image: what of it lies over the image's own
inline constexpr const char* bundle_folder = "/bundle";  // config.json
inline constexpr const char* state_folder = "/state";    // runsc's own

// The configuration. `arguments`: of the shim, which runsc is given opened.
nlohmann::json configuration(const Plan& plan, const std::vector<std::string>& arguments);

// Puts the plan's sources, files and links where configuration() says they are. Late files are read to their end.
Result<void> furnish(Stage& stage, const Plan& plan);

// What the shim makes inside, because it stands in an in-memory folder.
std::vector<PlannedLink> links_inside(const Plan& plan);

}  // namespace bulkhead::tier::gvisor

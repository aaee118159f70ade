// From a Plan to what runsc starts with: an OCI configuration (runtime-spec 1.0) that says what of the stage is shown
// where (stage/inside.h).
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tier/gvisor/saved.h"
#include "tier/stage/inside.h"

namespace bulkhead::tier::gvisor {

inline constexpr const char* state_folder = "/state";  // runsc's own

// The configuration. `arguments`: of the shim, which runsc is given opened.
nlohmann::json configuration(const Plan& plan, const std::vector<std::string>& arguments);

}  // namespace bulkhead::tier::gvisor

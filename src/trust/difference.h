// What was trusted against what is there now, as diff(1) prints it (unified). Hostile text, as both sides are.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace bulkhead::trust {

Result<std::string> difference(std::string_view before, std::string_view after);

}  // namespace bulkhead::trust

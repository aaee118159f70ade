// What is different between two texts, by diff(1) of GNU diffutils (filter.h). Neither a name nor a byte of the texts
// reaches its arguments.
#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace bulkhead {

struct DiffLimits {
  std::size_t most = std::size_t{1} << 20;  // bytes of what diff says
  std::chrono::seconds patience{2};
};

// Unified, from the first "@@" on, in lines without their ends; hostile text, as both sides are. What takes too long,
// or is too long to be read by anybody, is an error.
Result<std::vector<std::string>> unified_diff(std::string_view before, std::string_view after,
                                              const DiffLimits& limits = {});

}  // namespace bulkhead

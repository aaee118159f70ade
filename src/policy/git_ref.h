// Names of git refs, as git-check-ref-format(1) has them, and patterns over them.
#pragma once

#include <string_view>

#include "base/result.h"

namespace bulkhead {

// A full name (`refs/heads/main`): valid UTF-8, nothing git would refuse, at most 1024 bytes.
Result<void> check_ref(std::string_view name);

// A full name, a final `*` of which stands for any rest: `refs/heads/agent/*`.
Result<void> check_ref_pattern(std::string_view pattern);

// Both have passed their check.
bool ref_matches(std::string_view pattern, std::string_view name);

}  // namespace bulkhead

// The main() of a helper program: bulkhead-front, bulkhead-egress and their like.
#pragma once

#include <csignal>
#include <functional>
#include <initializer_list>

#include "base/result.h"

namespace bulkhead {

inline constexpr int helper_failed = 125;

// The exit status: 0, or helper_failed after one line on stderr that says why; a library's exception counts, too. What
// reaches the terminal's whole foreground group (Ctrl-C, a hang-up) and SIGPIPE are ignored, and `ignored` also: the
// supervisor is the one who ends a helper.
int run_helper(const std::function<Result<void>()>& work, std::initializer_list<int> ignored = {});

}  // namespace bulkhead

// From a Plan to bubblewrap's arguments. They are handed over by descriptor (--args), not on the command line:
// bubblewrap is pid 1 inside, and /proc/1/cmdline would tell the workload the host's paths.
#pragma once

#include <string>
#include <vector>

#include "base/fd.h"
#include "tier/tier.h"

namespace bulkhead::tier::native {

struct Arguments {
  std::vector<std::string> words;  // without argv[0], --args and the command
  std::vector<UniqueFd> owned;     // files made for it
  std::vector<int> fds;            // the child's descriptors from first_fd on, in order
};

// `first_fd`: the number the first passed descriptor will have in bubblewrap.
Result<Arguments> make_arguments(const Plan& plan, int first_fd);

}  // namespace bulkhead::tier::native

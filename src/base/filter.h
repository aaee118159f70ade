// A well-kept program of the machine's that reads hostile bytes for us (git, diff): by its absolute path, with an empty
// environment but for what is said here, without privilege, network or any file but the machine's own programs and
// libraries (confine.h), its output and its time bounded.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace bulkhead {

struct Filter {
  std::vector<std::string> places;       // where the program may be; the first that is there
  std::vector<std::string> arguments;    // argv
  std::vector<std::string> environment;  // KEY=value
  std::vector<std::string_view> inputs;  // descriptor 0, then 3, 4, …: anonymous files that hold these
  int file = -1;                         // descriptor 0 in their place: a file that is read from its beginning
  // Gets what the program says as it comes, in place of Filtered::out; an error ends the program and is the result.
  std::function<Result<void>(std::string_view)> sink = {};
  std::uint64_t most = std::uint64_t{1} << 20;
  std::chrono::seconds patience{2};
};

struct Filtered {
  int status = 0;
  std::string out;
};

// An error when it can't be run (ENOENT: it is not there), is killed, takes longer than `patience` (ETIMEDOUT), or says
// more than `most` bytes (EFBIG).
Result<Filtered> run_filter(const Filter& filter);

}  // namespace bulkhead

// The host keeps room on its disks, whatever a workload writes: when a file system that the session writes to runs low
// in bytes or inodes, the session is over. No quota needs privilege that way, and files of the host's own count as
// well, so it is the disk that is looked at and not what the session wrote.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"

namespace bulkhead::session {

class DiskGuard {
 public:
  using Clock = std::chrono::steady_clock;

  // `folder` may be O_PATH; `path` is for messages. Each file system is watched once, and one that is full already (or
  // counts nothing) is not. What is kept free on it: 1 GB and 10,000 inodes, or half of what there is now if that is
  // less.
  Result<void> watch(int folder, const std::string& path);
  // When check() wants to be called again; nothing: never.
  std::optional<Clock::time_point> deadline() const;
  // The error is why the session has to end.
  Result<void> check(Clock::time_point now);

 private:
  struct Watched {
    dev_t device = 0;
    UniqueFd folder;
    std::string path;
    std::uint64_t bytes = 0, inodes = 0;  // to be kept free; 0: not counted
  };
  std::vector<Watched> watched_;
  std::optional<Clock::time_point> next_;
};

}  // namespace bulkhead::session

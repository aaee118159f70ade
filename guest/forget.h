// What this machine's kernel remembers of the shared folders. For each file of them that it knows, virtiofsd on the
// host holds a descriptor open, and it has only so many; after that, nothing more can be opened. A kernel that has
// enough memory never forgets, so it is told to in time.
#pragma once

#include <chrono>
#include <cstdint>

namespace bulkhead::shim {

class Forget {
 public:
  using Clock = std::chrono::steady_clock;

  // `most`: descriptors that the host's side may have. 0: none were told of, and nothing is done.
  explicit Forget(std::uint64_t most = 0) : quarter_(most / 4), when_(quarter_) {}

  // Often (it looks a hundred times a second at most), as root of the machine, where /proc is: when a quarter of them
  // are taken, everything goes that is not in use (proc(5), /proc/sys/vm/drop_caches). The others are for what is
  // opened until it is looked at again.
  void look(Clock::time_point now = Clock::now());

 private:
  std::uint64_t quarter_, when_;  // of the shared ones
  // Of all of them: how many there were when the shared ones were counted, and how many more call for it again.
  std::uint64_t all_ = UINT64_MAX, enough_ = 1;
  Clock::time_point next_{};
};

}  // namespace bulkhead::shim

// The limit on what a command may write to its standard output and error (`output`). A pty's bytes pass the supervisor
// anyway; where those are the user's own pipe or file, a process carries them there and counts, and the command has a
// pipe to that process.
#pragma once

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "base/process.h"
#include "base/result.h"

namespace bulkhead::session {

class Output {
 public:
  // Before the tier starts: puts a pipe in the place of each of stdio[1] and stdio[2] that is not -1 (one and the same
  // where they are the same file). Changes nothing where there is no limit.
  Result<void> begin(int (&stdio)[3], const std::optional<std::uint64_t>& limit);
  // Once the tier has them.
  void close_pipes() { pipes_.clear(); }

  // What the pty has brought so far.
  void pty(std::uint64_t bytes);
  // More was written than may be. What is within it has been passed on.
  bool over() const;
  // For poll(2): readable when a carrier has ended, which reap() then forgets: nobody reads what it carried any more,
  // or over().
  std::vector<int> pidfds() const;
  void reap();

  // The workload is gone: waits until what it wrote is with whoever reads it, however long that takes, but no longer
  // than until `enough` can be read; for a moment only where that is -1. False: some of it is not there.
  bool finish(int enough);

 private:
  struct Count;
  struct Shared {  // with the carriers
    Shared() = default;
    Shared(Shared&& other) noexcept : count(std::exchange(other.count, nullptr)) {}
    Shared& operator=(Shared&& other) noexcept;
    ~Shared();
    Count* count = nullptr;
  };
  Result<void> carry(int& fd);
  Shared shared_;
  std::vector<Child> carriers_;
  std::vector<UniqueFd> pipes_;
  bool lost_ = false;  // a carrier could not write what it had
};

}  // namespace bulkhead::session

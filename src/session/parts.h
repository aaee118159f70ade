// The processes on the host that are a kernel of the session's own (Isolation::parts): one that somebody there kills
// takes what runs on it along, or leaves it waiting for ever, and that kernel does not say so. So they are looked at,
// and a session that is not whole any more ends. A kernel that is ending ends them, too: only one that has been gone
// for as long as the time between two looks counts. And of those that are made some are gone again at once, which is
// how such a kernel makes others: only one that was there at two looks is counted on.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <map>

#include "base/process.h"
#include "tier/tier.h"

namespace bulkhead::session {

class Parts {
 public:
  using Clock = std::chrono::steady_clock;

  Clock::time_point deadline() const { return checked_ + interval; }
  // Whether one is lost. To be called while the workload runs, at deadline(); earlier it does nothing.
  bool lost(const tier::Isolation& isolation, const Child& process, Clock::time_point now);

 private:
  static constexpr std::chrono::milliseconds interval{1000};
  std::map<pid_t, std::uint64_t> known_, seen_;  // and when each began; counted on, and there at the last look
  bool missed_ = false;
  Clock::time_point checked_ = {};  // the first look is at once
};

}  // namespace bulkhead::session

// What the supervisor says to the person: the start line and the summary of what was denied. Everything on
// stderr, everything that came from inside escaped.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "policy/policy.h"
#include "session/plan.h"

namespace bulkhead::session {

// One line: what the workload can see and reach. `missing`: guarantees this machine can't give.
std::string start_line(const Policy& policy, const Planned& planned, const std::vector<std::string>& missing);

// Collects front's reports. Bounded: front bounds what it sends, this bounds what is kept.
class Denials {
 public:
  void add(std::uint64_t count, const std::string& what, const std::string& why, const std::string& add);
  bool empty() const { return total_ == 0; }
  // `denied 3 requests: GET https://example.com/x (2): no grant …` and the TOML that would allow it.
  std::string summary() const;

 private:
  struct Entry {
    std::uint64_t count = 0;
    std::string why, add;
  };
  std::map<std::string, Entry> entries_;
  std::vector<std::string> order_;
  std::uint64_t total_ = 0;
};

}  // namespace bulkhead::session

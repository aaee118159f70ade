// What the person is told about denials while the session runs: one message per kind, not one per request, and never
// so that front would wait for the supervisor.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>

namespace bulkhead::front {

struct Denial {
  std::string key;   // what is the same kind: method, host, port, reason, and the path where it matters
  std::string what;  // `GET https://example.com/x`
  std::string why;   // one line
  std::string add;   // TOML that would allow it, or empty
};

class DeniedReports {
 public:
  using Clock = std::chrono::steady_clock;
  // Hands a message over without waiting; false: not now.
  using Send = std::function<bool(const nlohmann::json&)>;

  // Beyond `kinds`, denials are counted together as "other requests".
  DeniedReports(Send send, std::size_t kinds, std::chrono::milliseconds interval);

  // Counts it and reports at once unless this kind was reported within the interval.
  void add(Denial denial, Clock::time_point now);
  // Reports what waited long enough; call it now and then while pending().
  void flush(Clock::time_point now);
  bool pending() const { return pending_ > 0; }

 private:
  struct Entry {
    std::string what, why, add;
    std::uint64_t unreported = 0;
    Clock::time_point last{};
    bool reported = false;
  };
  void report(Entry& entry, Clock::time_point now);

  Send send_;
  std::size_t kinds_;
  std::chrono::milliseconds interval_;
  std::map<std::string, Entry> entries_;
  std::size_t pending_ = 0;  // entries with unreported denials
};

}  // namespace bulkhead::front

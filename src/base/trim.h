// Start-up touches far more of a program than serving does (OpenSSL's alone is megabytes). What was touched stays
// mapped and counts as the process's own until the kernel is short of memory.
#pragma once

#include <chrono>
#include <optional>

namespace bulkhead {

// Unmaps the program's read-only pages; those that are needed again come back from the page cache, 64 KiB at a time.
// For a helper that has come up and now waits. Never fails: at worst nothing is released.
void release_startup_pages();

// Releases them once, when the process is a while old: a session that is over by then has not paid for it.
class StartupTrim {
 public:
  static constexpr std::chrono::milliseconds delay{1000};

  // The earlier of a poll(2) timeout (-1: none) and the moment of release.
  int timeout(int other) const;
  // After poll(2).
  void check();

 private:
  std::optional<std::chrono::steady_clock::time_point> at_ = std::chrono::steady_clock::now() + delay;
};

}  // namespace bulkhead

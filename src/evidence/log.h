// The log file of one session: numbering, time, sync, and the reserve for a full disk.
//
// A fresh, empty file, opened O_APPEND by the supervisor. fallocate(FALLOC_FL_KEEP_SIZE, Linux 2.6.38) holds
// `reserve` bytes ahead of the last line at all times; when they can't be extended any more the log is *full*:
// it says so in a last ordinary line and takes from then on only what ends the session, out of the reserve.
#pragma once

#include <cstdint>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "base/fd.h"
#include "base/result.h"

namespace bulkhead::evidence {

class Log {
 public:
  // Refuses a file that is not empty, not regular, not append-only or already being written by somebody
  // (flock(2)), and a disk without room for the reserve. Call before confine(): it uses flock and fstat.
  static Result<Log> open(UniqueFd file, std::string session);

  // Appends one line and returns its seq. `ending`: an event that ends the session, allowed into the reserve.
  // An error leaves the file with whole lines only; full() says whether it is final.
  Result<std::uint64_t> append(std::string_view source, std::string_view type, const nlohmann::ordered_json& fields,
                               bool ending = false);
  // fdatasync(2). A failure makes the log full: after it the kernel may have dropped pages (fsyncgate).
  Result<void> sync();
  // Gives the reserve back and syncs. The log takes nothing afterwards.
  Result<void> close();

  bool dirty() const { return dirty_; }
  bool full() const { return full_; }
  bool has_reserve() const { return has_reserve_; }
  std::uint64_t lines() const { return seq_; }
  const std::string& why_full() const { return why_full_; }

 private:
  Result<void> extend(std::uint64_t line);
  Result<void> write_line(const std::string& line);
  void become_full(const Error& why);
  std::string line_for(std::string_view source, std::string_view type, const nlohmann::ordered_json& fields) const;

  UniqueFd file_;
  std::string session_;
  std::uint64_t seq_ = 0;        // of the last line written; the first is 1
  std::uint64_t size_ = 0;       // bytes in whole lines
  std::uint64_t allocated_ = 0;  // bytes the file system holds for us from the start of the file
  bool dirty_ = false, full_ = false, has_reserve_ = false;
  std::string why_full_;
};

// UTC, microseconds, as in RFC 3339: 2026-01-02T03:04:05.678901Z.
std::string timestamp();

}  // namespace bulkhead::evidence

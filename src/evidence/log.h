// The log file of one session: numbering, time, sync, and the reserve for a full disk.
//
// A fresh, empty file, opened O_APPEND by the supervisor. fallocate(FALLOC_FL_KEEP_SIZE, Linux 2.6.38) holds
// `reserve` bytes ahead of the last line at all times; when they can't be extended any more the log is *full*:
// it says so in a last ordinary line and takes from then on only what ends the session, out of the reserve.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/fd.h"
#include "base/result.h"
#include "evidence/event_text.h"

namespace bulkhead::evidence {

// UTC, microseconds, as in RFC 3339: 2026-01-02T03:04:05.678901Z.
class Timestamp {
 public:
  std::string now();  // not const: what is the same for a whole second is kept

 private:
  std::int64_t second_ = -1;
  std::string text_;  // of that second, up to the point
};

class Log {
 public:
  // Refuses a file that is not empty, not regular, not append-only or already being written by somebody
  // (flock(2)), and a disk without room for the reserve. Call before confine(): it uses flock and fstat.
  static Result<Log> open(UniqueFd file, std::string session);

  // Adds one line and returns its seq; it is in the file after the next flush(). `fields` as Fields writes them.
  // `ending`: an event that ends the session, allowed into the reserve. After an error full() says whether it is final.
  Result<std::uint64_t> append(std::string_view source, std::string_view type, std::string_view fields,
                               bool ending = false);
  // One of the writer's own.
  Result<std::uint64_t> append(const Event& event, bool ending = false) {
    return append("evidence", event.type(), event.fields(), ending);
  }
  // Writes what was added, in one go. An error makes the log full, and leaves the file with whole lines only.
  Result<void> flush();
  // flush(), and fdatasync(2). A failure makes the log full: after it the kernel may have dropped pages (fsyncgate).
  Result<void> sync();
  // Gives the reserve back and syncs. The log takes nothing afterwards.
  Result<void> close();

  bool dirty() const { return dirty_; }
  bool full() const { return full_; }
  bool has_reserve() const { return has_reserve_; }
  std::uint64_t lines() const { return seq_; }
  std::uint64_t lost() const { return lost_; }  // had a seq, and could not be written
  const std::string& why_full() const { return why_full_; }

 private:
  Result<void> extend(std::uint64_t line);
  void add(const std::string& line);
  Result<void> write_waiting();
  void become_full(const Error& why);
  std::string line_for(std::string_view source, std::string_view type, std::string_view fields);

  UniqueFd file_;
  std::string session_;
  Timestamp time_;
  std::string waiting_;    // lines that flush() writes
  std::uint64_t seq_ = 0;  // of the last line, also of those; the first is 1
  std::uint64_t lost_ = 0;
  std::uint64_t size_ = 0;       // bytes in whole lines in the file
  std::uint64_t allocated_ = 0;  // bytes the file system holds for us from the start of the file
  bool dirty_ = false, full_ = false, has_reserve_ = false;
  std::string why_full_;
};

}  // namespace bulkhead::evidence

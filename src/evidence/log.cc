#include "evidence/log.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <utility>

#include "base/sys.h"
#include "evidence/limits.h"

namespace bulkhead::evidence {

namespace {

// Each extension of the reserve is a metadata operation: ask for more than needed while there is room.
constexpr std::uint64_t generous = 1024 * 1024;

bool out_of_space(int code) {
  return code == ENOSPC || code == EDQUOT || code == EFBIG;
}

Result<void> allocate(int fd, std::uint64_t from, std::uint64_t length) {
  while (::fallocate(fd, FALLOC_FL_KEEP_SIZE, static_cast<off_t>(from), static_cast<off_t>(length)) != 0) {
    if (errno != EINTR) return fail_errno("fallocate", "evidence log", errno);
  }
  return {};
}

}  // namespace

std::string Timestamp::now() {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  std::array<char, 64> text;
  if (now.tv_sec != second_) {
    tm utc{};
    ::gmtime_r(&now.tv_sec, &utc);
    const int n = std::snprintf(text.data(), text.size(), "%04d-%02d-%02dT%02d:%02d:%02d.", utc.tm_year + 1900,
                                utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec);
    text_.assign(text.data(), static_cast<std::size_t>(n));
    second_ = now.tv_sec;
  }
  // A million more, and its digit away: all six are there.
  const char* end = std::to_chars(text.data(), text.data() + text.size(), 1'000'000 + now.tv_nsec / 1000).ptr;
  return text_ + std::string(static_cast<const char*>(text.data()) + 1, end) + "Z";
}

Result<Log> Log::open(UniqueFd file, std::string session) {
  BH_TRY(const struct stat st, sys::stat_fd(file.get(), "evidence log"));
  if (!S_ISREG(st.st_mode)) return fail("the evidence log is not a regular file");
  if (st.st_size != 0) return fail("the evidence log is not empty: a log is written by one session only");
  if ((::fcntl(file.get(), F_GETFL) & O_APPEND) == 0) return fail("the evidence log is not open for appending only");
  if (::flock(file.get(), LOCK_EX | LOCK_NB) != 0) return fail("the evidence log has another writer", errno);
  Log log;
  log.file_ = std::move(file);
  log.session_ = std::move(session);
  log.has_reserve_ = true;
  if (auto room = log.extend(0); !room) {
    const int code = room.error().code;
    if (code != EOPNOTSUPP && code != ENOSYS)
      return tl::unexpected(std::move(room).error().with("no room for evidence"));
    log.has_reserve_ = false;
    const Event event = Event("evidence.no_reserve").add("reason", "fallocate is not supported by this file system");
    if (auto said = log.append(event); !said) {
      return tl::unexpected(std::move(said).error());
    }
  }
  return log;
}

// Room for what waits and for one more line.
Result<void> Log::extend(std::uint64_t line) {
  const std::uint64_t more = waiting_.size() + line;
  if (!has_reserve_ || size_ + more + reserve <= allocated_) return {};
  auto got = allocate(file_.get(), size_, more + reserve + generous);
  if (got) {
    allocated_ = size_ + more + reserve + generous;
    return {};
  }
  if (!out_of_space(got.error().code)) return got;
  BH_CHECK(allocate(file_.get(), size_, more + reserve));
  allocated_ = size_ + more + reserve;
  return {};
}

std::string Log::line_for(std::string_view source, std::string_view type, std::string_view fields) {
  const Fields head = Fields()
                          .add("v", schema_version)
                          .add("seq", seq_ + 1)
                          .add("time", time_.now())
                          .add("session", session_)
                          .add("source", source)
                          .add("type", type);
  std::string line;
  line.reserve(head.text().size() + fields.size() + 4);
  line.append("{").append(head.text()).append(fields.empty() ? "" : ",").append(fields).append("}\n");
  return line;
}

void Log::add(const std::string& line) {
  waiting_ += line;
  ++seq_;
  dirty_ = true;
}

Result<void> Log::flush() {
  auto written = write_waiting();
  if (written) return written;
  become_full(written.error());
  (void)write_waiting();  // from the reserve; nobody left to tell on failure
  return written;
}

// On an error only the whole lines that fitted are in the file, and none wait any more.
Result<void> Log::write_waiting() {
  const std::string lines = std::exchange(waiting_, {});
  std::size_t put = 0;
  Result<void> written;
  while (written && put < lines.size()) {
    const ssize_t n = ::write(file_.get(), lines.data() + put, lines.size() - put);
    if (n > 0) put += static_cast<std::size_t>(n);
    if (n < 0 && errno != EINTR) written = fail_errno("write", "evidence log", errno);
  }
  if (!written) {
    // Half a line would be taken for tampering: back to the last whole one.
    put = std::string_view(lines).substr(0, put).rfind('\n') + 1;
    if (::ftruncate(file_.get(), static_cast<off_t>(size_ + put)) != 0) {
      written = fail_errno("ftruncate", "evidence log", errno);
    }
    const auto gone = std::count(lines.begin() + static_cast<std::ptrdiff_t>(put), lines.end(), '\n');
    seq_ -= static_cast<std::uint64_t>(gone);
    lost_ += static_cast<std::uint64_t>(gone);
  }
  size_ += put;
  return written;
}

void Log::become_full(const Error& why) {
  if (full_) return;
  full_ = true;
  why_full_ = why.message;
  const Event event = Event("evidence.full").add("reason", why.message);
  add(line_for("evidence", event.type(), event.fields()));
}

Result<std::uint64_t> Log::append(std::string_view source, std::string_view type, std::string_view fields,
                                  bool ending) {
  if (full_ && !ending) return fail("the evidence log is full: " + why_full_, ENOSPC);
  std::string line = line_for(source, type, fields);
  if (line.size() > max_line)
    return fail("evidence line of " + std::to_string(line.size()) + " bytes is too long", EMSGSIZE);
  if (!full_) {
    if (auto room = extend(line.size()); !room) {
      become_full(room.error());
      if (!ending) return tl::unexpected(std::move(room).error());
      line = line_for(source, type, fields);  // evidence.full took its number
    }
  }
  add(line);
  return seq_;
}

Result<void> Log::sync() {
  if (!dirty_) return {};
  BH_CHECK(flush());
  if (::fdatasync(file_.get()) != 0) {
    const Error why = errno_error("fdatasync", "evidence log", errno);
    become_full(why);
    (void)flush();
    return tl::unexpected(why);
  }
  dirty_ = false;
  return {};
}

Result<void> Log::close() {
  const auto flushed = flush();
  // Truncating to the size it has releases what was allocated beyond it.
  if (::ftruncate(file_.get(), static_cast<off_t>(size_)) != 0) return fail_errno("ftruncate", "evidence log", errno);
  BH_CHECK(flushed);
  return sync();
}

}  // namespace bulkhead::evidence

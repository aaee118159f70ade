#include "evidence/log.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <nlohmann/json.hpp>

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

std::string timestamp() {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  tm utc{};
  ::gmtime_r(&now.tv_sec, &utc);
  std::array<char, 64> text;
  const int n = std::snprintf(text.data(), text.size(), "%04d-%02d-%02dT%02d:%02d:%02d.%06ldZ", utc.tm_year + 1900,
                              utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec, now.tv_nsec / 1000);
  return {text.data(), static_cast<std::size_t>(n)};
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
    nlohmann::ordered_json fields{{"reason", "fallocate is not supported by this file system"}};
    if (auto said = log.append("evidence", "evidence.no_reserve", fields); !said) {
      return tl::unexpected(std::move(said).error());
    }
  }
  return log;
}

Result<void> Log::extend(std::uint64_t line) {
  if (!has_reserve_ || size_ + line + reserve <= allocated_) return {};
  auto got = allocate(file_.get(), size_, line + reserve + generous);
  if (got) {
    allocated_ = size_ + line + reserve + generous;
    return {};
  }
  if (!out_of_space(got.error().code)) return got;
  BH_CHECK(allocate(file_.get(), size_, line + reserve));
  allocated_ = size_ + line + reserve;
  return {};
}

std::string Log::line_for(std::string_view source, std::string_view type, const nlohmann::ordered_json& fields) const {
  nlohmann::ordered_json line{{"v", schema_version}, {"seq", seq_ + 1},  {"time", timestamp()},
                              {"session", session_}, {"source", source}, {"type", type}};
  for (const auto& [key, value] : fields.items()) line[key] = value;
  return line.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

Result<void> Log::write_line(const std::string& line) {
  if (auto written = sys::write_all(file_.get(), line, "evidence log"); !written) {
    // Half a line would be taken for tampering: back to the last whole one.
    if (::ftruncate(file_.get(), static_cast<off_t>(size_)) != 0) {
      return fail_errno("ftruncate", "evidence log", errno);
    }
    return written;
  }
  size_ += line.size();
  ++seq_;
  dirty_ = true;
  return {};
}

void Log::become_full(const Error& why) {
  if (full_) return;
  full_ = true;
  why_full_ = why.message;
  const nlohmann::ordered_json fields{{"reason", why.message}};
  (void)write_line(line_for("evidence", "evidence.full", fields));  // from the reserve; nobody left to tell on failure
}

Result<std::uint64_t> Log::append(std::string_view source, std::string_view type, const nlohmann::ordered_json& fields,
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
  if (auto written = write_line(line); !written) {
    become_full(written.error());
    return tl::unexpected(std::move(written).error());
  }
  return seq_;
}

Result<void> Log::sync() {
  if (!dirty_) return {};
  if (::fdatasync(file_.get()) != 0) {
    const Error why = errno_error("fdatasync", "evidence log", errno);
    become_full(why);
    return tl::unexpected(why);
  }
  dirty_ = false;
  return {};
}

Result<void> Log::close() {
  // Truncating to the size it has releases what was allocated beyond it.
  if (::ftruncate(file_.get(), static_cast<off_t>(size_)) != 0) return fail_errno("ftruncate", "evidence log", errno);
  return sync();
}

}  // namespace bulkhead::evidence

#include "trace/trace.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <optional>
#include <string>

#include "trace/decode.h"
#include "trace/events.h"
#include "trace/lineage.h"

namespace bulkhead::trace {
namespace {

using Clock = Pace::Clock;
using std::chrono::milliseconds;

// The supervisor says nothing: what can be read there is its end.
Result<bool> wait_for(int fd, int supervisor) {
  pollfd fds[] = {{fd, POLLIN, 0}, {supervisor, POLLIN, 0}};
  while (::poll(fds, 2, -1) < 0) {
    if (errno != EINTR) return fail_errno("poll", "", errno);
  }
  return fds[0].revents != 0 && fds[1].revents == 0;
}

class Trace {
 public:
  Trace(int supervisor, UniqueFd sentry, evidence::Recorder recorder, const Limits& limits)
      : supervisor_(supervisor),
        sentry_(std::move(sentry)),
        recorder_(std::move(recorder)),
        limits_(limits),
        pace_(limits.pace, Clock::now()),
        buffer_(max_datagram, '\0') {}

  Result<void> run() {
    bool ending = false;
    while (!ending) {
      pollfd fds[] = {{sentry_.get(), POLLIN, 0}, {supervisor_, POLLIN, 0}};
      if (::poll(fds, 2, timeout()) < 0 && errno != EINTR) return fail_errno("poll", "", errno);
      ending = fds[1].revents != 0;
      BH_CHECK(read_all());
      if (report_at_ && (ending || Clock::now() >= *report_at_)) BH_CHECK(report());
      if (silent_since_ && !ending && Clock::now() - *silent_since_ >= limits_.silence_ends) {
        return fail("gVisor tells no more of its processes");
      }
    }
    return {};
  }

 private:
  int timeout() const {
    std::optional<Clock::time_point> next = report_at_;
    if (silent_since_) next = std::min(next.value_or(Clock::time_point::max()), *silent_since_ + limits_.silence_ends);
    if (!next) return -1;
    const auto left = std::chrono::duration_cast<milliseconds>(*next - Clock::now()).count();
    return static_cast<int>(std::clamp<std::int64_t>(left + 1, 0, 60'000));
  }

  // What has been sent so far. Nobody is kept from being heard by it: the supervisor only ever ends this, and then the
  // sentry is gone, too.
  Result<void> read_all() {
    for (int i = 0; i < 4096 && sentry_; ++i) {
      const ssize_t n = ::recv(sentry_.get(), buffer_.data(), buffer_.size(), MSG_DONTWAIT | MSG_TRUNC);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0 && errno == EAGAIN) return {};
      if (n <= 0) {
        sentry_.reset();
        silent_since_ = Clock::now();
        return {};
      }
      const auto size = static_cast<std::size_t>(n);
      if (size > buffer_.size()) return fail("gVisor said something that makes no sense (its length)");
      BH_TRY(const Told told, decode(std::string_view(buffer_.data(), size)));
      pace_.unsent(told.unsent);
      if (told.what) {
        BH_CHECK(std::visit([this](const auto& what) { return take(what); }, *told.what));
      }
      if (!report_at_ && pace_.omitted().any()) report_at_ = Clock::now() + limits_.report_each;
    }
    return {};
  }

  Result<void> record(Kind kind, const evidence::Event& event) {
    if (!pace_.allows(kind, event.fields().size(), Clock::now())) return {};
    return recorder_.record(event);
  }

  Result<void> take(const Began& what) {
    lineage_.began(what);
    return record(Kind::started, event_of(what, lineage_.of(what.pid)));
  }
  Result<void> take(const Executed& what) {
    lineage_.executed(what);
    return record(Kind::executed, event_of(what, lineage_.of(what.by.pid)));
  }
  Result<void> take(const Runs& what) {
    if (lineage_.runs(what)) return {};
    return record(Kind::executed, event_of(what, lineage_.of(what.by.pid)));
  }
  Result<void> take(const Ended& what) {
    const Process process = lineage_.of(what.pid);
    lineage_.ended(what.pid);
    return record(Kind::ended, event_of(what, process));
  }
  Result<void> take(const Opened& what) { return record(Kind::opened, event_of(what, lineage_.of(what.by.pid))); }
  Result<void> take(const Connected& what) { return record(Kind::connected, event_of(what, lineage_.of(what.by.pid))); }

  Result<void> report() {
    report_at_.reset();
    return recorder_.record(event_of(pace_.take()));
  }

  const int supervisor_;
  UniqueFd sentry_;
  evidence::Recorder recorder_;
  const Limits limits_;
  Pace pace_;
  Lineage lineage_;
  std::string buffer_;
  std::optional<Clock::time_point> report_at_, silent_since_;
};

}  // namespace

Result<UniqueFd> greet(int supervisor, UniqueFd listener) {
  BH_TRY(const bool connects, wait_for(listener.get(), supervisor));
  if (!connects) return UniqueFd();
  UniqueFd sentry(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
  if (!sentry) return fail_errno("accept4", "gVisor", errno);
  listener.reset();  // one, and nobody after it
  BH_TRY(const bool speaks, wait_for(sentry.get(), supervisor));
  if (!speaks) return UniqueFd();
  char buffer[1024];
  const ssize_t n = ::recv(sentry.get(), buffer, sizeof buffer, 0);
  if (n <= 0) return fail("gVisor connected and said nothing");
  BH_CHECK(check_greeting(std::string_view(buffer, static_cast<std::size_t>(n))));
  const std::string answer = greeting();
  if (::send(sentry.get(), answer.data(), answer.size(), MSG_NOSIGNAL) < 0) return fail_errno("send", "gVisor", errno);
  return sentry;
}

Result<void> serve(int supervisor, UniqueFd sentry, evidence::Recorder recorder, const Limits& limits) {
  return Trace(supervisor, std::move(sentry), std::move(recorder), limits).run();
}

}  // namespace bulkhead::trace

#include "trace/trace.h"

#include <errno.h>
#include <poll.h>

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

constexpr int all_at_once = 1 << 16;  // more than a socket holds

class Trace {
 public:
  Trace(int supervisor, std::unique_ptr<Teller> teller, evidence::Recorder recorder, const Limits& limits)
      : supervisor_(supervisor),
        teller_(std::move(teller)),
        recorder_(std::move(recorder)),
        limits_(limits),
        pace_(limits.pace, Clock::now()) {}

  Result<void> run() {
    bool ending = false, more = false;
    while (!ending) {
      pollfd fds[] = {{teller_->fd(), POLLIN, 0}, {supervisor_, POLLIN, 0}};
      if (::poll(fds, 2, more ? 0 : timeout()) < 0 && errno != EINTR) return fail_errno("poll", "", errno);
      ending = fds[1].revents != 0;
      BH_TRY(more, read_all(ending ? all_at_once : 4096));
      const bool unheard = ending && !teller_->is_done();
      if (unheard || (report_at_ && (ending || Clock::now() >= *report_at_))) BH_CHECK(report(unheard));
      if (silent_since_ && !ending && Clock::now() - *silent_since_ >= limits_.silence_ends) {
        return fail((teller_->name() == "gvisor" ? "gVisor" : "the virtual machine") +
                    std::string(" tells no more of its processes"));
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

  // What has been sent so far; whether there may be more, which poll() need not see: the teller keeps what it has read.
  // Nobody is kept from being heard by it: the supervisor only ever ends this, and then who tells is gone, too.
  Result<bool> read_all(int most) {
    for (int i = 0; i < most; ++i) {
      BH_TRY(const std::optional<Told> told, teller_->next());
      if (!told) {
        if (teller_->fd() < 0 && !silent_since_) silent_since_ = Clock::now();
        return false;
      }
      pace_.unsent(told->unsent);
      if (told->what) {
        BH_CHECK(std::visit([this](const auto& what) { return take(what); }, *told->what));
      }
      if (!report_at_ && pace_.omitted().any()) report_at_ = Clock::now() + limits_.report_each;
    }
    return true;
  }

  Result<void> record(Kind kind, const evidence::Event& event) {
    if (!pace_.allows(kind, event.fields().size(), Clock::now())) return {};
    return recorder_.record(event);
  }

  Result<void> take(const Began& what) {
    lineage_.began(what);
    return record(Kind::started, event_of(what, lineage_.of(what.pid), teller_->name()));
  }
  Result<void> take(const Executed& what) {
    lineage_.executed(what);
    return record(Kind::executed, event_of(what, lineage_.of(what.by.pid), teller_->name()));
  }
  Result<void> take(const Runs& what) {
    if (lineage_.runs(what)) return {};
    return record(Kind::executed, event_of(what, lineage_.of(what.by.pid), teller_->name()));
  }
  Result<void> take(const Ended& what) {
    const Process process = lineage_.of(what.pid);
    lineage_.ended(what.pid);
    return record(Kind::ended, event_of(what, process, teller_->name()));
  }
  Result<void> take(const Opened& what) {
    return record(Kind::opened, event_of(what, lineage_.of(what.by.pid), teller_->name()));
  }
  Result<void> take(const Connected& what) {
    return record(Kind::connected, event_of(what, lineage_.of(what.by.pid), teller_->name()));
  }

  Result<void> report(bool unheard) {
    report_at_.reset();
    return recorder_.record(event_of(pace_.take(), unheard, teller_->name()));
  }

  const int supervisor_;
  std::unique_ptr<Teller> teller_;
  evidence::Recorder recorder_;
  const Limits limits_;
  Pace pace_;
  Lineage lineage_;
  std::optional<Clock::time_point> report_at_, silent_since_;
};

}  // namespace

Result<void> serve(int supervisor, std::unique_ptr<Teller> teller, evidence::Recorder recorder, const Limits& limits) {
  return Trace(supervisor, std::move(teller), std::move(recorder), limits).run();
}

}  // namespace bulkhead::trace

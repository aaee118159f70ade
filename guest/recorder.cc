#include "guest/recorder.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/ipc.h"
#include "base/sys.h"
#include "guest/notices.h"
#include "guest/proc_events.h"
#include "guest/record.h"

namespace bulkhead::shim {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr std::size_t enough = 256 * 1024;  // on its way to the host: then whoever asks has to wait
constexpr std::size_t too_much = 4 << 20;   // then what does not wait is counted only
constexpr std::size_t most = 1U << 16;      // processes known at once
// A write to the port costs more than all else where the machine is emulated, so what is not a program or a connection
// waits this long for more.
constexpr milliseconds gathers{10};
constexpr milliseconds waits_at_end{5'000};

// What is known of one of the session's processes.
struct Known {
  std::optional<record::Executed> asked;  // what it was about to execute
  std::optional<std::uint32_t> status;    // its first thread ended while another executes something
};

class Speaker final : public Asked {
 public:
  Speaker(ProcEvents events, UniqueFd port, UniqueFd link)
      : events_(std::move(events)), port_(std::move(port)), link_(std::move(link)) {}

  Result<void> run() {
    BH_CHECK(sys::set_nonblocking(port_.get(), true));
    say(record::Hello{record::version});
    for (;;) {
      const bool waits = out_.size() - sent_ >= enough;
      const auto now = Clock::now();
      const bool due = !out_.empty() && (now >= send_at_ || sent_ != 0);
      const int timeout =
          out_.empty() || due ? -1 : static_cast<int>(std::chrono::ceil<milliseconds>(send_at_ - now).count());
      pollfd fds[] = {{link_.get(), POLLIN, 0},
                      {events_.fd(), POLLIN, 0},
                      {waits ? -1 : listener_.get(), POLLIN, 0},
                      {port_.get(), static_cast<short>(due ? POLLOUT : 0), 0}};
      if (::poll(fds, 4, timeout) < 0 && errno != EINTR) return fail_errno("poll", "the machine's record", errno);
      if (fds[1].revents != 0) begin();
      BH_CHECK(failed_);
      if ((fds[2].revents & POLLIN) != 0) BH_CHECK(take_notice(listener_.get(), *this));
      if ((fds[2].revents & POLLHUP) != 0) listener_.reset();  // nobody is left who could ask
      if (Clock::now() >= send_at_) BH_CHECK(send());
      if (fds[0].revents != 0) {
        BH_TRY(const bool over, hear());
        if (over) return finish();
      }
    }
  }

  void begin() override {
    auto events = events_.read();
    if (!events) {
      failed_ = tl::unexpected(std::move(events).error());
      return;
    }
    for (const ProcEvent& event : *events) std::visit([this](const auto& what) { happened(what); }, event);
  }

  bool is_process(std::uint32_t thread) override { return known_.contains(thread); }

  void take(Attempt attempt) override {
    if (auto* program = std::get_if<record::Executed>(&attempt)) {
      const std::uint32_t pid = program->by.pid;
      entry(pid).asked = std::move(*program);
    } else if (auto* opening = std::get_if<record::Opening>(&attempt)) {
      say(std::move(*opening));
    } else if (auto* connecting = std::get_if<record::Connecting>(&attempt)) {
      say(std::move(*connecting));
    }
  }

 private:
  // Who asks is one of the session's, whether it is known or not; so is whom one of them makes.
  Known& entry(std::uint32_t pid) {
    if (known_.size() >= most && !known_.contains(pid)) known_.clear();
    return known_[pid];
  }

  void happened(const ProcFork& fork) {
    if (!known_.contains(fork.parent)) return;
    entry(fork.pid) = {};
    say(record::Forked{{fork.parent, fork.parent_thread}, fork.pid});
  }

  void happened(const ProcExec& exec) {
    const auto found = known_.find(exec.pid);
    if (found == known_.end()) return;
    found->second.status.reset();
    if (auto program = std::exchange(found->second.asked, std::nullopt)) {
      say(std::move(*program));
    } else {
      say(record::Runs{{exec.pid, exec.pid}});
    }
  }

  // Whoever executes something from another thread than the first takes its number over; that one ends before.
  void happened(const ProcExit& exit) {
    const auto found = known_.find(exit.pid);
    if (found == known_.end()) return;
    Known& process = found->second;
    const bool first = exit.thread == exit.pid;
    if (first && process.asked && process.asked->by.thread != exit.pid) {
      process.status = exit.status;
      return;
    }
    if (!first) {
      if (!process.asked || process.asked->by.thread != exit.thread) return;
      process.asked.reset();
      if (!process.status) return;
    }
    say(record::Ended{exit.pid, process.status.value_or(exit.status)});
    known_.erase(found);
  }

  void say(record::Happened what) {
    if (out_.size() - sent_ >= too_much) {
      ++unsent_;
      return;
    }
    const bool at_once = !std::holds_alternative<record::Opening>(what) &&
                         !std::holds_alternative<record::Forked>(what) && !std::holds_alternative<record::Ended>(what);
    const auto now = Clock::now();
    if (out_.empty()) send_at_ = now + gathers;
    if (at_once) send_at_ = std::min(send_at_, now);
    out_ += record::encode({unsent_ + events_.lost(), std::move(what)});
  }

  Result<void> send() {
    while (sent_ < out_.size()) {
      const ssize_t n = ::write(port_.get(), out_.data() + sent_, out_.size() - sent_);
      if (n < 0 && (errno == EAGAIN || errno == EINTR)) break;
      if (n <= 0) return fail_errno("write", "the machine's record", errno);
      sent_ += static_cast<std::size_t>(n);
    }
    if (sent_ == out_.size() || sent_ >= enough) out_.erase(0, std::exchange(sent_, 0));
    return {};
  }

  // True: it is over.
  Result<bool> hear() {
    BH_TRY(ipc::Message message, ipc::receive(link_.get()));
    if (message.closed) return true;
    if (message.fds.size() != 1) return fail("the machine's record got no listener");
    listener_ = std::move(message.fds[0]);
    return false;
  }

  // The host ends the machine soon, and with it what QEMU has not taken yet. Who does not answer says so in the record
  // himself.
  Result<void> finish() {
    begin();
    BH_CHECK(failed_);
    out_ += record::encode({unsent_ + events_.lost(), record::Done{}});
    const auto until = Clock::now() + waits_at_end;
    for (auto now = Clock::now(); now < until; now = Clock::now()) {
      BH_CHECK(send());
      pollfd host{port_.get(), static_cast<short>(out_.empty() ? POLLIN : POLLIN | POLLOUT), 0};
      const int left = static_cast<int>(std::chrono::ceil<milliseconds>(until - now).count());
      if (::poll(&host, 1, left) < 0 && errno != EINTR) return fail_errno("poll", "the machine's record", errno);
      if ((host.revents & (POLLHUP | POLLERR)) != 0) return {};
      char answer = 0;
      if ((host.revents & POLLIN) != 0 && ::read(port_.get(), &answer, 1) == 1 && answer == record::heard) return {};
    }
    return {};
  }

  ProcEvents events_;
  UniqueFd port_, link_, listener_;
  std::unordered_map<std::uint32_t, Known> known_;
  std::string out_;
  std::size_t sent_ = 0;
  Clock::time_point send_at_;
  std::uint32_t unsent_ = 0;
  Result<void> failed_;
};

// What the machine's kernel ends for want of memory is not this.
void stay() {
  const auto file = sys::open("/proc/self/oom_score_adj", O_WRONLY);
  if (file) (void)!::write(file->get(), "-1000", 5);
}

void close_others(std::vector<int> kept) {
  std::ranges::sort(kept);
  int from = 3;
  for (const int fd : kept) {
    if (fd > from) (void)::syscall(SYS_close_range, from, fd - 1, 0);
    from = fd + 1;
  }
  (void)::syscall(SYS_close_range, from, ~0U, 0);
}

[[noreturn]] void speak(ProcEvents events, UniqueFd port, UniqueFd link) {
  (void)::prctl(PR_SET_NAME, "bulkhead-record");
  stay();
  auto done = Speaker(std::move(events), std::move(port), std::move(link)).run();
  if (!done) ::dprintf(1, "bulkhead-init: %s\n", done.error().message.c_str());
  ::_exit(done ? 0 : 1);
}

}  // namespace

Result<Recorder> Recorder::start(UniqueFd port) {
  BH_TRY(ProcEvents events, ProcEvents::open());
  BH_TRY(sys::Pair pair, sys::socket_pair(SOCK_SEQPACKET));
  const pid_t child = ::fork();
  if (child < 0) return fail_errno("fork", "the machine's record", errno);
  if (child == 0) {
    (void)pair.first.release();
    close_others({events.fd(), port.get(), pair.second.get()});
    speak(std::move(events), std::move(port), std::move(pair.second));
  }
  return Recorder(child, std::move(pair.first));
}

Result<void> Recorder::watch_me() {
  BH_TRY(const UniqueFd listener, watch_calls());
  const int fd = listener.get();
  return ipc::send(link_.get(), std::string_view("."), std::span(&fd, 1));
}

}  // namespace bulkhead::shim

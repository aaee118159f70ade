#include <poll.h>
#include <sys/socket.h>

#include <algorithm>

#include "base/ipc.h"
#include "session/recorded.h"
#include "session/supervisor_class.h"

namespace bulkhead::session {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr auto helper_grace = milliseconds(1000);          // for helpers to end once told
constexpr auto evidence_grace = std::chrono::seconds(10);  // for a slow disk
constexpr auto record_grace = std::chrono::seconds(10);    // for who has still to record what was told last

// It says what it still has to, and ends.
void tell_it_is_over(const Helper& helper) {
  if (helper.control) (void)::shutdown(helper.control.get(), SHUT_WR);
}

double seconds_since(Clock::time_point since) {
  return static_cast<double>(std::chrono::duration_cast<milliseconds>(Clock::now() - since).count()) / 1000.0;
}

// nullopt: it has not, or nobody can tell.
std::optional<ExitStatus> await_end(Child& child, Clock::time_point until) {
  pollfd p{child.pidfd(), POLLIN, 0};
  const auto left = std::chrono::duration_cast<milliseconds>(until - Clock::now()).count();
  (void)::poll(&p, 1, static_cast<int>(std::max<std::int64_t>(left, 0)));
  return child.try_wait().value_or(std::nullopt);
}

// True: it ended by itself and said that all is well.
bool end_child(Child& child, Clock::time_point until) {
  if (!child) return true;
  const auto status = await_end(child, until);
  child.kill_and_wait();
  return status && status->shell() == 0;
}

}  // namespace

void Supervisor::begin_end() {
  ending_ = true;
  if (recorder_) (void)ask_.close();  // evidence that is gone is told of below
  tell_it_is_over(helpers_.front);
  if (helpers_.relay) tell_it_is_over(*helpers_.relay);
  room_.control.reset();
}

void Supervisor::collect_outputs() {
  for (const Collecting& output : planned_.outputs) {
    const review::Review& review = planned_.reviews[output.review];
    const auto done = session::collect(output);
    const auto line = collected_line(output, done);
    if (!line.empty()) std::fprintf(stderr, "bulkhead: %s\n", line.c_str());
    (void)recorder_->record("output.collected", collected_event(review.info().folder, review.info().id, done));
  }
}

void Supervisor::judge(Helper& helper, Result<int>& ended) {
  const auto status = await_end(helper.child, Clock::now() + record_grace);
  if (status && status->shell() == 0) return;
  collect(helper.messages, helper.printed);
  ended = fail(status ? death(helper.name, *status, helper.printed)
                      : helper.name + ": what was told last could not be recorded in ten seconds");
}

void Supervisor::wind_down(Result<int>& ended) {
  tier_.process.kill_and_wait();
  commands_.close("stopped");
  commands_.finish(Clock::now() + term_grace);
  if (ended) collect_outputs();
  for (Child& carrier : tier_.carriers) {
    if (!end_child(carrier, Clock::now() + helper_grace))
      say("not all that the command wrote could be written to its file");
  }
  // Nobody uses their mounts any more.
  for (const Helper& helper : helpers_.keeps) tell_it_is_over(helper);
  // What was told of them last is with it by now.
  for (auto* helper : {&helpers_.trace, &helpers_.changes}) {
    if (*helper) tell_it_is_over(**helper);
  }
  // The gateway first, so that evidence hears its last words; all of it at once, so that it ends in parallel.
  if (!ending_) begin_end();
  const Clock::time_point until = Clock::now() + helper_grace;
  const std::size_t front = 1, count = helpers_.all().size();
  hear_out(front, until);
  end_egress();
  const Clock::time_point egress_until = Clock::now() + helper_grace;
  const std::size_t logins = count - helpers_.logins.size();
  for (std::size_t i = front + 1; i < logins; ++i) hear_out(i, egress_until);
  // After egress: what it said last may be what the host's file is to hold.
  for (const Helper& helper : helpers_.logins) tell_it_is_over(helper);
  for (std::size_t i = logins; i < count; ++i) hear_out(i, Clock::now() + helper_grace);
  // What was told last may have made no sense: then the record is not what the session's end would have one believe.
  for (auto* helper : {&helpers_.trace, &helpers_.changes}) {
    if (ended && *helper) judge(**helper, ended);
  }
  if (recorder_ && helpers_.evidence.child) {
    const std::string reason = !ended ? ended.error().message : stopped_ ? "stopped" : "exited";
    (void)recorder_->record(
        "session.end",
        {{"exit_status", ended ? *ended : exit_failure}, {"reason", reason}, {"seconds", seconds_since(started_)}});
  }
  // An orderly stop, where it would otherwise record that its supervisor vanished. It ends once all is on the disk.
  (void)ipc::send(helpers_.evidence.control.get(), nlohmann::json{{"type", "stop"}});
  if (!identity_.from_root) {
    if (auto removed = directory_.remove(); !removed) say("left behind: " + removed.error().message);
  }
  // Reaped, each of them: in a container there may be no init that would do it.
  for (Helper& helper : helpers_.egress) (void)end_child(helper.child, until);
  if (helpers_.relay) (void)end_child(helpers_.relay->child, until);
  for (auto* helper : {&helpers_.trace, &helpers_.changes}) {
    if (*helper) (void)end_child((*helper)->child, until);
  }
  for (Helper& helper : helpers_.keeps) (void)end_child(helper.child, until);
  for (Helper& helper : helpers_.logins) (void)end_child(helper.child, Clock::now() + helper_grace);
  (void)end_child(helpers_.front.child, until);
  (void)end_child(room_.holder, until);
  if (!end_child(helpers_.evidence.child, Clock::now() + evidence_grace) && ended) {
    say("the last lines of the session's record may be missing: evidence did not end well");
  }
  if (!denials_.empty()) say(denials_.summary());
  for (const std::string& line : ask_.summary()) say(line);
}

void Supervisor::end_egress() {
  for (const Helper& helper : helpers_.egress) tell_it_is_over(helper);
}

void Supervisor::hear_out(std::size_t index, Clock::time_point until) {
  Helper& helper = *helpers_.all()[index];
  while (helper.control) {
    pollfd p{helper.control.get(), POLLIN, 0};
    const auto left = std::chrono::duration_cast<milliseconds>(until - Clock::now()).count();
    if (left <= 0 || ::poll(&p, 1, static_cast<int>(left)) <= 0) break;
    on_helper(index);
  }
  helper.control.reset();
}

}  // namespace bulkhead::session

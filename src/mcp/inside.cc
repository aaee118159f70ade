#include "mcp/inside.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <optional>

#include "base/process.h"
#include "base/sys.h"

namespace bulkhead::mcp {
namespace {

using Clock = std::chrono::steady_clock;
constexpr int failed = 125;                               // Bulkhead's own, not the command's
constexpr auto start_patience = std::chrono::minutes(4);  // a virtual machine without KVM
constexpr int step = 200;                                 // milliseconds
constexpr auto grace = std::chrono::seconds(5);           // between SIGTERM and SIGKILL

Result<UniqueFd> file_with(const std::string& text) {
  UniqueFd file(::memfd_create("input", MFD_CLOEXEC));
  if (!file) return fail_errno("memfd_create", "", errno);
  BH_CHECK(sys::write_all(file.get(), text, "input"));
  if (::lseek(file.get(), 0, SEEK_SET) != 0) return fail_errno("lseek", "", errno);
  return file;
}

std::string trimmed(std::string text) {
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

// Reads what is there; unset at its end.
void take(UniqueFd& from, std::string& kept, const Inside& what, bool& cut) {
  char buffer[1 << 16];
  const ssize_t n = ::read(from.get(), buffer, sizeof buffer);
  if (n <= 0) {
    from.reset();
    return;
  }
  const std::string_view bytes(buffer, static_cast<std::size_t>(n));
  const std::string_view room = bytes.substr(0, what.most - std::min(what.most, kept.size()));
  kept.append(room);
  cut = cut || room.size() < bytes.size();
  if (what.heard && !room.empty()) what.heard(room);
}

// Of the connection its end alone (POLLHUP): what comes on it is the next request's.
pollfd end_of(const Wanted& wanted) {
  return {wanted.cancelled ? -1 : wanted.connection, 0, 0};
}

bool given_up(Wanted& wanted) {
  pollfd p = end_of(wanted);
  if (::poll(&p, 1, 0) > 0) wanted.cancelled = true;
  return wanted.cancelled;
}

}  // namespace

Result<Session> Session::make(const Config& config) {
  BH_TRY(UniqueFd program, sys::open("/proc/self/exe", O_PATH));
  return Session(config, std::move(program));
}

Session::~Session() {
  if (!id_.empty() && config_.session.empty()) forget(id_);
}

void Session::forget(const std::string& id) {
  Wanted until_done;
  (void)call({"stop", id}, {.command = {}, .directory = "", .input = ""}, until_done);
  bond_.reset();
}

Result<std::string> Session::id() {
  if (!config_.session.empty()) return config_.session;
  const std::scoped_lock held(mutex_);
  if (!id_.empty()) return id_;
  if (ending_.cancelled) return fail("the server ends");
  BH_TRY(sys::Pair bond, sys::pipe());
  std::vector<std::string> words{"start", "--until-closed=3"};
  words.insert(words.end(), config_.start_options.begin(), config_.start_options.end());
  Inside what;
  what.patience = start_patience;
  BH_TRY(const Ran ran, call(words, what, ending_, bond.first.get()));
  if (ran.cancelled) return fail("the server ends");
  if (ran.status != 0 || ran.out.empty()) {
    return fail(
        "there is no session to run it in: " + trimmed(ran.err) +
        (ran.late ? " (it took longer than four minutes)" : "") +
        "\nNothing was run. The person who set up this server can see why with `bulkhead doctor`, and change the "
        "options of `bulkhead mcp` (another --tier, for one); then call again.");
  }
  id_ = trimmed(ran.out);
  bond_ = std::move(bond.second);
  return id_;
}

Result<Ran> Session::run(const Inside& what, Wanted& wanted) {
  BH_TRY(const std::string session, id());
  if (given_up(wanted)) {  // while the session was starting, or between two commands of a tool
    Ran nothing;
    nothing.cancelled = true;
    return nothing;
  }
  std::vector<std::string> words{"exec"};
  if (!what.directory.empty()) words.push_back("--dir=" + what.directory);
  words.insert(words.end(), {session, "--"});
  words.insert(words.end(), what.command.begin(), what.command.end());
  BH_TRY(Ran ran, call(words, what, wanted));
  if (ran.status != failed || !ran.err.starts_with("bulkhead: ")) return ran;
  // Its own is over, or as good as that: the next call gets another.
  if (config_.session.empty()) {
    const std::scoped_lock held(mutex_);
    if (id_ == session) {
      forget(session);
      id_.clear();
    }
  }
  return fail(trimmed(ran.err) + (config_.session.empty() ? "\nThe next call starts a new session." : ""));
}

Result<Ran> Session::call(std::vector<std::string> words, const Inside& what, Wanted& wanted, int passed) {
  BH_TRY(const UniqueFd input, file_with(what.input));
  BH_TRY(sys::Pair out, sys::pipe());
  BH_TRY(sys::Pair err, sys::pipe());
  SpawnOptions options;
  options.program = program_.get();
  options.arguments = {"bulkhead"};
  options.arguments.insert(options.arguments.end(), words.begin(), words.end());
  for (char** variable = environ; *variable != nullptr; ++variable) options.borrowed_environment.push_back(*variable);
  options.fds = {input.get(), out.second.get(), err.second.get()};
  if (passed >= 0) options.fds.push_back(passed);
  BH_TRY(Child child, spawn(options));
  out.second.reset();
  err.second.reset();
  Ran ran;
  const Clock::time_point end = Clock::now() + what.patience;
  std::optional<Clock::time_point> kill_at;
  while (out.first || err.first) {
    pollfd fds[] = {{out.first.get(), POLLIN, 0}, {err.first.get(), POLLIN, 0}, end_of(wanted)};
    const int ready = ::poll(fds, 3, step);
    if (ready < 0 && errno != EINTR) return fail_errno("poll", "", errno);
    if (ready > 0 && fds[0].revents != 0) take(out.first, ran.out, what, ran.cut);
    if (ready > 0 && fds[1].revents != 0) take(err.first, ran.err, what, ran.cut);
    if (what.passing) what.passing();
    if (ready > 0 && fds[2].revents != 0) wanted.cancelled = true;
    const Clock::time_point now = Clock::now();
    if (!kill_at && (now > end || wanted.cancelled)) {
      ran.cancelled = wanted.cancelled;
      ran.late = !ran.cancelled;
      (void)child.signal(SIGTERM);
      kill_at = now + grace;
    } else if (kill_at && now > *kill_at) {
      child.kill_and_wait();
      break;
    }
    // `start` leaves a process that has its stderr for a while.
    if (words[0] == "start" && !out.first) break;
  }
  if (child) {
    BH_TRY(const ExitStatus ended, child.wait());
    ran.status = ended.shell();
  } else {
    ran.status = 128 + SIGKILL;
  }
  return ran;
}

}  // namespace bulkhead::mcp

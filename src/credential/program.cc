#include "credential/program.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <string_view>

#include "base/process.h"
#include "base/sys.h"
#include "base/text.h"
#include "credential/source.h"

namespace bulkhead {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::size_t max_complaint = 4096;

int left_until(Clock::time_point end) {
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - Clock::now()).count();
  return static_cast<int>(std::clamp<std::int64_t>(left, 0, 3'600'000));
}

// Both of its streams to their ends.
Result<void> read_both(int out, int complaints, Clock::time_point end, Printed& printed) {
  pollfd fds[2] = {{out, POLLIN, 0}, {complaints, POLLIN, 0}};
  char line[512];
  while (fds[0].fd >= 0 || fds[1].fd >= 0) {
    const int ready = ::poll(fds, 2, left_until(end));
    if (ready < 0 && errno == EINTR) continue;
    if (ready < 0) return fail_errno("poll", "", errno);
    if (ready == 0) return fail("gave no answer in time", ETIMEDOUT);
    if (fds[0].revents != 0) {
      if (printed.text.left() == 0) {
        return fail("printed more than " + std::to_string(max_source_read) + " bytes", EFBIG);
      }
      const ssize_t n = ::read(out, printed.text.space(), printed.text.left());
      if (n > 0) printed.text.added(static_cast<std::size_t>(n));
      if (n == 0 || (n < 0 && errno != EINTR)) fds[0].fd = -1;
    }
    if (fds[1].revents != 0) {
      const ssize_t n = ::read(complaints, line, sizeof line);
      if (n > 0 && printed.complaint.size() < max_complaint)
        printed.complaint.append(line, static_cast<std::size_t>(n));
      if (n == 0 || (n < 0 && errno != EINTR)) fds[1].fd = -1;
    }
  }
  return {};
}

Result<int> status_of(Child& child, Clock::time_point end) {
  // Its output has ended, it need not have: the status counts, so wait for that too.
  pollfd p{child.pidfd(), POLLIN, 0};
  if (::poll(&p, 1, left_until(end)) <= 0) return fail("gave no answer in time", ETIMEDOUT);
  BH_TRY(const ExitStatus status, child.wait());
  return status.shell();
}

}  // namespace

Result<Printed> run_secret_program(const SecretProgram& program) {
  const auto end = Clock::now() + program.timeout;
  auto file = sys::open(program.path, O_PATH);
  if (!file) return fail(program.shown + ": " + file.error().message, file.error().code);
  BH_TRY(sys::Pair out, sys::pipe());
  sys::Pair complaints;
  if (program.quiet) {
    BH_TRY(complaints, sys::pipe());
  }
  SpawnOptions options;
  options.program = file->get();
  options.arguments = program.arguments;
  options.borrowed_environment = program.environment;
  options.fds = {-1, out.second.get(), program.quiet ? complaints.second.get() : 2};
  auto child = spawn(options);
  if (!child) return fail(program.shown + ": " + child.error().message, child.error().code);
  out.second.reset();
  complaints.second.reset();
  const pid_t group = child->pid();  // a session of its own (spawn), so a group too

  Printed printed{0, SecretBuffer(max_source_read + 1), {}};
  auto done = read_both(out.first.get(), complaints.first ? complaints.first.get() : -1, end, printed);
  Result<int> status = done ? status_of(*child, end) : tl::unexpected(done.error());
  if (!status) {
    ::kill(-group, SIGKILL);  // not yet reaped: the number is still its own
    child->kill_and_wait();
    return fail(program.shown + " " + status.error().message, status.error().code);
  }
  printed.status = *status;
  printed.complaint.resize(std::min(printed.complaint.find('\n'), printed.complaint.size()));
  return printed;
}

std::string find_program(const std::string& name, const std::vector<const char*>& environment) {
  std::string_view path = "/usr/local/bin:/usr/bin:/bin";
  for (const std::string_view entry : environment) {
    if (entry.starts_with("PATH=")) {
      path = entry.substr(5);
      break;
    }
  }
  for (const std::string& folder : split(path, ':')) {
    // Relative entries depend on where somebody stands.
    const std::string candidate = folder + "/" + name;
    if (folder.starts_with('/') && ::access(candidate.c_str(), X_OK) == 0) return candidate;
  }
  return {};
}

}  // namespace bulkhead

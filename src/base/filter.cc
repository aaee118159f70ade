#include "base/filter.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <chrono>

#include "base/confine.h"
#include "base/process.h"
#include "base/sys.h"
#include "base/text.h"

namespace bulkhead {
namespace {

using Clock = std::chrono::steady_clock;
constexpr uid_t nobody = 65534;

Result<UniqueFd> open_program(const Filter& filter) {
  for (const std::string& place : filter.places) {
    auto fd = sys::open(place, O_PATH);
    if (fd) return fd;
  }
  return fail(filter.arguments.front() + " is not installed (" + join(filter.places, ", ") + ")", ENOENT);
}

Result<void> give_up_privilege(std::chrono::seconds patience) {
  if (::geteuid() == 0 && (::setgroups(0, nullptr) != 0 || ::setresgid(nobody, nobody, nobody) != 0 ||
                           ::setresuid(nobody, nobody, nobody) != 0)) {
    return fail_errno("setresuid", "nobody", errno);
  }
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return fail_errno("prctl(PR_SET_NO_NEW_PRIVS)", "", errno);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // changing uids took it away
  const auto seconds = static_cast<rlim_t>(patience.count());
  const rlimit cpu{seconds, seconds};
  const rlimit none{0, 0};
  const rlimit memory{rlim_t{512} << 20, rlim_t{512} << 20};
  ::setrlimit(RLIMIT_CPU, &cpu);
  ::setrlimit(RLIMIT_CORE, &none);
  ::setrlimit(RLIMIT_FSIZE, &none);
  ::setrlimit(RLIMIT_DATA, &memory);
  if (::chdir("/") != 0) return fail_errno("chdir", "/", errno);
  return confine_program();
}

Result<std::string> read_until_end(int fd, const Filter& filter) {
  std::string out;
  std::uint64_t said = 0;
  const auto end = Clock::now() + filter.patience;
  char buffer[65536];
  for (;;) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - Clock::now()).count();
    pollfd p{fd, POLLIN, 0};
    const int ready = left > 0 ? ::poll(&p, 1, static_cast<int>(left)) : 0;
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) return fail("it took longer than " + std::to_string(filter.patience.count()) + " s", ETIMEDOUT);
    const ssize_t n = ::read(fd, buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno("read", "", errno);
    if (n == 0) return out;
    said += static_cast<std::uint64_t>(n);
    if (said > filter.most) return fail("it says too much", EFBIG);
    const std::string_view piece(buffer, static_cast<std::size_t>(n));
    if (filter.sink) {
      BH_CHECK(filter.sink(piece));
    } else {
      out += piece;
    }
  }
}

}  // namespace

Result<Filtered> run_filter(const Filter& filter) {
  BH_TRY(const UniqueFd program, open_program(filter));
  BH_TRY(sys::Pair pipe, sys::pipe());
  std::vector<UniqueFd> files;
  for (const std::string_view bytes : filter.inputs) {
    BH_TRY(UniqueFd file, sys::memory_file("bulkhead-filter", bytes));
    files.push_back(std::move(file));
  }
  SpawnOptions options;
  options.program = program.get();
  options.arguments = filter.arguments;
  options.environment = filter.environment;
  if (filter.file >= 0 && ::lseek(filter.file, 0, SEEK_SET) != 0) return fail_errno("lseek", "", errno);
  options.fds = {filter.file >= 0 ? filter.file : files.empty() ? -1 : files.front().get(), pipe.second.get(), -1};
  for (std::size_t i = 1; i < files.size(); ++i) options.fds.push_back(files[i].get());
  options.before_exec = [&] { return give_up_privilege(filter.patience); };
  BH_TRY(Child child, spawn(options));
  pipe.second.reset();
  BH_TRY(std::string out, read_until_end(pipe.first.get(), filter));  // an early end kills the child
  BH_TRY(const ExitStatus ended, child.wait());
  if (ended.signal != 0) return fail("it was killed by signal " + std::to_string(ended.signal));
  return Filtered{ended.code, std::move(out)};
}

}  // namespace bulkhead

#include "image/unpack.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>

#include "base/confine.h"
#include "base/process.h"
#include "base/sys.h"
#include "base/text.h"
#include "image/seal.h"
#include "tier/stage/stage.h"

namespace bulkhead::image {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr uid_t nobody = 65534;
constexpr auto patience = std::chrono::minutes(15);
constexpr const char* program_path = "/usr/bin/umoci";
constexpr const char* layout_folder = "/image";
constexpr const char* work_folder = "/out";

// Privileged over nothing but the namespaces that it makes.
Result<void> leave_the_machine() {
  const uid_t uid = ::getuid();
  const gid_t gid = ::getgid();
  const int own = uid == 0 ? 0 : CLONE_NEWUSER;
  if (::unshare(own | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS) != 0) {
    return fail_errno("unshare", "", errno);
  }
  return own == 0 ? Result<void>() : sys::write_id_maps(0, uid, uid, gid, gid);
}

Result<void> enter_stage(const std::string& layout, const std::string& into) {
  tier::Stage stage;
  BH_CHECK(stage.begin());
  BH_CHECK(stage.programs());
  BH_CHECK(stage.devices());
  for (const auto& [source, place] : {std::pair{layout, layout_folder}, {into, work_folder}}) {
    BH_CHECK(stage.folder(place));
    BH_CHECK(stage.bind(source, place));
    BH_CHECK(stage.restrict(place, place == work_folder));
  }
  return stage.enter();
}

void limit(decltype(RLIMIT_CPU) what, rlim_t most) {
  const rlimit value{most, most};
  ::setrlimit(what, &value);
}

Result<void> give_up_privilege(const Bounds& bounds) {
  if (::geteuid() == 0 && (::setgroups(0, nullptr) != 0 || ::setresgid(nobody, nobody, nobody) != 0 ||
                           ::setresuid(nobody, nobody, nobody) != 0)) {
    return fail_errno("setresuid", "nobody", errno);
  }
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return fail_errno("prctl(PR_SET_NO_NEW_PRIVS)", "", errno);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // changing uids took it away
  ::umask(022);
  limit(RLIMIT_CORE, 0);
  limit(RLIMIT_CPU, std::chrono::seconds(patience).count());
  limit(RLIMIT_FSIZE, bounds.bytes + (1U << 20));  // no single file fills the disk between two looks
  limit(RLIMIT_DATA, rlim_t{2} << 30);
  if (::chdir("/") != 0) return fail_errno("chdir", "/", errno);
  BH_TRY(const UniqueFd work, sys::open(work_folder, O_PATH | O_DIRECTORY));
  BH_TRY(const UniqueFd layout, sys::open(layout_folder, O_PATH | O_DIRECTORY));
  return confine_program(work.get(), layout.get());
}

// What is to stay free on a disk: 1 GB, or half of what there is if that is less.
class DiskRoom {
 public:
  explicit DiskRoom(const std::string& folder) : folder_(folder), keep_(std::min(free() / 2, std::uint64_t{1} << 30)) {}
  bool low() const { return free() < keep_; }

 private:
  std::uint64_t free() const {
    struct statvfs st{};
    return ::statvfs(folder_.c_str(), &st) == 0 ? st.f_bavail * st.f_frsize : 0;
  }
  const std::string folder_;
  const std::uint64_t keep_;
};

// Looked at as often as looking costs little.
Result<ExitStatus> watched(Child& child, const std::string& into, const Bounds& bounds) {
  const DiskRoom disk(into);
  const Clock::time_point end = Clock::now() + patience;
  milliseconds pause{50};
  for (;;) {
    pollfd p{child.pidfd(), POLLIN, 0};
    const int ready = ::poll(&p, 1, static_cast<int>(pause.count()));
    if (ready < 0 && errno != EINTR) return fail_errno("poll", "", errno);
    if (ready > 0) return child.wait();
    if (disk.low()) return fail("the disk it is unpacked to has no room left: " + escape_for_terminal(into));
    if (Clock::now() > end) return fail("it takes longer than 15 minutes to unpack");
    const Clock::time_point before = Clock::now();
    if (const auto root = sys::open(into + "/root", O_RDONLY | O_DIRECTORY | O_NOFOLLOW); root) {
      BH_CHECK(measure(root->get(), bounds).map([](const Size&) {}));
    }
    pause = std::clamp(std::chrono::duration_cast<milliseconds>((Clock::now() - before) * 4), milliseconds(50),
                       milliseconds(2000));
  }
}

}  // namespace

Result<void> unpack(const std::string& layout, const std::string& into, const Bounds& bounds) {
  auto program = sys::open(program_path, O_PATH);
  if (!program) return fail("umoci, which unpacks images, is missing; install it: apt-get install umoci");
  if (::geteuid() == 0 && ::chown(into.c_str(), nobody, nobody) != 0) return fail_errno("chown", into, errno);
  BH_TRY(sys::Pair messages, sys::pipe());
  SpawnOptions options;
  options.program = program->get();
  options.arguments = {"umoci",
                       "--log=error",
                       "raw",
                       "unpack",
                       "--rootless",
                       std::string("--image=") + layout_folder + ":image",
                       std::string(work_folder) + "/root"};
  options.environment = {"PATH=/usr/bin"};
  options.fds = {-1, -1, messages.second.get()};
  options.enter = leave_the_machine;
  options.before_exec = [&]() -> Result<void> {
    BH_CHECK(enter_stage(layout, into));
    return give_up_privilege(bounds);
  };
  options.own_pid_namespace = true;  // nothing of it is left when it has ended
  BH_TRY(Child child, spawn(options));
  messages.second.reset();
  BH_TRY(const ExitStatus ended, watched(child, into, bounds));
  if (ended.signal == 0 && ended.code == 0) return {};
  // It may have been stopped by that.
  if (const auto root = sys::open(into + "/root", O_RDONLY | O_DIRECTORY | O_NOFOLLOW); root) {
    BH_CHECK(measure(root->get(), bounds).map([](const Size&) {}));
  }
  BH_CHECK(sys::set_nonblocking(messages.first.get(), true));
  char buffer[2000];
  const ssize_t n = ::read(messages.first.get(), buffer, sizeof buffer);
  std::string said = n > 0 ? std::string(buffer, static_cast<std::size_t>(n)) : "";
  while (!said.empty() && said.back() == '\n') said.pop_back();
  // A file that may not grow any more; what there was of it umoci has removed by now.
  if (said.ends_with(": file too large")) return too_large(bounds);
  return fail("umoci can't unpack it (" +
              (said.empty() ? "status " + std::to_string(ended.shell()) : escape_for_terminal(said, 500)) + ")");
}

}  // namespace bulkhead::image

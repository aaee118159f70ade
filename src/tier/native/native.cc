#include "tier/native/native.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/install.h"
#include "base/sys.h"
#include "base/text.h"
#include "tier/native/arguments.h"
#include "tier/native/stage.h"
#include "tier/native/warm.h"
#include "tier/stage/cpus.h"

namespace bulkhead::tier::native {
namespace {

constexpr int control_fd = 3;  // the shim's, see guest/protocol.h
constexpr int shim_fd = 4;     // the shim itself: exec'd by descriptor, so that it needs no mount
constexpr int args_fd = 5;
constexpr int first_free_fd = 6;

std::vector<std::string> served(const Plan& plan) {
  std::vector<std::string> out;
  for (std::size_t i = 0; i < plan.mounts.size(); ++i) {
    if (plan.mounts[i].served) out.push_back(staged_mount(i));
  }
  return out;
}

class Native final : public Isolation {
 public:
  Native(UniqueFd bwrap, UniqueFd shim) : bwrap_(std::move(bwrap)), shim_(std::move(shim)) {}

  Tier tier() const override { return Tier::native; }
  bool own_kernel() const override { return false; }
  bool tells() const override { return false; }
  std::uint64_t memory(const Child&) const override { return 0; }
  std::vector<UniqueFd> rest(const Child&) const override { return {}; }

  // Every mode of a mount and every limit of this version.
  Result<void> accepts(const Policy& policy) const override {
    if (policy.processes.value_or(false)) {
      return fail(
          "[evidence] processes: the tier native can't tell of processes yet; leave it out, or use --tier gvisor");
    }
    return {};
  }

  Result<Started> start(const Plan& plan, const room::Room& room, const int (&stdio)[3]) const override {
    BH_TRY(Arguments arguments, make_arguments(plan, first_free_fd));
    std::string packed;
    for (const std::string& word : arguments.words) packed += word + '\0';
    BH_TRY(UniqueFd packed_fd, sys::memory_file("bulkhead-args", packed));
    BH_TRY(sys::Pair control, sys::socket_pair(SOCK_SEQPACKET));
    BH_TRY(sys::Pair messages, sys::pipe());

    SpawnOptions options;
    options.program = bwrap_.get();
    options.arguments = {"bwrap",
                         "--args",
                         std::to_string(args_fd),
                         "--",
                         "/proc/self/fd/" + std::to_string(shim_fd),
                         std::to_string(control_fd)};
    options.fds = {stdio[0], stdio[1], stdio[2], control.second.get(), shim_.get(), packed_fd.get()};
    options.fds.insert(options.fds.end(), arguments.fds.begin(), arguments.fds.end());
    options.enter = [&] { return room::enter(room); };
    options.before_exec = [&]() -> Result<void> {
      BH_CHECK(make_stage(plan));
      warm(served(plan));
      return hold_to_cpus(plan.limits, false);
    };
    // bubblewrap's own children live on for a moment without it: killed between clone(2) and its
    // first message to them, they would wait for ever.
    options.own_pid_namespace = true;
    if (options.fds[2] < 0) options.fds[2] = messages.second.get();
    BH_TRY(Child process, spawn(options));
    return Started{std::move(process), std::move(control.first), std::move(messages.first), UniqueFd(), {}};
  }

 private:
  UniqueFd bwrap_, shim_;
};

Result<UniqueFd> find_bubblewrap() {
  for (const char* path : {"/usr/bin/bwrap", "/usr/local/bin/bwrap"}) {
    auto found = sys::open(path, O_PATH);
    if (!found) continue;
    BH_TRY(const struct stat st, sys::stat_fd(found->get(), path));
    if ((st.st_mode & S_ISUID) != 0) {
      return fail(std::string(path) + " is setuid root; Bulkhead needs the unprivileged one: chmod u-s " + path);
    }
    return found;
  }
  return fail("bubblewrap is missing; install it: apt-get install bubblewrap");
}

}  // namespace

Result<std::unique_ptr<Isolation>> open_with(const std::string& shim_path) {
  BH_TRY(UniqueFd shim, sys::open(shim_path, O_PATH));
  BH_TRY(UniqueFd bwrap, find_bubblewrap());
  return std::make_unique<Native>(std::move(bwrap), std::move(shim));
}

Result<std::unique_ptr<Isolation>> open() {
  BH_TRY(UniqueFd bwrap, find_bubblewrap());
  BH_TRY(UniqueFd shim, open_helper("bulkhead-shim"));
  return std::make_unique<Native>(std::move(bwrap), std::move(shim));
}

}  // namespace bulkhead::tier::native

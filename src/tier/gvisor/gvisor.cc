#include "tier/gvisor/gvisor.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/install.h"
#include "base/sys.h"
#include "base/text.h"
#include "room/wire.h"
#include "tier/gvisor/bundle.h"
#include "tier/gvisor/fallback.h"
#include "tier/gvisor/find.h"
#include "tier/gvisor/memory.h"
#include "tier/gvisor/rest.h"
#include "tier/gvisor/saved.h"
#include "tier/gvisor/tracing.h"
#include "tier/stage/carry.h"
#include "tier/stage/cpus.h"

namespace bulkhead::tier::gvisor {
namespace {

// Numbers in runsc, and the same inside.
constexpr int control_fd = 3;  // the shim's, see guest/protocol.h
constexpr int lane_fd = 4;     // what the pty says and is told

// Inside. Not by descriptor (--exec-fd): it would then have no path, and glibc's start-up code ends such a program.
constexpr const char* shim_path = "/.bulkhead/shim";

std::string same_inside(int fd) {
  return std::to_string(fd) + ":" + std::to_string(fd);
}

Result<void> mount_at(const char* type, const std::string& path, unsigned long flags, const char* options) {
  if (::mount("none", path.c_str(), type, flags, options) != 0) return fail_errno("mount", path, errno);
  return {};
}

// As uid 0 of a user namespace of its own, beyond the wire.
Result<void> make_stage(const Plan& plan, const PlannedMount& shim, const PlannedMount* preload) {
  const bool old = preload != nullptr;
  Stage stage;
  BH_CHECK(stage.begin());
  for (const char* folder : {"/proc", "/dev", "/tmp", state_folder, bundle_folder}) BH_CHECK(stage.folder(folder));
  BH_CHECK(mount_at("proc", std::string(stage_path) + "/proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, ""));
  // Where these settings are, runsc believes itself in the host's own network namespace and refuses to touch its
  // interfaces. Newer kernels (6.18 does) show them in every namespace.
  BH_CHECK(mount_at("tmpfs", std::string(stage_path) + "/proc/sys/net/core", MS_NOSUID | MS_NODEV | MS_NOEXEC,
                    "size=4k,mode=555"));
  BH_CHECK(stage.devices());
  if (plan.image) BH_CHECK(stage.file(std::string(over_folder) + shim_path, ""));
  if (old) BH_CHECK(place_preload(stage, plan.image ? over_folder : root_folder, plan.image.has_value()));
  const std::vector<std::string> words =
      old ? old_shim_words(shim_path)
          : std::vector<std::string>{shim_path, std::to_string(control_fd), std::to_string(lane_fd)};
  nlohmann::json bundle = configuration(plan, plan.saved ? std::vector<std::string>{shim_path, "init"} : words);
  if (old) bundle["annotations"] = old_annotations();
  BH_CHECK(stage.file(std::string(bundle_folder) + "/config.json",
                      bundle.dump(-1, ' ', false, nlohmann::json::error_handler_t::strict)));
  BH_CHECK(furnish(stage, plan));
  const std::string place = std::string(root_folder) + shim_path;
  BH_CHECK(plan.image ? stage.bind_over(shim, place) : stage.bind(shim, place));
  BH_CHECK(stage.restrict(place));
  if (plan.saved) BH_CHECK(furnish_saved(stage, plan, words));
  if (old) BH_CHECK(show_preload(stage, *preload, root_folder, plan.image.has_value()));
  if (plan.tracing) BH_CHECK(prepare_tracing(stage, plan.tracing));
  return stage.enter();
}

std::string shown(const Mount& mount) {
  return "mount \"" + escape_for_terminal(mount.path) + "\"";
}

class Gvisor final : public Isolation {
 public:
  // `preload`: with an old one alone.
  Gvisor(Runsc runsc, UniqueFd shim, UniqueFd preload = {})
      : runsc_(std::move(runsc)), shim_(std::move(shim)), preload_(std::move(preload)) {}

  Tier tier() const override { return Tier::gvisor; }
  bool own_kernel() const override { return true; }
  bool tells() const override { return true; }
  std::uint64_t memory(const Child& process) const override { return application_memory(process.pid()); }
  // Where ptrace is used they come and go with the workload's threads.
  std::vector<pid_t> parts(const Child& process) const override {
    return runsc_.old ? std::vector<pid_t>() : stubs(process.pid());
  }
  std::vector<UniqueFd> rest(const Child& process) const override { return stop_sentry(process.pid()); }

  Result<std::map<std::string, std::string>> shape(const Plan& plan) const override {
    return saved_shape(plan, runsc_.program.get(), shim_.get());
  }

  Result<void> accepts(const Policy& policy) const override {
    for (const Mount& mount : policy.mounts) {
      if (mount.mode == MountMode::rw_no_delete) {
        return fail(shown(mount) + ": the tier gvisor can't enforce mode rw-no-delete; use review, or --tier native");
      }
      if (is_served(mount)) {
        return fail(shown(mount) + ": the tier gvisor can't enforce `protect`; use mode review, or --tier native");
      }
    }
    return {};
  }

  Result<Started> start(const Plan& plan, const room::Room& room, const int (&stdio)[3]) const override {
    if (plan.saved && runsc_.old) return fail("templates are not possible with `runsc = \"debian-12\"`");
    BH_TRY(sys::Pair control, sys::socket_pair(SOCK_SEQPACKET));
    BH_TRY(sys::Pair lane, sys::socket_pair(SOCK_STREAM));
    BH_TRY(sys::Pair messages, sys::pipe());
    SpawnOptions options;
    PlannedMount shim;
    BH_TRY(shim.source, sys::duplicate(shim_.get()));
    shim.described = "bulkhead-shim";
    PlannedMount preload;
    if (runsc_.old) {
      BH_TRY(preload.source, sys::duplicate(preload_.get()));
    }
    preload.described = "bulkhead-preload.so";
    options.program = runsc_.program.get();
    options.arguments = {"runsc",
                         "--root=" + std::string(state_folder),
                         runsc_.old ? "--platform=ptrace" : "--platform=systrap",
                         "--network=sandbox",
                         "--ignore-cgroups",
                         "--overlay2=none",
                         "--host-uds=none",
                         "--host-fifo=none",
                         "--log=/dev/null"};
    if (plan.tracing) options.arguments.push_back("--pod-init-config=" + std::string(tracing_file));
    UniqueFd warden;
    if (plan.saved) {
      BH_TRY(warden, open_helper("bulkhead-warden"));
      options.program = warden.get();
      options.arguments[0] = plan.saved->make ? "make" : "restore";
      options.arguments.insert(options.arguments.begin(), "bulkhead-warden");
      // Connections of a command that has ended linger, and would be in the way of saving.
      options.arguments.emplace_back("--net-disconnect-ok");
    } else {
      if (runsc_.old) options.arguments.emplace_back("--allow-flag-override");
      options.arguments.insert(options.arguments.end(), {"run", "--bundle=" + std::string(bundle_folder)});
      if (!runsc_.old) {
        for (const int fd : {control_fd, lane_fd}) options.arguments.push_back("--pass-fd=" + same_inside(fd));
      }
      options.arguments.emplace_back("session");
    }
    int in = stdio[0], out = stdio[1], err = stdio[2];
    BH_TRY(Carried carried, carry(Carry::files, in, out, err));
    if (runsc_.old) {
      BH_CHECK(send_descriptors(control.first.get(), {in, out, err}, lane.second.get()));
      options.fds = {control.second.get(), messages.second.get(), messages.second.get()};
    } else {
      options.fds = {in, out, err, control.second.get(), lane.second.get()};
      if (options.fds[2] < 0) options.fds[2] = messages.second.get();
    }
    if (plan.saved) {
      options.fds.push_back(runsc_.program.get());
      options.fds.push_back(messages.second.get());
    }
    options.enter = [&]() -> Result<void> {
      BH_CHECK(room::enter(room));
      return room::go_beyond_wire();
    };
    options.before_exec = [&]() -> Result<void> {
      BH_CHECK(make_stage(plan, shim, runsc_.old ? &preload : nullptr));
      return hold_to_cpus(plan.limits, true);
    };
    options.own_pid_namespace = true;
    BH_TRY(Child process, spawn(options));
    return Started{std::move(process), std::move(control.first), std::move(messages.first), std::move(lane.first),
                   std::move(carried.carriers)};
  }

 private:
  Runsc runsc_;
  UniqueFd shim_, preload_;
};

Result<std::unique_ptr<Isolation>> with_shim(UniqueFd shim, bool old) {
  if (old) {
    BH_TRY(Runsc runsc, find_old_runsc());
    BH_TRY(UniqueFd preload, open_helper("bulkhead-preload.so"));
    return std::make_unique<Gvisor>(std::move(runsc), std::move(shim), std::move(preload));
  }
  BH_TRY(Runsc runsc, find_runsc());
  if (!runsc.ours) {
    BH_TRY(const int date, date_of(runsc));
    if (date < oldest_date) {
      return fail(runsc.path + " is of " + (date == 0 ? "an unknown day" : std::to_string(date)) +
                  ", too old for the tier gvisor; `./dev runsc` fetches Debian 13's, see bulkhead(1), TIERS");
    }
  }
  return std::make_unique<Gvisor>(std::move(runsc), std::move(shim));
}

}  // namespace

Result<std::unique_ptr<Isolation>> open_with(const std::string& path) {
  BH_TRY(UniqueFd shim, sys::open(path, O_PATH));
  return with_shim(std::move(shim), false);
}

Result<std::unique_ptr<Isolation>> open(bool old) {
  BH_TRY(UniqueFd shim, open_helper("bulkhead-shim"));
  return with_shim(std::move(shim), old);
}

}  // namespace bulkhead::tier::gvisor

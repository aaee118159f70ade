#include "tier/vm/vm.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <span>

#include "base/children.h"
#include "base/ipc.h"
#include "base/random.h"
#include "base/sys.h"
#include "guest/boot.h"
#include "room/wire.h"
#include "tier/stage/carry.h"
#include "tier/stage/cpus.h"
#include "tier/stage/inside.h"
#include "tier/vm/capabilities.h"
#include "tier/vm/find.h"
#include "tier/vm/kvm.h"
#include "tier/vm/qemu.h"
#include "tier/vm/saved.h"

namespace bulkhead::tier::vm {
namespace {

constexpr const char* shim_path = "/.bulkhead/shim";  // inside
constexpr const char* shared_folders[] = {"/root", "/system", "/files", "/mounts"};
constexpr std::uint64_t least_memory = 128ULL << 20;

Result<void> show_programs(Stage& stage) {
  constexpr const char* libraries = "/etc/ld.so.cache";
  BH_CHECK(stage.programs());
  if (!sys::exists(libraries)) return {};
  BH_CHECK(stage.file(libraries, ""));
  BH_CHECK(stage.bind(libraries, libraries));
  return stage.restrict(libraries);
}

Result<void> show_part(Stage& stage, const UniqueFd& part, const std::string& path) {
  PlannedMount mount;
  BH_TRY(mount.source, sys::duplicate(part.get()));
  mount.described = path;
  BH_CHECK(stage.bind(mount, path));
  return stage.restrict(path);
}

// What QEMU and virtiofsd see. Of it the machine sees share_folder.
Result<void> make_stage(const Plan& plan, const Parts& parts) {
  Stage stage;
  BH_CHECK(stage.begin());
  for (const char* folder : {"/proc", "/dev", "/tmp"}) BH_CHECK(stage.folder(folder));
  if (::mount("none", (std::string(stage_path) + "/proc").c_str(), "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, "") != 0) {
    return fail_errno("mount", "/proc", errno);
  }
  BH_CHECK(stage.devices());
  BH_CHECK(show_programs(stage));
  BH_CHECK(show_part(stage, parts.kernel, std::string(machine_folder) + "/vmlinuz"));
  BH_CHECK(show_part(stage, parts.initrd, std::string(machine_folder) + "/initrd"));
  if (sys::exists("/dev/kvm")) {
    BH_CHECK(stage.file("/dev/kvm", ""));
    BH_CHECK(stage.bind("/dev/kvm", "/dev/kvm"));
  }
  if (plan.image) BH_CHECK(stage.file(std::string(over_folder) + shim_path, ""));
  BH_CHECK(furnish(stage, plan));
  const std::string place = std::string(root_folder) + shim_path;
  PlannedMount shim;
  BH_TRY(shim.source, sys::duplicate(parts.shim.get()));
  shim.described = "bulkhead-shim";
  BH_CHECK(plan.image ? stage.bind_over(shim, place) : stage.bind(shim, place));
  BH_CHECK(stage.restrict(place));
  for (const char* folder : shared_folders) {
    BH_CHECK(stage.folder(folder));
    BH_CHECK(stage.folder(share_folder + std::string(folder)));
    BH_CHECK(stage.bind(std::string(stage_path) + folder, share_folder + std::string(folder)));
  }
  if (plan.saved) {
    BH_CHECK(stage.bind(plan.saved->folder, saved_folder));
    BH_CHECK(stage.restrict(saved_folder, plan.saved->make));
  }
  return stage.enter();
}

// How to begin, and the digests of what to go on from.
std::vector<std::string> beginning(const Plan& plan) {
  if (!plan.saved) return {"boot", "", "", ""};
  if (plan.saved->make) return {"save", "", "", ""};
  std::vector<std::string> out = {"restore"};
  for (const char* name : {map_name, pages_name, state_name}) {
    const auto found = plan.saved->digests.find(name);
    out.push_back(found == plan.saved->digests.end() ? "" : found->second);
  }
  return out;
}

Result<UniqueFd> boot_file(const Plan& plan) {
  shim::Boot boot;
  boot.root = root_folder;
  for (const InsideMount& mount : inside_mounts(plan)) {
    const bool memory = mount.source.empty();
    boot.mounts.push_back({.kind = memory ? shim::BootMount::Kind::memory : shim::BootMount::Kind::shown,
                           .source = mount.source,
                           .target = mount.target,
                           .writable = mount.writable,
                           .size = mount.size,
                           .mode = mount.mode});
  }
  boot.program = {shim_path, "3", "4"};
  boot.uid = plan.uid;
  boot.gid = plan.gid;
  boot.seed = random_bytes(shim::seed_size);
  boot.record = static_cast<bool>(plan.tracing);
  BH_TRY(const std::string text, shim::encode(boot));
  UniqueFd file(::memfd_create("boot", MFD_CLOEXEC));
  if (!file) return fail_errno("memfd_create", "", errno);
  BH_CHECK(sys::write_all(file.get(), text, "boot"));
  if (::lseek(file.get(), 0, SEEK_SET) != 0) return fail_errno("lseek", "", errno);
  return file;
}

// Where the machine says what runs in it; the other end is bulkhead-trace's alone. Unset: it is not asked.
Result<UniqueFd> record_stream(const Plan& plan) {
  if (!plan.tracing) return UniqueFd();
  BH_TRY(sys::Pair pair, sys::socket_pair(SOCK_STREAM));
  const int far = pair.second.get();
  BH_CHECK(ipc::send(plan.tracing.get(), std::string_view("m"), std::span(&far, 1)));
  return std::move(pair.first);
}

class Vm final : public Isolation {
 public:
  explicit Vm(Parts parts) : parts_(std::move(parts)), kvm_(kvm_is_usable()) {}

  Tier tier() const override { return Tier::vm; }
  bool own_kernel() const override { return true; }
  std::vector<std::string> lacks() const override {
    return kvm_ ? std::vector<std::string>() : std::vector<std::string>{"KVM (the machine is emulated, and slow)"};
  }
  bool tells() const override { return true; }
  std::uint64_t memory(const Child&) const override { return 0; }  // the machine has what it was given
  // An idle kernel has its timers, and each is much work where the processor is emulated. QEMU and virtiofsd.
  std::vector<UniqueFd> rest(const Child& process) const override {
    const auto still_there = [&process](pid_t child) {
      const std::vector<pid_t> now = children_of(process.pid());
      return std::find(now.begin(), now.end(), child) != now.end();
    };
    return stop_children(process.pid(), still_there);
  }

  Result<void> accepts(const Policy& policy) const override {
    if (policy.limits.memory && *policy.limits.memory < least_memory) {
      return fail("limits.memory: a virtual machine needs 128MB at least");
    }
    return {};
  }

  Result<std::map<std::string, std::string>> shape(const Plan&) const override { return saved_shape(parts_, kvm_); }
  std::string saved_name(const Plan& plan) const override { return vm::saved_name(size_of(plan.limits)); }

  Result<Started> start(const Plan& plan, const room::Room& room, const int (&stdio)[3]) const override {
    BH_TRY(sys::Pair control, sys::socket_pair(SOCK_SEQPACKET));
    BH_TRY(sys::Pair lane, sys::socket_pair(SOCK_STREAM));
    BH_TRY(sys::Pair messages, sys::pipe());
    BH_TRY(const UniqueFd boot, boot_file(plan));
    // The tap takes its place in the child.
    BH_TRY(const UniqueFd tap, sys::open("/dev/null", O_RDWR));
    int given[3] = {stdio[0], stdio[1], stdio[2]};
    std::string words;
    for (const int fd : given) words += fd >= 0 ? '1' : '0';
    BH_TRY(Carried carried, carry(Carry::all, given[0], given[1], given[2]));
    // Of one file the pipe is one, but each of the machine's channels is nobody else's.
    UniqueFd other;
    if (given[2] >= 0 && given[2] == given[1]) {
      BH_TRY(other, sys::duplicate(given[2]));
      given[2] = other.get();
    }
    const Size size = size_of(plan.limits);
    BH_TRY(const UniqueFd record, record_stream(plan));
    SpawnOptions options;
    options.program = parts_.machine.get();
    options.arguments = {"bulkhead-machine", std::to_string(size.memory), std::to_string(size.processors),
                         kvm_ ? "kvm" : "tcg", words};
    for (std::string& word : beginning(plan)) options.arguments.push_back(std::move(word));
    options.arguments.emplace_back(plan.set_group ? "set-group" : "-");
    options.fds = {-1,
                   -1,
                   messages.second.get(),
                   control.second.get(),
                   lane.second.get(),
                   given[0],
                   given[1],
                   given[2],
                   tap.get(),
                   boot.get(),
                   record.get()};
    options.enter = [&]() -> Result<void> {
      BH_CHECK(room::enter(room));
      BH_TRY(const UniqueFd laid, room::lay_tap());
      if (::dup3(laid.get(), tap.get(), O_CLOEXEC) < 0) return fail_errno("dup3", "the tap", errno);
      return room::leave_room();
    };
    options.before_exec = [&]() -> Result<void> {
      BH_CHECK(make_stage(plan, parts_));
      BH_CHECK(hold_to_cpus(plan.limits, true));
      return keep_capabilities(all_capabilities);  // virtiofsd gets some of them
    };
    options.own_pid_namespace = true;
    BH_TRY(Child process, spawn(options));
    return Started{std::move(process), std::move(control.first), std::move(messages.first), std::move(lane.first),
                   std::move(carried.carriers)};
  }

 private:
  Parts parts_;
  bool kvm_;
};

}  // namespace

Result<std::unique_ptr<Isolation>> open() {
  BH_TRY(Parts parts, find_parts());
  return std::make_unique<Vm>(std::move(parts));
}

}  // namespace bulkhead::tier::vm

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <array>

#include "base/process.h"
#include "base/sys.h"
#include "room/wire.h"
#include "session/state/probes.h"
#include "session/state/state.h"
#include "tier/gvisor/find.h"
#include "tier/vm/find.h"
#include "tier/vm/kvm.h"

namespace bulkhead::session {

namespace {

constexpr const char* install_bwrap = "sudo apt-get install bubblewrap   # 0.8 or newer: Debian 12, Ubuntu 23.10";

// The places the tiers look in: never the caller's PATH.
std::string find_program(const std::string& name) {
  for (const char* folder : {"/usr/bin/", "/usr/local/bin/"}) {
    if (::access((folder + name).c_str(), X_OK) == 0) return folder + name;
  }
  return "";
}

struct Output {
  int status;
  std::string text;
};

Result<Output> run(const std::string& program, std::vector<std::string> arguments) {
  BH_TRY(sys::Pair pipe, sys::pipe());
  BH_TRY(UniqueFd file, sys::open(program, O_PATH));
  SpawnOptions options;
  options.program = file.get();
  options.arguments = std::move(arguments);
  options.fds = {-1, pipe.second.get(), pipe.second.get()};
  BH_TRY(Child child, spawn(options));
  pipe.second.reset();
  BH_TRY(std::string text, sys::read_all(pipe.first.get(), 65536, program));
  BH_TRY(const ExitStatus status, child.wait());
  return Output{status.shell(), std::move(text)};
}

std::string first_line(const std::string& text) {
  return text.substr(0, text.find('\n'));
}

}  // namespace

Finding judge_bwrap_version(const std::string& line) {
  int major = 0, minor = 0;
  if (::sscanf(line.c_str(), "bubblewrap %d.%d", &major, &minor) != 2) {
    return {State::missing, "its version can't be read: " + line, "", install_bwrap};
  }
  if (major == 0 && minor < 8) return {State::missing, line + " is too old: no --disable-userns", "", install_bwrap};
  return {State::ok, line, "", ""};
}

Finding probe_bwrap(const ProbeContext&) {
  const std::string path = find_program("bwrap");
  if (path.empty()) return {State::missing, "not installed", "", install_bwrap};
  struct stat st{};
  if (::stat(path.c_str(), &st) == 0 && (st.st_mode & S_ISUID) != 0) {
    return {State::missing, path + " is setuid root, which Bulkhead does not use", "", "sudo chmod u-s " + path};
  }
  const auto version = run(path, {"bwrap", "--version"});
  if (!version) return {State::missing, version.error().message, "", install_bwrap};
  Finding finding = judge_bwrap_version(first_line(version->text));
  if (finding.state != State::ok) return finding;
  const auto help = run(path, {"bwrap", "--help"});
  if (!help || help->text.find("--bind-fd") == std::string::npos) {
    return {State::missing, finding.found + " has no --bind-fd (Debian 12: 0.8.0-2+deb12u1, with the security updates)",
            "", "sudo apt-get update && sudo apt-get install bubblewrap"};
  }
  const auto worked = run(path, {"bwrap", "--unshare-all", "--unshare-user", "--disable-userns", "--ro-bind", "/", "/",
                                 "--dev", "/dev", "--proc", "/proc", "--", "/bin/true"});
  if (!worked) return {State::missing, worked.error().message, "", install_bwrap};
  if (worked->status != 0) {
    return {State::missing, finding.found + " does not work here: " + first_line(worked->text), "",
            "see `userns` and `proc`"};
  }
  return finding;
}

Finding probe_state_dir(const ProbeContext& context) {
  const auto store = Store::open_existing(context.paths);
  if (!store) return {State::missing, store.error().message, "", ""};
  // Before the first session only its future parent is there.
  std::string place = context.paths.state;
  while (place.size() > 1 && !sys::is_directory(place)) place.resize(std::max<std::size_t>(1, place.rfind('/')));
  UniqueFd file(::open(place.c_str(), O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600));
  if (!file && (errno == EOPNOTSUPP || errno == EISDIR)) {
    if (::access(place.c_str(), W_OK) != 0)
      return {State::missing, errno_error("access", place, errno).message, "", ""};
    return {State::degraded, context.paths.state + " (its file system can't make unnamed files, so not tried further)",
            "", ""};
  }
  if (!file) {
    return {State::missing, errno_error("open", place, errno).message, "",
            "set XDG_STATE_HOME to a folder that you can write"};
  }
  if (::fallocate(file.get(), FALLOC_FL_KEEP_SIZE, 0, 65536) == 0) return {State::ok, context.paths.state, "", ""};
  if (errno != EOPNOTSUPP) {
    return {State::missing, errno_error("fallocate", place, errno).message, "", "free space there: " + place};
  }
  return {State::degraded, place + " is on a file system that can't reserve space",
          "the last lines of evidence on a full disk", "set XDG_STATE_HOME to a folder on ext4, xfs, btrfs or tmpfs"};
}

Finding probe_cgroup(const ProbeContext& context) {
  const std::string cost =
      "memory is then limited per process and by a watchdog, not by the kernel for the whole session";
  struct statfs fs{};
  if (::statfs("/sys/fs/cgroup", &fs) != 0 || fs.f_type != CGROUP2_SUPER_MAGIC) {
    return {State::degraded, "no unified cgroup v2 hierarchy", cost, "boot with systemd.unified_cgroup_hierarchy=1"};
  }
  if (find_program("systemd-run").empty()) return {State::degraded, "no systemd-run", cost, ""};
  const std::string runtime = context.paths.runtime.substr(0, context.paths.runtime.rfind('/'));
  if (runtime.empty() || !sys::exists(runtime + "/systemd/private")) {
    return {State::degraded, "no systemd of this user's own is running", cost, "sudo loginctl enable-linger $USER"};
  }
  return {State::ok, "systemd-run --user --scope", "", ""};
}

Finding probe_runsc(const ProbeContext&) {
  const std::string fix = "./dev runsc, in Bulkhead's sources (fetches Debian 13's)";
  // Nobody gets it by not having the other: a policy names it.
  const auto old = tier::gvisor::find_old_runsc();
  const std::string named =
      old ? "; " + old->path + " is Debian 12's, which is used where a policy says `runsc = \"debian-12\"`" : "";
  const auto runsc = tier::gvisor::find_runsc();
  if (!runsc) return {State::missing, "not found" + named, "the tier gvisor", fix};
  const auto date = tier::gvisor::date_of(*runsc);
  if (!date) return {State::missing, date.error().message, "the tier gvisor", fix};
  if (*date < tier::gvisor::oldest_date) {
    const std::string when = *date == 0 ? "an unknown day" : std::to_string(*date);
    return {State::missing, runsc->path + " is of " + when + ", which is too old" + named, "the tier gvisor", fix};
  }
  return {State::ok, runsc->path + ", of " + std::to_string(*date), "", ""};
}

Finding probe_umoci(const ProbeContext&) {
  const char* path = "/usr/bin/umoci";  // image/unpack.cc looks nowhere else
  if (::access(path, X_OK) == 0) return {State::ok, path, "", ""};
  return {State::missing, "not installed",
          "`--image` with an OCI layout or archive that is not in the cache yet (a folder works)",
          "sudo apt-get install umoci"};
}

Finding probe_qemu(const ProbeContext&) {
  const auto parts = tier::vm::find_parts();
  if (!parts) return {State::missing, parts.error().message, "the tier vm", ""};
  return {State::ok, tier::vm::qemu_path, "", ""};
}

Finding probe_tun(const ProbeContext&) {
  const auto tun = sys::open(room::tap_device, O_RDWR);
  if (tun) return {State::ok, room::tap_device, "", ""};
  return {State::missing, tun.error().message, "the tier vm",
          tun.error().code == EACCES ? "sudo chmod 666 /dev/net/tun   # as udev does" : "sudo modprobe tun"};
}

// Without it the tier works.
Finding probe_kvm(const ProbeContext&) {
  if (tier::vm::kvm_is_usable()) return {State::ok, "/dev/kvm", "", ""};
  const auto kvm = sys::open("/dev/kvm", O_RDWR);
  const bool denied = !kvm && kvm.error().code == EACCES;
  return {State::degraded, kvm ? "/dev/kvm opens, and what runs in it is slow or fails" : kvm.error().message,
          "machines are emulated, many times slower", denied ? "sudo usermod -aG kvm $USER   # then log in again" : ""};
}

}  // namespace bulkhead::session

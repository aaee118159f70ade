#include "tier/native/arguments.h"

#include <algorithm>

#include "base/sys.h"
#include "tier/native/stage.h"

namespace bulkhead::tier::native {
namespace {

bool in_etc(const std::string& target) {
  return target.starts_with("/etc/");
}

bool below_any(const std::vector<std::string>& folders, const std::string& path) {
  return std::ranges::any_of(folders, [&](const std::string& folder) { return path.starts_with(folder + "/"); });
}

constexpr std::uint64_t default_tmp = 1ULL << 30;  // per in-memory folder; pages count only once written

class Builder {
 public:
  Builder(Arguments& out, int first_fd) : out_(out), first_fd_(first_fd) {}

  template <class... Words>
  void add(Words&&... words) {
    (out_.words.emplace_back(std::forward<Words>(words)), ...);
  }
  // The number `fd` will have in bubblewrap.
  std::string pass(int fd) {
    out_.fds.push_back(fd);
    return std::to_string(first_fd_ + static_cast<int>(out_.fds.size()) - 1);
  }
  void mount(const PlannedMount& mount, const std::string& staged) {
    add(mount.mode == MountMode::ro ? "--ro-bind" : "--bind", staged, mount.target);
  }
  // Over a file that is there: what the image shows can't be written to.
  void data(const PlannedFile& late) { add("--perms", "0644", "--ro-bind-data", pass(late.late.get()), late.target); }
  Result<void> file(const PlannedFile& file) {
    if (file.late) {
      add("--file", pass(file.late.get()), file.target);
      return {};
    }
    BH_TRY(UniqueFd memory, sys::memory_file("bulkhead-file", file.content));
    add("--file", pass(memory.get()), file.target);
    out_.owned.push_back(std::move(memory));
    return {};
  }

 private:
  Arguments& out_;
  int first_fd_;
};

}  // namespace

Result<Arguments> make_arguments(const Plan& plan, int first_fd) {
  Arguments out;
  Builder build(out, first_fd);
  const std::string tmp_size = std::to_string(plan.limits.tmp.value_or(default_tmp));

  // No --unshare-net: the workload joins the room it is started in. bubblewrap's nested user
  // namespace has no capability over the room's network namespace. --disable-userns needs an
  // explicit --unshare-user.
  build.add("--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try",
            "--disable-userns", "--uid", std::to_string(plan.uid), "--gid", std::to_string(plan.gid), "--hostname",
            "bulkhead", "--die-with-parent", "--cap-drop", "ALL");

  const auto mount_system = [&](bool usr) {
    for (std::size_t i = 0; i < plan.system.size(); ++i) {
      const std::string& target = plan.system[i].target;
      if ((target == "/usr") == usr && !in_etc(target)) build.mount(plan.system[i], staged_system(plan, i));
    }
  };
  if (plan.image) build.add("--ro-bind", staged_image, "/");
  mount_system(true);
  for (const PlannedLink& link : plan.links) {
    if (plan.image || in_etc(link.target) || below_any(plan.tmpfs, link.target)) continue;
    build.add("--symlink", link.to, link.target);
  }
  build.add("--dev", "/dev", "--size", tmp_size, "--tmpfs", "/dev/shm", "--proc", "/proc");
  // Writable sysctls would be the host's for anything the kernel does not namespace.
  build.add("--ro-bind", "/proc/sys", "/proc/sys");
  for (const std::string& path : plan.tmpfs) build.add("--perms", "0755", "--size", tmp_size, "--tmpfs", path);
  // Not before: the folder would hide them.
  for (const PlannedLink& link : plan.links) {
    if (below_any(plan.tmpfs, link.target)) build.add("--symlink", link.to, link.target);
  }
  for (const std::string& path : plan.folders) build.add("--perms", "0700", "--dir", path);
  build.add("--chmod", "1777", "/tmp", "--chmod", "1777", "/dev/shm");

  if (!plan.image) build.add("--bind", "/etc", "/etc");
  mount_system(false);
  // Late files last: bubblewrap waits at them for what their writer still has to produce.
  for (const bool late : {false, true}) {
    for (const PlannedFile& file : plan.files) {
      if (!late && in_etc(file.target)) continue;  // there already
      if (plan.image && !below_any(plan.tmpfs, file.target)) {
        if (late && file.late) build.data(file);
        continue;
      }
      if (static_cast<bool>(file.late) == late) BH_CHECK(build.file(file));
    }
  }
  if (!plan.image) build.add("--remount-ro", "/etc");
  for (std::size_t i = 0; i < plan.mounts.size(); ++i) build.mount(plan.mounts[i], staged_mount(i));
  build.add("--remount-ro", "/dev", "--remount-ro", "/");
  return out;
}

}  // namespace bulkhead::tier::native

#include "tier/native/stage.h"

#include <sys/stat.h>

#include <algorithm>

#include "base/sys.h"
#include "tier/stage/stage.h"

namespace bulkhead::tier::native {
namespace {

Result<void> add_etc(Stage& made, const Plan& plan) {
  BH_CHECK(made.folder("/etc"));
  for (const PlannedMount& mount : plan.system) {
    if (!in_etc(mount.target)) continue;
    BH_CHECK(made.bind(mount, mount.target));
    BH_CHECK(made.restrict(mount.target));
  }
  for (const PlannedFile& file : plan.files) {
    if (in_etc(file.target) && !file.late) BH_CHECK(made.file(file.target, file.content));
  }
  return {};
}

bool in_memory(const Plan& plan, const std::string& path) {
  return std::ranges::any_of(plan.tmpfs, [&](const std::string& folder) { return path.starts_with(folder + "/"); });
}

// A place for everything that bubblewrap mounts, since it can't make one in the image.
Result<void> add_image(Stage& made, const Plan& plan) {
  const std::string over = "/over";
  for (const char* folder : {"/dev", "/proc", "/sys", "/etc"}) BH_CHECK(made.folder(over + folder));
  for (const std::string& folder : plan.tmpfs) BH_CHECK(made.folder(over + folder));
  for (const PlannedMount& mount : plan.mounts) {
    const auto holds = [&](const PlannedMount& other) { return mount.target.starts_with(other.target + "/"); };
    if (in_memory(plan, mount.target) || std::ranges::any_of(plan.mounts, holds)) continue;
    BH_TRY(const struct stat found, sys::stat_fd(mount.source.get(), mount.described));
    if (S_ISDIR(found.st_mode)) {
      BH_CHECK(made.folder(over + mount.target));
    } else {
      BH_CHECK(made.file(over + mount.target, ""));
    }
  }
  for (const PlannedFile& file : plan.files) {
    if (!in_memory(plan, file.target)) BH_CHECK(made.file(over + file.target, file.late ? "" : file.content));
  }
  for (const PlannedLink& link : plan.links) {
    if (!in_memory(plan, link.target)) BH_CHECK(made.link(over + link.target, link.to));
  }
  return made.root(*plan.image, over, staged_image);
}

Result<void> add_host(Stage& made) {
  for (const char* path : {"/tmp", "/proc", "/dev"}) BH_CHECK(made.folder(path));
  // A new proc can be mounted only where one is visible already (proc(5)).
  BH_CHECK(made.bind("/proc", "/proc"));
  return made.devices();
}

}  // namespace

std::string staged_system(const Plan& plan, std::size_t index) {
  const std::string& target = plan.system[index].target;
  // bubblewrap itself needs these: it is linked dynamically.
  return target.rfind('/') == 0 || in_etc(target) ? target : "/system/" + std::to_string(index);
}

std::string staged_mount(std::size_t index) {
  return "/mounts/" + std::to_string(index);
}

Result<void> make_stage(const Plan& plan) {
  Stage made;
  BH_CHECK(made.begin());
  BH_CHECK(add_host(made));
  if (plan.image) {
    BH_CHECK(made.programs());
    BH_CHECK(add_image(made, plan));
  } else {
    BH_CHECK(add_etc(made, plan));
  }
  for (std::size_t i = 0; i < plan.system.size(); ++i) {
    if (!in_etc(plan.system[i].target)) BH_CHECK(made.bind(plan.system[i], staged_system(plan, i)));
  }
  for (std::size_t i = 0; i < plan.mounts.size(); ++i) {
    const PlannedMount& mount = plan.mounts[i];
    BH_CHECK(mount.served ? made.serve(mount, staged_mount(i)) : made.bind(mount, staged_mount(i)));
  }
  for (const PlannedLink& link : plan.links) {
    // /bin and its like for bubblewrap, /etc's for the view.
    if (plan.image) break;
    if (in_etc(link.target) || link.target.rfind('/') == 0) BH_CHECK(made.link(link.target, link.to));
  }
  return made.enter();
}

}  // namespace bulkhead::tier::native

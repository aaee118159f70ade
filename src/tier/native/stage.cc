#include "tier/native/stage.h"

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
  BH_CHECK(add_etc(made, plan));
  for (std::size_t i = 0; i < plan.system.size(); ++i) {
    if (!in_etc(plan.system[i].target)) BH_CHECK(made.bind(plan.system[i], staged_system(plan, i)));
  }
  for (std::size_t i = 0; i < plan.mounts.size(); ++i) {
    const PlannedMount& mount = plan.mounts[i];
    BH_CHECK(mount.served ? made.serve(mount, staged_mount(i)) : made.bind(mount, staged_mount(i)));
  }
  for (const PlannedLink& link : plan.links) {
    // /bin and its like for bubblewrap, /etc's for the view.
    if (in_etc(link.target) || link.target.rfind('/') == 0) BH_CHECK(made.link(link.target, link.to));
  }
  return made.enter();
}

}  // namespace bulkhead::tier::native

#include "tier/native/etc_stage.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/sys.h"

namespace bulkhead::tier::native {
namespace {

std::string staged(const std::string& target) {
  return etc_stage + target.substr(4);
}

Result<void> make_parents(const std::string& path) {
  return sys::make_directories(path.substr(0, path.rfind('/')), 0755);
}

Result<void> bind(const PlannedMount& mount) {
  // The descriptor belongs to the namespace it was opened in; here the same path has to be the same
  // folder.
  BH_TRY(const std::string path, sys::path_of(mount.source.get()));
  BH_TRY(const UniqueFd here, sys::open(path, O_PATH | O_DIRECTORY));
  BH_TRY(const struct stat judged, sys::stat_fd(mount.source.get(), path));
  BH_TRY(const struct stat found, sys::stat_fd(here.get(), path));
  if (judged.st_dev != found.st_dev || judged.st_ino != found.st_ino) return fail(path + " was replaced");
  const std::string to = staged(mount.target);
  BH_CHECK(sys::make_directories(to, 0755));
  const std::string from = "/proc/self/fd/" + std::to_string(here.get());
  if (::mount(from.c_str(), to.c_str(), nullptr, MS_BIND | MS_REC, nullptr) != 0) {
    return fail_errno("mount(MS_BIND)", mount.target, errno);
  }
  mount_attr attributes{};
  attributes.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
  if (::syscall(SYS_mount_setattr, AT_FDCWD, to.c_str(), AT_RECURSIVE, &attributes, sizeof attributes) != 0) {
    return fail_errno("mount_setattr(MOUNT_ATTR_RDONLY)", mount.target, errno);
  }
  return {};
}

}  // namespace

bool in_etc(std::string_view target) {
  return target.starts_with("/etc/");
}

Result<void> stage_etc(const Plan& plan) {
  if (::unshare(CLONE_NEWNS) != 0) return fail_errno("unshare(CLONE_NEWNS)", "", errno);
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_SLAVE, nullptr) != 0) return fail_errno("mount(MS_SLAVE)", "/", errno);
  if (::mount("none", etc_stage, "tmpfs", MS_NOSUID | MS_NODEV, "size=16m,mode=755") != 0) {
    return fail_errno("mount(tmpfs)", etc_stage, errno);
  }
  for (const PlannedMount& mount : plan.system) {
    if (in_etc(mount.target)) BH_CHECK(bind(mount));
  }
  for (const PlannedFile& file : plan.files) {
    if (!in_etc(file.target) || file.late) continue;
    const std::string path = staged(file.target);
    BH_CHECK(make_parents(path));
    BH_TRY(const UniqueFd fd, sys::open(path, O_WRONLY | O_CREAT | O_EXCL, 0644));
    BH_CHECK(sys::write_all(fd.get(), file.content, path));
  }
  for (const PlannedLink& link : plan.links) {
    if (!in_etc(link.target)) continue;
    const std::string path = staged(link.target);
    BH_CHECK(make_parents(path));
    if (::symlink(link.to.c_str(), path.c_str()) != 0) return fail_errno("symlink", link.target, errno);
  }
  return {};
}

}  // namespace bulkhead::tier::native

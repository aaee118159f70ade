#include "tier/stage/stage.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/ipc.h"
#include "base/sys.h"

namespace bulkhead::tier {
namespace {

std::string place_of(const UniqueFd& fd) {
  return "/proc/self/fd/" + std::to_string(fd.get());
}

// A plan's descriptor belongs to the namespace it was opened in; here the same path has to be the same file.
Result<UniqueFd> again(const UniqueFd& planned) {
  BH_TRY(const std::string name, sys::path_of(planned.get()));
  BH_TRY(UniqueFd here, sys::open(name, O_PATH | O_NOFOLLOW));
  BH_TRY(const struct stat judged, sys::stat_fd(planned.get(), name));
  BH_TRY(const struct stat found, sys::stat_fd(here.get(), name));
  if (judged.st_dev != found.st_dev || judged.st_ino != found.st_ino) return fail(name + " was replaced");
  return here;
}

}  // namespace

bool in_etc(const std::string& target) {
  return target.starts_with("/etc/");
}

Result<void> Stage::begin() {
  if (::unshare(CLONE_NEWNS) != 0) return fail_errno("unshare(CLONE_NEWNS)", "", errno);
  // Not a slave of the host's: what is mounted there later would appear inside, writable below a read-only mount.
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
    return fail_errno("mount(MS_PRIVATE)", "/", errno);
  }
  if (::mount("none", stage_path, "tmpfs", MS_NOSUID | MS_NODEV, "size=16m,mode=755") != 0) {
    return fail_errno("mount(tmpfs)", stage_path, errno);
  }
  return {};
}

// The source itself is not here at all: whoever has the other end of the mount's socket serves it. The kernel takes
// the device only of who opened it in the mount's own user namespace, so here. Linux 4.18.
Result<void> Stage::serve(const PlannedMount& mount, const std::string& path) {
  BH_CHECK(folder(path));
  BH_TRY(const UniqueFd device, sys::open("/dev/fuse", O_RDWR));
  const std::string options = "fd=" + std::to_string(device.get()) +
                              ",rootmode=40000,user_id=" + std::to_string(::getuid()) +
                              ",group_id=" + std::to_string(::getgid());
  if (::mount("bulkhead", (stage_path + path).c_str(), "fuse", MS_NOSUID | MS_NODEV, options.c_str()) != 0) {
    return fail_errno("mount(fuse)", mount.described, errno);
  }
  const int sent = device.get();
  return ipc::send(mount.serving.get(), std::string_view("{}"), std::span(&sent, 1));
}

Result<void> Stage::folder(const std::string& path) {
  if (!made_.insert(path).second) return {};
  if (const std::size_t slash = path.rfind('/'); slash != 0) BH_CHECK(folder(path.substr(0, slash)));
  if (::mkdir((stage_path + path).c_str(), 0755) != 0) return fail_errno("mkdir", path, errno);
  return {};
}

Result<void> Stage::file(const std::string& path, const std::string& content) {
  if (const std::size_t slash = path.rfind('/'); slash != 0) BH_CHECK(folder(path.substr(0, slash)));
  BH_TRY(const UniqueFd fd, sys::open(stage_path + path, O_WRONLY | O_CREAT | O_EXCL, 0644));
  return content.empty() ? Result<void>() : sys::write_all(fd.get(), content, path);
}

Result<void> Stage::link(const std::string& path, const std::string& to) {
  if (const std::size_t slash = path.rfind('/'); slash != 0) BH_CHECK(folder(path.substr(0, slash)));
  if (::symlink(to.c_str(), (stage_path + path).c_str()) != 0) return fail_errno("symlink", path, errno);
  return {};
}

Result<void> Stage::bind(const std::string& source, const std::string& path) {
  if (::mount(source.c_str(), (stage_path + path).c_str(), nullptr, MS_BIND | MS_REC, nullptr) != 0) {
    return fail_errno("mount(MS_BIND)", path, errno);
  }
  return {};
}

Result<void> Stage::bind(const PlannedMount& mount, const std::string& path) {
  if (mount.layers) return overlay(mount, path);
  if (mount.output) return memory(mount, path);
  BH_TRY(const UniqueFd here, again(mount.source));
  BH_TRY(const struct stat found, sys::stat_fd(here.get(), mount.described));
  BH_CHECK(S_ISDIR(found.st_mode) ? folder(path) : file(path, ""));
  return bind(place_of(here), path);
}

// Whoever has its top folder open has the file system, also when every mount of it is gone.
Result<void> Stage::memory(const PlannedMount& mount, const std::string& path) {
  BH_CHECK(folder(path));
  // A little more than may be collected: one that is full was too small, and is refused (session/outputs.cc).
  const std::string options = "mode=755,size=" + std::to_string(mount.output->max_size + (64U << 10)) +
                              ",nr_inodes=" + std::to_string(mount.output->max_files + 16);
  if (::mount("none", (stage_path + path).c_str(), "tmpfs", MS_NOSUID | MS_NODEV, options.c_str()) != 0) {
    return fail_errno("mount(tmpfs)", mount.described, errno);
  }
  BH_TRY(const UniqueFd top, sys::open(stage_path + path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  const int sent = top.get();
  return ipc::send(mount.collecting.get(), std::string_view("{}"), std::span(&sent, 1));
}

Result<void> Stage::bind_over(const PlannedMount& mount, const std::string& path) {
  BH_TRY(const UniqueFd here, again(mount.source));
  return bind(place_of(here), path);
}

Result<void> Stage::root(const PlannedMount& image, const std::string& over, const std::string& path) {
  BH_TRY(const UniqueFd lower, again(image.source));
  BH_TRY(const UniqueFd upper, sys::open(stage_path + over, O_PATH | O_DIRECTORY | O_NOFOLLOW));
  BH_CHECK(folder(path));
  const std::string options = "userxattr,lowerdir=" + place_of(upper) + ":" + place_of(lower);
  if (::mount("overlay", (stage_path + path).c_str(), "overlay", MS_NOSUID | MS_NODEV | MS_RDONLY, options.c_str()) !=
      0) {
    Error error = errno_error("mount(overlay)", image.described, errno);
    error.message += ": an image needs overlayfs (bulkhead doctor, `overlay`) and a file system it can take";
    return tl::unexpected(std::move(error));
  }
  return {};
}

// overlayfs in our own user namespace (Linux 5.11), which then keeps its marks in user.overlay.* and follows no
// redirect and no metadata-only copy that somebody could have planted (overlayfs.rst, "Permission model").
Result<void> Stage::overlay(const PlannedMount& mount, const std::string& path) {
  BH_TRY(const UniqueFd lower, again(mount.source));
  BH_TRY(const UniqueFd store, again(mount.layers->store));
  UniqueFd mask;
  if (mount.layers->mask) {
    BH_TRY(mask, again(mount.layers->mask));
  }
  // The new mount has only the flags it is given: the source's own have to go on to it.
  struct statvfs below{};
  if (::fstatvfs(lower.get(), &below) != 0) return fail_errno("fstatvfs", path, errno);
  const unsigned long flags = MS_NOSUID | MS_NODEV | ((below.f_flag & ST_NOEXEC) != 0 ? MS_NOEXEC : 0);
  const std::string options = "userxattr,lowerdir=" + (mask ? place_of(mask) + ":" : std::string()) + place_of(lower) +
                              ",upperdir=" + place_of(store) + "/upper,workdir=" + place_of(store) + "/work";
  BH_CHECK(folder(path));
  if (::mount("overlay", (stage_path + path).c_str(), "overlay", flags, options.c_str()) != 0) {
    Error error = errno_error("mount(overlay)", mount.described, errno);
    error.message +=
        ": mode review needs overlayfs (bulkhead doctor, `overlay`) and a folder and a state directory on "
        "file systems it can take; use ro or rw";
    return tl::unexpected(std::move(error));
  }
  return {};
}

Result<void> Stage::restrict(const std::string& path, bool writable) {
  mount_attr attributes{};
  attributes.attr_set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | (writable ? 0U : MOUNT_ATTR_RDONLY);
  if (::syscall(SYS_mount_setattr, AT_FDCWD, (stage_path + path).c_str(), AT_RECURSIVE, &attributes,
                sizeof attributes) != 0) {
    return fail_errno("mount_setattr", path, errno);
  }
  return {};
}

Result<void> Stage::enter() {
  if (::chdir(stage_path) != 0) return fail_errno("chdir", stage_path, errno);
  // With "." as both, the old root ends up on top of the new one (pivot_root(2)).
  if (::syscall(SYS_pivot_root, ".", ".") != 0) return fail_errno("pivot_root", stage_path, errno);
  if (::umount2(".", MNT_DETACH) != 0) return fail_errno("umount2", "the host's root", errno);
  return ::chdir("/") == 0 ? Result<void>() : fail_errno("chdir", "/", errno);
}

Result<void> Stage::programs() {
  for (const char* name : {"/usr", "/bin", "/lib", "/lib64"}) {
    if (auto to = sys::read_link(name); to) {
      BH_CHECK(link(name, *to));
    } else if (sys::is_directory(name)) {
      BH_CHECK(folder(name));
      BH_CHECK(bind(name, name));
      BH_CHECK(restrict(name));
    }
  }
  return {};
}

Result<void> Stage::devices() {
  for (const char* name : {"null", "zero", "full", "random", "urandom", "tty"}) {
    const std::string path = std::string("/dev/") + name;
    BH_CHECK(file(path, ""));
    BH_CHECK(bind(path, path));
  }
  return {};
}

}  // namespace bulkhead::tier

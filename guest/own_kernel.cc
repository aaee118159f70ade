#include "guest/own_kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>

namespace bulkhead::shim {
namespace {

Result<void> write_map(const char* path, const std::string& text, bool may_be_missing = false) {
  const UniqueFd file(::open(path, O_WRONLY | O_CLOEXEC));
  if (!file && errno == ENOENT && may_be_missing) return {};
  if (!file || ::write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
    return fail(std::string("can't write ") + path + " inside the session", errno);
  }
  return {};
}

std::string map(unsigned inside) {
  return std::to_string(inside) + " 0 1\n";
}

Result<void> make_folders(const std::string& path) {
  for (std::size_t at = path.find('/', 1);; at = path.find('/', at + 1)) {
    const std::string part = path.substr(0, at);
    const bool last = at == std::string::npos;
    if (::mkdir(part.c_str(), last ? 0700 : 0755) != 0 && errno != EEXIST) {
      return fail("can't make " + part + " inside the session", errno);
    }
    if (last) return {};
  }
}

}  // namespace

Result<void> become(uid_t uid, gid_t gid) {
  if (uid != 0 && ::getuid() == uid && ::getgid() == gid) return {};  // a virtual machine's first program saw to it
  if (::unshare(CLONE_NEWUSER) != 0) return fail("unshare(CLONE_NEWUSER) failed inside the session", errno);
  BH_CHECK(write_map("/proc/self/setgroups", "deny", true));
  BH_CHECK(write_map("/proc/self/uid_map", map(uid)));
  BH_CHECK(write_map("/proc/self/gid_map", map(gid)));
  // The new namespace gave all of them; drop_privileges() takes what is held, this what could be had (X22).
  for (int capability = 0; capability <= CAP_LAST_CAP; ++capability) {
    if (::prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0 && errno != EINVAL) {
      return fail("prctl(PR_CAPBSET_DROP) failed inside the session", errno);
    }
  }
  return {};
}

Result<void> furnish(const Setup& setup) {
  for (const std::string& folder : setup.folders) BH_CHECK(make_folders(folder));
  for (const PlacedLink& link : setup.links) {
    if (::symlink(link.to.c_str(), link.path.c_str()) != 0 && errno != EEXIST) {
      return fail("can't make " + link.path + " inside the session", errno);
    }
  }
  return {};
}

Result<void> prepare_terminal(const Setup& setup, const Pty& pty) {
  if (setup.plain_pty) BH_CHECK(make_plain(pty));
  if (::access("/dev", W_OK) != 0 && errno == EACCES) return {};  // a Linux, whose /dev/tty is as it should be
  unsigned number = 0;
  if (::ioctl(pty.master.get(), TIOCGPTN, &number) != 0) return fail("the session's pty has no number", errno);
  const std::string name = "pts/" + std::to_string(number);
  // Two commands may open a terminal at once.
  const std::string beside = "/dev/.tty-" + std::to_string(number);
  if ((::unlink(beside.c_str()) != 0 && errno != ENOENT) || ::symlink(name.c_str(), beside.c_str()) != 0 ||
      ::rename(beside.c_str(), "/dev/tty") != 0) {
    return fail("can't make /dev/tty inside the session", errno);
  }
  return {};
}

}  // namespace bulkhead::shim

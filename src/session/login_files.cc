#include "session/login_files.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/sys.h"
#include "base/text.h"

namespace bulkhead::session {
namespace {

bool at_or_below(const std::string& path, const std::string& folder) {
  return path == folder || folder == "/" || path.starts_with(folder + "/");
}

// The folder `path` below `copy`, made where it is missing. The copy is the session's own: no link in it is followed.
Result<UniqueFd> folder_in(const UniqueFd& copy, const std::string& path, const Identity& identity) {
  BH_TRY(UniqueFd here, sys::open_at(copy.get(), ".", O_RDONLY | O_DIRECTORY));
  for (const std::string& name : split(path, '/')) {
    if (name.empty()) continue;
    if (::mkdirat(here.get(), name.c_str(), 0700) == 0) {
      if (identity.from_root &&
          ::fchownat(here.get(), name.c_str(), identity.uid, identity.gid, AT_SYMLINK_NOFOLLOW) != 0)
        return fail_errno("chown", name, errno);
    } else if (errno != EEXIST) {
      return fail_errno("mkdir", name, errno);
    }
    BH_TRY(here, sys::open_at2(here.get(), name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
                               RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS));
  }
  return here;
}

Result<void> put(const UniqueFd& copy, const std::string& path, const LoginFile& file, const Identity& identity) {
  const std::size_t slash = path.rfind('/');
  const std::string name = path.substr(slash == std::string::npos ? 0 : slash + 1);
  BH_TRY(const UniqueFd folder, folder_in(copy, slash == std::string::npos ? "" : path.substr(0, slash), identity));
  if (::unlinkat(folder.get(), name.c_str(), 0) != 0 && errno != ENOENT) return fail_errno("unlink", name, errno);
  BH_TRY(const UniqueFd made, sys::open_at(folder.get(), name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600));
  BH_CHECK(sys::write_all(made.get(), file.text, name));
  if (identity.from_root && ::fchown(made.get(), identity.uid, identity.gid) != 0) {
    return fail_errno("chown", name, errno);
  }
  return {};
}

std::string shown(const LoginFile& file) {
  return "credential \"" + file.credential + "\" (\"" + escape_for_terminal(file.target) + "\"): ";
}

}  // namespace

Result<void> judge_login_mount(const std::vector<LoginFile>& files, const Mount& mount, const std::string& real) {
  for (const LoginFile& file : files) {
    if (!at_or_below(file.real, real)) continue;
    const std::string within =
        file.real.size() > real.size() ? file.real.substr(real == "/" ? 1 : real.size() + 1) : "";
    if (mount.copy && !within.empty() && !in_copy(mount, within)) continue;
    return fail(shown(file) + "the mount \"" + escape_for_terminal(mount.path) + "\" would show the host's own file; " +
                (mount.copy ? "name it in the mount's `except`"
                            : "mount a private copy without it, or the folder below "
                              "that you need"));
  }
  return {};
}

Result<void> place_logins(const std::vector<LoginFile>& files, const Identity& identity, tier::Plan& plan,
                          const std::function<Result<UniqueFd>()>& fresh) {
  for (const LoginFile& file : files) {
    tier::PlannedMount* inner = nullptr;
    for (tier::PlannedMount& mount : plan.mounts) {
      const bool covers = at_or_below(file.target, mount.target);
      if (covers && (inner == nullptr || mount.target.size() >= inner->target.size())) inner = &mount;
    }
    if (inner != nullptr && !inner->host.empty()) {
      return fail(shown(file) + "the session's file would stand in the mount \"" +
                  escape_for_terminal(inner->described) +
                  "\", which is the host's own folder; make that a copy (copy = true, except = [...])");
    }
    if (inner != nullptr && inner->target == file.target) {
      return fail(shown(file) + "a mount stands in its place: leave \"" + escape_for_terminal(inner->described) +
                  "\" out");
    }
    if (inner != nullptr) {
      BH_CHECK(put(inner->source, file.target.substr(inner->target.size() + 1), file, identity));
      continue;
    }
    const std::size_t slash = file.target.rfind('/');
    const std::string folder = file.target.substr(0, slash);
    if (slash == 0 || folder == identity.home) return fail(shown(file) + "it has to be in a folder of its own");
    BH_TRY(UniqueFd copy, fresh());
    BH_CHECK(put(copy, file.target.substr(slash + 1), file, identity));
    plan.mounts.push_back({.source = std::move(copy),
                           .target = folder,
                           .mode = MountMode::rw,
                           .described = folder,
                           .layers = std::nullopt,
                           .host = "",
                           .serving = UniqueFd()});
  }
  return {};
}

}  // namespace bulkhead::session

#include "session/plan.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "base/sys.h"
#include "base/text.h"
#include "session/copies.h"
#include "session/view.h"

namespace bulkhead::session {
namespace {

bool at_or_below(const std::string& path, const std::string& folder) {
  return path == folder || folder == "/" || path.starts_with(folder + "/");
}

// Folders whose appearance inside would undo the boundary. Judged on the resolved path.
Result<void> judge(const std::string& real, const Identity& identity, const std::string& described) {
  const std::string shown = "mount \"" + escape_for_terminal(described) + "\"";
  if (at_or_below(identity.home, real)) {
    return fail(shown + (real == identity.home ? " is your home folder" : " holds your home folder") +
                ", with every key in it; go to a project's folder, or mount the folder you need");
  }
  for (const char* folder : {"/proc", "/sys", "/dev", "/run", "/boot", "/etc", "/var/run"}) {
    if (at_or_below(real, folder)) return fail(shown + " is part of the host's " + folder + ", which no session gets");
  }
  for (const char* folder :
       {"/usr", "/bin", "/lib", "/lib64", "/sbin", "/var", "/tmp", "/home", "/opt", "/srv", "/mnt"}) {
    // /tmp itself is everybody's; a folder in it is fine.
    if (real == folder && std::string_view(folder) != "/opt" && std::string_view(folder) != "/srv" &&
        std::string_view(folder) != "/mnt") {
      return fail(shown + " is the host's " + folder + "; mount the folder below it that you need");
    }
  }
  return {};
}

std::string absolute(const std::string& path, const Identity& identity, const std::string& working_directory) {
  if (path == "~") return identity.home;
  if (path.starts_with("~/")) return identity.home + path.substr(1);
  if (path == ".") return working_directory;
  if (path.starts_with("/")) return path;
  return working_directory + "/" + path;
}

class Planner {
 public:
  Planner(const Identity& identity, Sources& sources, int session_directory, std::string working_directory)
      : identity_(identity),
        sources_(sources),
        session_directory_(session_directory),
        working_directory_(std::move(working_directory)) {}

  Result<void> add(const Mount& mount, Planned& out) {
    const std::string wanted = absolute(mount.path, identity_, working_directory_);
    auto opened = sources_.open(wanted);
    if (!opened) {
      const bool absent = opened.error().code == ENOENT || opened.error().code == ENOTDIR;
      if (mount.optional && absent) return {};
      return tl::unexpected(std::move(opened).error().with(
          "mount \"" + escape_for_terminal(mount.path) + "\"" +
          (mount.origin.line > 0 ? " (" + mount.origin.file + ":" + std::to_string(mount.origin.line) + ")" : "")));
    }
    // What was opened is what is judged; the name may mean something else by now.
    BH_TRY(const std::string real, sys::path_of(opened->get()));
    BH_CHECK(judge(real, identity_, mount.path));
    BH_TRY(const struct stat st, sys::stat_fd(opened->get(), real));
    if (!S_ISDIR(st.st_mode) && !S_ISREG(st.st_mode)) {
      return fail("mount \"" + escape_for_terminal(mount.path) + "\" is neither a file nor a folder");
    }
    // Shown at the path the user wrote (a link in it stays a working name), but never at another's
    // through `..`.
    std::string target = mount.target.empty() ? (mount.path == "." ? real : wanted) : mount.target;
    if (target.find("/../") != std::string::npos || target.ends_with("/..") || !target.starts_with("/")) target = real;
    while (target.size() > 1 && target.back() == '/') target.pop_back();
    MountMode mode = mount.mode;
    if (mount.copy) {
      BH_TRY(*opened, copied(*opened, mount));
      mode = MountMode::rw;
    } else if (mode == MountMode::rw && out.workspace.empty() && S_ISDIR(st.st_mode)) {
      out.workspace = target;
    }
    BH_TRY(*opened, sources_.mountable(std::move(*opened), mount.path));
    out.plan.mounts.push_back({std::move(*opened), target, mode, mount.path});
    out.visible.push_back(target);
    return {};
  }

 private:
  // The session's private copy, opened for mounting.
  Result<UniqueFd> copied(const UniqueFd& source, const Mount& mount) {
    if (::mkdirat(session_directory_, "copies", 0700) != 0 && errno != EEXIST) {
      return fail_errno("mkdir", "copies", errno);
    }
    BH_TRY(const UniqueFd copies, sys::open_at(session_directory_, "copies", O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
    const std::string name = std::to_string(count_++);
    BH_CHECK(copy_for_session(source.get(), mount.path, mount.except, copies.get(), name));
    if (identity_.from_root) BH_CHECK(give_away(copies.get(), name));
    // By its path again: as root the session's directory was opened in another mount namespace than
    // the present one, and only what is mounted in this one can be cloned.
    BH_TRY(const UniqueFd copy, sys::open_at(copies.get(), name, O_PATH | O_NOFOLLOW));
    BH_TRY(const std::string path, sys::path_of(copy.get()));
    BH_TRY(UniqueFd again, sources_.open(path));
    BH_TRY(const struct stat made, sys::stat_fd(copy.get(), path));
    BH_TRY(const struct stat found, sys::stat_fd(again.get(), path));
    if (made.st_dev != found.st_dev || made.st_ino != found.st_ino) {
      return fail("the session's private copy of \"" + escape_for_terminal(mount.path) + "\" was moved away");
    }
    return again;
  }

  // Started as root the copy is the session's uid's from the start; it needs no id map.
  Result<void> give_away(int parent, const std::string& name) {
    if (::fchownat(parent, name.c_str(), identity_.uid, identity_.gid, AT_SYMLINK_NOFOLLOW) != 0) {
      return fail_errno("chown", name, errno);
    }
    auto folder = sys::open_at(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    if (!folder) return {};
    BH_TRY(const std::vector<std::string> names, sys::list_directory(folder->get()));
    for (const std::string& child : names) BH_CHECK(give_away(folder->get(), child));
    return {};
  }

  const Identity& identity_;
  Sources& sources_;
  int session_directory_;
  std::string working_directory_;
  int count_ = 0;
};

}  // namespace

Result<Planned> make_plan(const Policy& policy, const Identity& identity, Sources& sources, int session_directory,
                          const std::string& working_directory) {
  Planned out;
  out.plan.uid = identity.uid;
  out.plan.gid = identity.gid;
  out.plan.limits = policy.limits;
  BH_TRY(out.visible, add_view(out.plan, sources, identity, policy.toolchains));
  Planner planner(identity, sources, session_directory, working_directory);
  for (const Mount& mount : policy.mounts) BH_CHECK(planner.add(mount, out));
  // Outermost first, so that a mount inside another stays visible.
  std::sort(out.plan.mounts.begin(), out.plan.mounts.end(),
            [](const auto& a, const auto& b) { return a.target.size() < b.target.size(); });
  const bool seen = std::any_of(out.plan.mounts.begin(), out.plan.mounts.end(),
                                [&](const auto& m) { return at_or_below(working_directory, m.target); }) ||
                    at_or_below(working_directory, "/usr");
  out.directory = seen ? working_directory : !out.workspace.empty() ? out.workspace : identity.home;
  return out;
}

}  // namespace bulkhead::session

#include "session/plan.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "base/account.h"
#include "base/sys.h"
#include "base/text.h"
#include "handoff/gate.h"
#include "handoff/watch.h"
#include "policy/managed.h"
#include "review/begin.h"
#include "secrets/stores.h"
#include "session/copies.h"
#include "session/keys.h"
#include "session/login_files.h"
#include "session/root.h"
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
  Planner(const Identity& identity, const Managed* managed, const PolicyRequest& request,
          const std::vector<secrets::Present>& stores, KeyFinder& keys, Sources& sources, const PlanOf& of)
      : identity_(identity),
        managed_(managed),
        request_(request),
        stores_(stores),
        keys_(keys),
        sources_(sources),
        of_(of),
        starts_(of.reviews != nullptr) {}

  Result<void> add(const Mount& mount, Planned& out) {
    const std::string wanted = absolute(mount.path, identity_, of_.working_directory);
    // What is collected needs a place to land.
    if (mount.output && starts_ && ::mkdir(wanted.c_str(), 0777) != 0 && errno != EEXIST) {
      return fail_errno("mkdir", "output \"" + escape_for_terminal(mount.path) + "\"", errno);
    }
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
    BH_CHECK(judge_beside_cache(mount, real, of_.paths));
    if (managed_ != nullptr) BH_CHECK(judge_mount(*managed_, mount, real));
    BH_CHECK(judge_login_mount(of_.logins, mount, real));
    BH_CHECK(judge_stores(stores_, mount, real, request_.flags.allow_secrets, request_.place));
    BH_TRY(const struct stat st, sys::stat_fd(opened->get(), real));
    if (!S_ISDIR(st.st_mode) && !S_ISREG(st.st_mode)) {
      return fail("mount \"" + escape_for_terminal(mount.path) + "\" is neither a file nor a folder");
    }
    // Shown at the path the user wrote (a link in it stays a working name), but never at another's
    // through `..`.
    std::string target = mount.target.empty() ? (mount.path == "." ? real : wanted) : mount.target;
    if (target.find("/../") != std::string::npos || target.ends_with("/..") || !target.starts_with("/")) target = real;
    while (target.size() > 1 && target.back() == '/') target.pop_back();
    // An output's folder is one, too, for the links in it: what lands may be what they lead to.
    const bool is_project = starts_ && !mount.copy && mount.mode != MountMode::ro && S_ISDIR(st.st_mode);
    if (starts_ && !is_project) keys_.look(mount, opened->get(), target, of_.working_directory);
    MountMode mode = mount.mode;
    if (mount.copy && starts_) {
      BH_TRY(*opened, copied(*opened, mount));
      mode = mount.mode == MountMode::ro ? MountMode::ro : MountMode::rw;
    } else if (mode != MountMode::ro && !mount.output && out.workspace.empty() && S_ISDIR(st.st_mode)) {
      out.workspace = target;
      out.workspace_mode = mode;
      out.workspace_protected = is_served(mount);
    }
    if (mode == MountMode::review) {
      const std::string shown = "mount \"" + escape_for_terminal(mount.path) + "\"";
      BH_CHECK(review::can_review(opened->get(), real, shown));
      const std::string& own = of_.paths.state;
      if (!own.empty() && (at_or_below(own, real) || at_or_below(real, own))) {
        return fail(shown + " holds Bulkhead's own state, which no review can be kept in; mount the folder you need");
      }
      BH_TRY(UniqueFd folder, sys::duplicate(opened->get()));
      in_review_.push_back({out.plan.mounts.size(), std::move(folder), real});
    }
    if (is_project) {
      BH_TRY(UniqueFd folder, sys::duplicate(opened->get()));
      BH_TRY(trust::Onlooker* const keys, keys_.onlooker(mount, folder.get(), target, of_.working_directory));
      projects_.push_back({real, std::move(folder), mount.mode != MountMode::review, keys});
    }
    BH_TRY(*opened, sources_.mountable(std::move(*opened), mount.path));
    if (is_served(mount) && !S_ISDIR(st.st_mode)) {
      return fail("mount \"" + escape_for_terminal(mount.path) +
                  "\": " + (mode == MountMode::rw_no_delete ? "mode rw-no-delete" : "`protect`") +
                  " is for folders; mount the one it is in");
    }
    out.plan.mounts.push_back({.source = std::move(*opened),
                               .target = target,
                               .mode = mode,
                               .described = mount.path,
                               .layers = std::nullopt,
                               .host = mount.copy ? "" : real,
                               .serving = UniqueFd(),
                               .served = is_served(mount),
                               .allow_control = mount.allow_control,
                               .collecting = UniqueFd(),
                               .output = mount.output});
    out.visible.push_back(target);
    return {};
  }

  // With the caller's own privileges, before anything of them is shown.
  Result<void> look(Planned& out) {
    BH_TRY(out.projects, look_at_projects(projects_, request_.data_dir, of_.paths));
    keys_.heard();
    // Nothing of the host's is shown there, so nothing has to be hidden.
    std::erase_if(out.projects.untrusted, [&](const Untrusted& one) {
      return std::ranges::any_of(in_review_, [&](const InReview& other) {
        return other.real == one.path && out.plan.mounts[other.index].output;
      });
    });
    for (Watched& one : out.projects.watched) {
      BH_TRY(UniqueFd watch, handoff::begin_watch(of_.paths, of_.session, out.watches.size(), one.project, one.before));
      out.watches.push_back(std::move(watch));
    }
    out.projects.watched.clear();  // it may be large, and is on the disk now
    return {};
  }

  Result<void> add_logins(Planned& out) {
    return place_logins(of_.logins, identity_, out.plan, [this]() -> Result<UniqueFd> {
      BH_TRY(UniqueFd folder, empty_folder());
      return sources_.mountable(std::move(folder), "the login's folder");
    });
  }

  // When all mounts are known: those inside another are no change of the workload's.
  Result<void> open_reviews(const review::Reviews& reviews, Planned& out) {
    for (const InReview& one : in_review_) {
      tier::PlannedMount& mount = out.plan.mounts[one.index];
      review::Info info;
      info.session = of_.session;
      info.command = of_.command;
      for (const tier::PlannedMount& other : out.plan.mounts) {
        if (other.target.starts_with(mount.target + "/"))
          info.inner.push_back(other.target.substr(mount.target.size() + 1));
      }
      for (std::string& line : review::earlier_lines(reviews, one.real, of_.session))
        out.notes.push_back(std::move(line));
      BH_TRY(review::Review review,
             review::begin(reviews, one.folder.get(), one.real, std::move(info), identity_.uid, identity_.gid));
      BH_CHECK(handoff::write_links(review, out.projects.links[one.real]));
      if (mount.output) {
        BH_TRY(sys::Pair pair, sys::socket_pair(SOCK_SEQPACKET));
        mount.collecting = std::move(pair.second);
        BH_TRY(UniqueFd upper, review.open_upper());
        out.outputs.push_back(
            {std::move(pair.first), std::move(upper), mount.described, *mount.output, out.reviews.size()});
        out.reviews.push_back(std::move(review));
        continue;
      }
      BH_TRY(UniqueFd store, sys::open_at(review.directory(), "layers", O_PATH | O_DIRECTORY | O_NOFOLLOW));
      mount.layers.emplace();
      BH_TRY(mount.layers->store, sources_.mountable(std::move(store), "layers"));
      BH_TRY(UniqueFd mask, hide_untrusted(out.projects, one.real, one.folder.get(), review.directory()));
      if (mask) {
        for (const Untrusted& project : out.projects.untrusted) {
          if (project.path == one.real) keys_.hide(mount.target, project.verdict.to_mask());
        }
        BH_TRY(mount.layers->mask, sources_.mountable(std::move(mask), "mask"));
      }
      out.reviews.push_back(std::move(review));
    }
    return {};
  }

 private:
  struct InReview {
    std::size_t index = 0;  // of its mount
    UniqueFd folder;        // as it was opened, on the host
    std::string real;
  };

  Result<UniqueFd> copies() const {
    if (::mkdirat(of_.session_directory, "copies", 0700) != 0 && errno != EEXIST) {
      return fail_errno("mkdir", "copies", errno);
    }
    return sys::open_at(of_.session_directory, "copies", O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  }

  // The session's private copy, opened for mounting.
  Result<UniqueFd> copied(const UniqueFd& source, const Mount& mount) {
    BH_TRY(const UniqueFd folder, copies());
    const std::string name = std::to_string(count_++);
    BH_CHECK(copy_for_session(source.get(), mount, folder.get(), name));
    return opened_again(folder, name, mount.path);
  }

  // A private folder with nothing in it.
  Result<UniqueFd> empty_folder() {
    BH_TRY(const UniqueFd folder, copies());
    const std::string name = std::to_string(count_++);
    if (::mkdirat(folder.get(), name.c_str(), 0700) != 0) return fail_errno("mkdir", name, errno);
    return opened_again(folder, name, name);
  }

  Result<UniqueFd> opened_again(const UniqueFd& copies, const std::string& name, const std::string& described) {
    if (identity_.from_root) BH_CHECK(give_away(copies.get(), name));
    // By its path again: as root the session's directory was opened in another mount namespace than
    // the present one, and only what is mounted in this one can be cloned.
    BH_TRY(const UniqueFd copy, sys::open_at(copies.get(), name, O_PATH | O_NOFOLLOW));
    BH_TRY(const std::string path, sys::path_of(copy.get()));
    BH_TRY(UniqueFd again, sources_.open(path));
    BH_TRY(const struct stat made, sys::stat_fd(copy.get(), path));
    BH_TRY(const struct stat found, sys::stat_fd(again.get(), path));
    if (made.st_dev != found.st_dev || made.st_ino != found.st_ino) {
      return fail("the session's private copy of \"" + escape_for_terminal(described) + "\" was moved away");
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
  const Managed* const managed_;  // null: nobody manages
  const PolicyRequest& request_;
  const std::vector<secrets::Present>& stores_;
  KeyFinder& keys_;
  Sources& sources_;
  const PlanOf& of_;
  const bool starts_;  // and is not only looked at
  std::vector<InReview> in_review_;
  std::vector<ProjectFolder> projects_;
  int count_ = 0;
};

}  // namespace

std::vector<std::string> homes_of(const Identity& identity) {
  std::vector<std::string> homes{identity.home};
  for (const uid_t uid : {identity.uid, ::getuid()}) {
    const auto account = find_account(uid);
    if (account && std::ranges::find(homes, account->home) == homes.end()) homes.push_back(account->home);
  }
  return homes;
}

Result<Planned> make_plan(const Policy& policy, const PolicyRequest& request, const Identity& identity,
                          Sources& sources, const PlanOf& of) {
  Planned out;
  out.plan.uid = identity.uid;
  out.plan.gid = identity.gid;
  out.plan.set_group = !identity.from_root;
  out.plan.limits = policy.limits;
  BH_TRY(const secrets::Patterns patterns, secrets::load_patterns(request.data_dir));
  const bool starts = of.reviews != nullptr;
  const std::vector<secrets::Present> stores =
      starts ? secrets::present_stores(patterns, homes_of(identity)) : std::vector<secrets::Present>();
  BH_CHECK(add_image(policy, request, identity, sources, stores, of, out));
  BH_TRY(out.visible, add_view(out.plan, sources, identity, policy));
  KeyFinder keys(patterns, secrets::Bounds());
  Planner planner(identity, policy.managed.get(), request, stores, keys, sources, of);
  for (const Mount& mount : policy.mounts) BH_CHECK(planner.add(mount, out));
  if (starts) {
    BH_CHECK(planner.add_logins(out));
    BH_CHECK(planner.look(out));
    BH_CHECK(planner.open_reviews(*of.reviews, out));
  }
  out.keys = keys.line();
  // Outermost first, so that a mount inside another stays visible.
  std::sort(out.plan.mounts.begin(), out.plan.mounts.end(),
            [](const auto& a, const auto& b) { return a.target.size() < b.target.size(); });
  BH_CHECK(judge_places(out.plan));
  const bool seen = std::any_of(out.plan.mounts.begin(), out.plan.mounts.end(),
                                [&](const auto& m) { return at_or_below(of.working_directory, m.target); }) ||
                    (!out.image && at_or_below(of.working_directory, "/usr"));
  out.directory = seen ? of.working_directory : !out.workspace.empty() ? out.workspace : identity.home;
  return out;
}

}  // namespace bulkhead::session

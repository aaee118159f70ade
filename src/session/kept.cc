#include "session/kept.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <nlohmann/json.hpp>

#include "base/sys.h"
#include "base/text.h"
#include "trust/trust.h"

namespace bulkhead::session {
namespace {

// Of copies; what is kept by being moved takes nothing. A folder's originals are kept once each, so this is seldom met.
constexpr std::uint64_t quota = 16ULL << 30;

std::string shown(const tier::PlannedMount& mount) {
  return "mount \"" + escape_for_terminal(mount.described) +
         "\": " + (mount.mode == MountMode::rw_no_delete ? "mode rw-no-delete " : "`protect` ");
}

// By its mode, and not by trying: the one who will open it is the session's uid.
Result<void> check_device(const tier::PlannedMount& mount, const Identity& identity) {
  struct stat st{};
  if (::stat("/dev/fuse", &st) != 0 || !S_ISCHR(st.st_mode)) {
    return fail(shown(mount) +
                "needs /dev/fuse, which is not here: sudo modprobe fuse (in a container: --device /dev/fuse)");
  }
  const bool usable = identity.from_root ? (st.st_mode & 06) == 06 : ::access("/dev/fuse", R_OK | W_OK) == 0;
  if (usable) return {};
  return fail(shown(mount) + "needs /dev/fuse, which uid " + std::to_string(identity.uid) +
              " may not open: sudo chmod 0666 /dev/fuse (as udev does)");
}

Result<UniqueFd> lock(const tier::PlannedMount& mount) {
  BH_TRY(UniqueFd folder, sys::open_at(mount.source.get(), ".", O_RDONLY | O_DIRECTORY));
  if (::flock(folder.get(), LOCK_EX | LOCK_NB) == 0) return folder;
  if (errno == EWOULDBLOCK) {
    return fail(shown(mount) + "is for one session at a time, and another has this folder: `bulkhead ps` lists them");
  }
  return fail_errno("flock", mount.host, errno);
}

bool below(const std::string& path, const std::string& folder) {
  return path.starts_with(folder == "/" ? folder : folder + "/");
}

// Neither the folder nor what is kept of it (empty: nothing is) may be writable by another way.
Result<void> check_others(const tier::PlannedMount& mount, const std::string& kept, const tier::Plan& plan) {
  for (const tier::PlannedMount& other : plan.mounts) {
    if (other.mode == MountMode::ro || other.host.empty()) continue;
    if (!kept.empty() && below(kept, other.host)) {
      return fail(shown(mount) + "keeps originals in \"" + escape_for_terminal(kept) + "\", which is in the mount \"" +
                  escape_for_terminal(other.described) + "\"; mount a folder below, or that one read-only");
    }
    if (&other == &mount || (other.host != mount.host && !below(mount.host, other.host))) continue;
    // In its own place within the other it covers what the other shows there.
    if (mount.target != other.target && mount.target == other.target + mount.host.substr(other.host.size())) continue;
    return fail(shown(mount) + "means nothing while \"" + escape_for_terminal(other.described) +
                "\" shows the same files elsewhere, writable; leave one of the two out");
  }
  return {};
}

Result<void> describe(int kept, const tier::PlannedMount& mount, const SessionDir& directory) {
  const nlohmann::json about{
      {"v", 1},
      {"folder", hex(mount.host)},
      {"shown", mount.host},
      {"target", mount.target},
      {"started", directory.info().started},
      {"order", std::chrono::system_clock::now().time_since_epoch() / std::chrono::nanoseconds(1)}};
  BH_TRY(const UniqueFd file, sys::open_at(kept, "mount.json", O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600));
  return sys::write_all(file.get(), about.dump(1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n",
                        "mount.json");
}

// Started as root: the session's uid has to write there, and what it makes belongs on the disk to whom the folder
// belongs.
Result<void> for_session(KeptMount& made, const tier::PlannedMount& mount, Sources& sources) {
  struct stat owner{};
  if (::stat(mount.host.c_str(), &owner) != 0) return fail_errno("stat", mount.host, errno);
  if (::fchown(made.kept.get(), owner.st_uid, owner.st_gid) != 0) return fail_errno("fchown", "kept", errno);
  BH_TRY(const std::string path, sys::path_of(made.kept.get()));
  if (auto both = sources.together(mount.host, path); both) {
    // By its path once more: it has to be what was judged.
    BH_TRY(const struct stat judged, sys::stat_fd(made.tree.get(), mount.host));
    BH_TRY(const struct stat found, sys::stat_fd(both->first.get(), mount.host));
    if (judged.st_dev != found.st_dev || judged.st_ino != found.st_ino) return fail(shown(mount) + "was replaced");
    made.tree = std::move(both->first);
    made.kept = std::move(both->second);
    return {};
  } else if (both.error().code != EXDEV) {
    return tl::unexpected(std::move(both).error());
  }
  BH_TRY(UniqueFd again, sources.open(path));
  BH_TRY(made.kept, sources.mountable(std::move(again), path));
  return {};
}

}  // namespace

Result<std::vector<KeptMount>> prepare_kept(Planned& planned, const Identity& identity, Sources& sources,
                                            const SessionDir& directory) {
  std::vector<KeptMount> out;
  for (std::size_t i = 0; i < planned.plan.mounts.size(); ++i) {
    tier::PlannedMount& mount = planned.plan.mounts[i];
    if (!mount.served) continue;
    BH_CHECK(check_device(mount, identity));
    KeptMount made;
    made.target = mount.target;
    made.host = mount.host;
    made.allow_control = mount.allow_control;
    BH_TRY(made.tree, sys::duplicate(mount.source.get()));
    if (mount.mode == MountMode::rw_no_delete) {
      BH_TRY(made.lock, lock(mount));
      BH_TRY(made.kept, directory.make_kept(i));
      BH_TRY(const std::string place, sys::path_of(made.kept.get()));
      BH_CHECK(check_others(mount, place, planned.plan));
      BH_CHECK(describe(made.kept.get(), mount, directory));
      if (identity.from_root) BH_CHECK(for_session(made, mount, sources));
    } else {
      BH_CHECK(check_others(mount, "", planned.plan));
    }
    BH_TRY(sys::Pair pair, sys::socket_pair(SOCK_SEQPACKET));
    mount.serving = std::move(pair.first);
    made.device = std::move(pair.second);
    out.push_back(std::move(made));
  }
  return out;
}

Result<nlohmann::json> protected_names(const std::vector<KeptMount>& mounts, const std::string& data,
                                       const Paths& paths) {
  if (mounts.empty()) return nlohmann::json();
  BH_TRY(const trust::Catalogue catalogue, trust::load_catalogue(data, paths.config));
  nlohmann::json out = nlohmann::json::array();
  for (const trust::Rule& rule : catalogue.rules()) {
    if (rule.kind == trust::Class::build) continue;
    out.push_back({{"id", rule.id}, {"match", rule.patterns}, {"except", rule.except}});
  }
  return out;
}

Result<void> serve_kept(std::vector<KeptMount>& mounts, const nlohmann::json& names, bool own_numbers, Helpers& helpers,
                        const HelperFiles& files) {
  for (KeptMount& mount : mounts) {
    const nlohmann::json about{{"type", "keep"},
                               {"keeps", static_cast<bool>(mount.kept)},
                               {"quota", quota},
                               {"protects", names},
                               {"allow", mount.allow_control},
                               {"folder_hex", hex(mount.host)},
                               {"own_numbers", own_numbers}};
    BH_CHECK(start_keep(helpers, files, escape_for_terminal(mount.target), mount.tree.get(), mount.device.get(),
                        mount.kept.get(), about));
    mount.tree.reset();
    mount.kept.reset();
    mount.device.reset();
  }
  return {};
}

}  // namespace bulkhead::session

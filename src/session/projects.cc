#include "session/projects.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/sys.h"
#include "base/text.h"
#include "trust/masks.h"

namespace bulkhead::session {
namespace {

constexpr std::size_t room_for_files = 32 * 1024;

// Looked through with the other one, by its path on the host.
bool in_another(const ProjectFolder& folder, const std::vector<ProjectFolder>& all) {
  return std::ranges::any_of(all, [&](const ProjectFolder& other) {
    if (!other.live || &other == &folder) return false;
    const std::string above = other.path == "/" ? "/" : other.path + "/";
    return folder.path.starts_with(above) || (folder.path == other.path && &other < &folder);
  });
}

std::vector<trust::Surroundings::Alias> links_in(const trust::Snapshot& snapshot) {
  std::vector<trust::Surroundings::Alias> out;
  for (const auto& [path, entry] : snapshot.entries) {
    if (S_ISLNK(entry.mark.mode) && !entry.leads_to.empty()) out.push_back({path, entry.leads_to});
  }
  return out;
}

}  // namespace

Result<Projects> look_at_projects(const std::vector<ProjectFolder>& folders, const std::string& data,
                                  const Paths& paths) {
  Projects out;
  if (folders.empty()) return out;
  BH_TRY(const trust::Catalogue catalogue, trust::load_catalogue(data, paths.config));
  BH_TRY(const trust::Pins pins, trust::Pins::open(paths.state, false));
  for (const ProjectFolder& folder : folders) {
    BH_TRY(const trust::Project as_it_is, trust::Project::of(folder.folder.get()));
    std::string problem;
    const auto known = pins.find(as_it_is, problem);
    if (!problem.empty()) out.problems.push_back(problem);
    trust::Snapshot snapshot;
    BH_TRY(trust::Verdict verdict,
           trust::judge_project(folder.folder.get(), catalogue, known ? &*known : nullptr, &snapshot, folder.onlooker));
    if (!verdict.to_mask().empty()) out.untrusted.push_back({folder.path, std::move(verdict), false});
    if (!folder.live) {
      out.links[folder.path] = links_in(snapshot);
    } else if (!in_another(folder, folders)) {
      out.watched.push_back({as_it_is, std::move(snapshot)});
    }
  }
  return out;
}

Result<UniqueFd> hide_untrusted(Projects& projects, const std::string& path, int folder, int parent) {
  for (Untrusted& one : projects.untrusted) {
    if (one.path != path) continue;
    if (one.verdict.incomplete()) {
      return fail(trust::untrusted_line(one.verdict, one.path, false) +
                  "; in mode review they are hidden, and nobody knows which: mount a smaller folder, or use rw");
    }
    if (::mkdirat(parent, "mask", 0700) != 0) return fail_errno("mkdir", "mask", errno);
    BH_TRY(const UniqueFd mask, sys::open_at(parent, "mask", O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
    // The folder that is shown takes its mode from here.
    BH_TRY(const struct stat st, sys::stat_fd(folder, path));
    if (::fchmod(mask.get(), (st.st_mode & 0777) | 0700) != 0) return fail_errno("fchmod", "mask", errno);
    BH_CHECK(trust::make_masks(mask.get(), folder, one.verdict.to_mask()));
    one.hidden = true;
    return sys::open_at(parent, "mask", O_PATH | O_DIRECTORY | O_NOFOLLOW);
  }
  return UniqueFd();
}

std::vector<std::string> lines_about(const Projects& projects) {
  std::vector<std::string> out = projects.problems;
  for (const Untrusted& one : projects.untrusted) {
    if (!one.verdict.trusted()) out.push_back(trust::untrusted_line(one.verdict, one.path, one.hidden));
  }
  return out;
}

nlohmann::json untrusted_event(const Untrusted& project) {
  nlohmann::json files = nlohmann::json::array();
  std::size_t size = 0;
  for (const trust::Verdict::Item& item : project.verdict.items) {
    if (item.why.empty() || item.control.dependency) continue;
    size += item.control.path.size() + item.why.size() + 120;
    if (size > room_for_files) break;
    files.push_back({{"path", item.control.path},
                     {"class", trust::name_of(item.control.kind)},
                     {"sha256", item.control.content.sha256},
                     {"why", item.why}});
  }
  return {{"path", project.path},
          {"count", project.verdict.untrusted()},
          {"files", files},
          {"hidden", project.hidden},
          {"complete", !project.verdict.incomplete()}};
}

}  // namespace bulkhead::session

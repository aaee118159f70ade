#include "tier/stage/inside.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <string_view>

#include "base/sys.h"

namespace bulkhead::tier {
namespace {

constexpr std::uint64_t default_tmp = 1ULL << 30;  // per in-memory folder; pages count only once written
constexpr std::size_t max_late = 16U << 20;        // a bundle of certificates has about 200 KB

bool below(const std::string& path, const std::string& folder) {
  return path.starts_with(folder + "/");
}

bool in_memory(const Plan& plan, const std::string& path) {
  return std::ranges::any_of(plan.tmpfs, [&](const std::string& folder) { return below(path, folder); });
}

std::string numbered(const char* folder, std::size_t index) {
  return folder + std::to_string(index);
}

InsideMount memory(const Plan& plan, const std::string& target) {
  const bool everybody = target == "/tmp" || target == "/dev/shm";
  return {.source = "",
          .target = target,
          .writable = true,
          .size = plan.limits.tmp.value_or(default_tmp),
          .mode = everybody ? 01777U : 0755U};
}

InsideMount shown(std::string source, const std::string& target, bool writable) {
  return {.source = std::move(source), .target = target, .writable = writable};
}

// And not in something else that is shown, where its place has to be already.
bool stands_in_root(const Plan& plan, const PlannedMount& mount) {
  const auto holds = [&](const PlannedMount& other) { return below(mount.target, other.target); };
  // runsc's gofer makes the places in in-memory folders itself, which it can't in an image.
  return (plan.image || !in_memory(plan, mount.target)) &&
         std::ranges::find(plan.tmpfs, mount.target) == plan.tmpfs.end() && std::ranges::none_of(plan.mounts, holds) &&
         std::ranges::none_of(plan.system, holds);
}

Result<void> add_place(Stage& stage, const PlannedMount& mount, const std::string& path) {
  BH_TRY(const struct stat found, sys::stat_fd(mount.source.get(), mount.described));
  return S_ISDIR(found.st_mode) ? stage.folder(path) : stage.file(path, "");
}

// This process was forked off the one that will give the pipe's other end to its writer, and has a copy of that: while
// it is open the pipe has no end.
Result<void> close_other_ends(const UniqueFd& pipe) {
  BH_TRY(const std::string name, sys::path_of(pipe.get()));
  BH_TRY(const UniqueFd folder, sys::open("/proc/self/fd", O_RDONLY | O_DIRECTORY));
  BH_TRY(const std::vector<std::string> entries, sys::list_directory(folder.get()));
  for (const std::string& entry : entries) {
    int fd = -1;
    std::from_chars(entry.data(), entry.data() + entry.size(), fd);
    if (fd < 0 || fd == pipe.get()) continue;
    if (const auto other = sys::path_of(fd); other && *other == name) ::close(fd);
  }
  return {};
}

Result<void> place(Stage& stage, const PlannedFile& file, const std::string& path) {
  if (!file.late) return stage.file(path, file.content);
  BH_CHECK(close_other_ends(file.late));
  BH_TRY(const std::string content, sys::read_all(file.late.get(), max_late, file.target));
  return stage.file(path, content);
}

}  // namespace

std::vector<InsideMount> inside_mounts(const Plan& plan) {
  std::vector<InsideMount> out;
  out.push_back(memory(plan, "/dev/shm"));
  for (const std::string& folder : plan.tmpfs) out.push_back(memory(plan, folder));
  for (std::size_t i = 0; i < plan.system.size(); ++i) {
    if (in_memory(plan, plan.system[i].target)) {
      out.push_back(shown(numbered("/system/", i), plan.system[i].target, false));
    }
  }
  for (std::size_t i = 0; i < plan.files.size(); ++i) {
    if (in_memory(plan, plan.files[i].target)) {
      out.push_back(shown(numbered("/files/", i), plan.files[i].target, false));
    }
  }
  for (std::size_t i = 0; i < plan.mounts.size(); ++i) {
    out.push_back(shown(numbered("/mounts/", i), plan.mounts[i].target, plan.mounts[i].mode != MountMode::ro));
  }
  return out;
}

std::vector<PlannedLink> links_inside(const Plan& plan) {
  std::vector<PlannedLink> out;
  for (const PlannedLink& link : plan.links) {
    if (in_memory(plan, link.target)) out.push_back(link);
  }
  return out;
}

Result<void> furnish(Stage& stage, const Plan& plan) {
  const std::string root = plan.image ? over_folder : root_folder;
  for (const char* folder : {"/dev", "/proc", "/sys", "/etc"}) BH_CHECK(stage.folder(root + folder));
  for (const std::string& folder : plan.tmpfs) BH_CHECK(stage.folder(root + folder));
  for (std::size_t i = 0; i < plan.system.size(); ++i) {
    const PlannedMount& mount = plan.system[i];
    const std::string path = in_memory(plan, mount.target) ? numbered("/system/", i) : root + mount.target;
    BH_CHECK(stage.bind(mount, path));
    BH_CHECK(stage.restrict(path));
  }
  for (std::size_t i = 0; i < plan.mounts.size(); ++i) {
    const PlannedMount& mount = plan.mounts[i];
    const std::string path = numbered("/mounts/", i);
    BH_CHECK(mount.served ? stage.serve(mount, path) : stage.bind(mount, path));
    BH_CHECK(stage.restrict(numbered("/mounts/", i), mount.mode != MountMode::ro));
    if (stands_in_root(plan, mount)) BH_CHECK(add_place(stage, mount, root + mount.target));
  }
  for (const PlannedLink& link : plan.links) {
    if (!in_memory(plan, link.target)) BH_CHECK(stage.link(root + link.target, link.to));
  }
  // Late ones last: their writer may not have begun.
  for (const bool late : {false, true}) {
    for (std::size_t i = 0; i < plan.files.size(); ++i) {
      const PlannedFile& file = plan.files[i];
      if (static_cast<bool>(file.late) != late) continue;
      if (plan.image && in_memory(plan, file.target)) BH_CHECK(stage.file(root + file.target, ""));
      BH_CHECK(place(stage, file, in_memory(plan, file.target) ? numbered("/files/", i) : root + file.target));
    }
  }
  // Last: what lies under an overlay must not change any more.
  if (plan.image) BH_CHECK(stage.root(*plan.image, over_folder, root_folder));
  return {};
}

}  // namespace bulkhead::tier

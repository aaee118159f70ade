#include "session/root.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>

#include <algorithm>

#include "base/sys.h"
#include "base/text.h"
#include "image/image.h"
#include "policy/managed.h"

namespace bulkhead::session {
namespace {

bool at_or_below(const std::string& path, const std::string& folder) {
  return path == folder || folder == "/" || path.starts_with(folder + "/");
}

// A folder that is shown as it is. One that was unpacked lies in the cache.
Result<void> judge_folder(const std::string& real, const Identity& identity, const std::string& shown) {
  if (at_or_below(identity.home, real)) {
    return fail(shown + (real == identity.home ? " is your home folder" : " holds your home folder") +
                ", with every key in it; name a folder that holds a root file system of its own");
  }
  for (const char* folder : {"/proc", "/sys", "/dev", "/run", "/boot", "/etc"}) {
    if (at_or_below(real, folder)) return fail(shown + " is part of the host's " + folder + ", which no session gets");
  }
  for (const char* folder : {"/var", "/home", "/root", "/tmp"}) {
    if (real == folder) return fail(shown + " is the host's " + folder + ", and no root file system");
  }
  return {};
}

}  // namespace

Result<void> add_image(const Policy& policy, const PolicyRequest& request, const Identity& identity, Sources& sources,
                       const std::vector<secrets::Present>& stores, const PlanOf& of, Planned& out) {
  if (policy.image.empty()) return {};
  const std::string shown = "image \"" + escape_for_terminal(policy.image) + "\"";
  image::Wanted wanted;
  wanted.path = policy.image.starts_with("/") || policy.image.starts_with("~/")
                    ? policy.image
                    : of.working_directory + "/" + policy.image;
  if (wanted.path.starts_with("~/")) wanted.path = identity.home + wanted.path.substr(1);
  wanted.cache = of.paths.cache;
  wanted.bounds.bytes = policy.limits.image_size.value_or(wanted.bounds.bytes);
  wanted.bounds.files = policy.limits.image_files.value_or(wanted.bounds.files);
  wanted.unpack = of.reviews != nullptr;
  BH_TRY(image::Image image, image::open(wanted));
  if (image.digest.empty()) BH_CHECK(judge_folder(image.path, identity, shown));
  Mount mount;  // as far as rules about what is shown go
  mount.path = policy.image;
  if (const auto origin = policy.origins.find("image"); origin != policy.origins.end()) mount.origin = origin->second;
  if (policy.managed) BH_CHECK(judge_mount(*policy.managed, mount, image.path));
  BH_CHECK(judge_stores(stores, mount, image.path, request.flags.allow_secrets, request.place));
  out.image = RootImage{image.path, image.digest, std::move(image.environment), std::move(image.use)};
  if (image.folder.empty()) return {};  // only looked at, and never unpacked
  BH_TRY(UniqueFd root, sources.open(image.folder));
  BH_TRY(const std::string real, sys::path_of(root.get()));
  if (image.digest.empty()) BH_CHECK(judge_folder(real, identity, shown));
  BH_TRY(root, sources.mountable(std::move(root), policy.image));
  out.plan.image.emplace();
  out.plan.image->source = std::move(root);
  out.plan.image->target = "/";
  out.plan.image->described = policy.image;
  out.plan.image->host = image.folder;
  return {};
}

Result<void> judge_places(const tier::Plan& plan) {
  if (!plan.image) return {};
  for (const tier::PlannedMount& mount : plan.mounts) {
    const bool in_memory = std::ranges::any_of(
        plan.tmpfs, [&](const std::string& folder) { return mount.target.starts_with(folder + "/"); });
    if (in_memory) continue;
    for (std::size_t at = mount.target.find('/', 1); at != std::string::npos; at = mount.target.find('/', at + 1)) {
      const std::string above = mount.target.substr(0, at);
      const auto there = sys::open_at2(plan.image->source.get(), above, O_PATH | O_CLOEXEC,
                                       RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS);
      if (there || there.error().code != ELOOP) continue;
      return fail("mount \"" + escape_for_terminal(mount.described) + "\": in the image " + escape_for_terminal(above) +
                  " is a symbolic link, which can't be followed to a place for a mount; give it another `target`");
    }
  }
  return {};
}

Result<void> judge_beside_cache(const Mount& mount, const std::string& real, const Paths& paths) {
  if (mount.mode == MountMode::ro || mount.copy || paths.cache.empty()) return {};
  for (const char* name : {"images", "templates"}) {
    const auto cache = sys::real_path(paths.cache + "/" + name);
    if (!cache || (!at_or_below(real, *cache) && !at_or_below(*cache, real))) continue;
    return fail("mount \"" + escape_for_terminal(mount.path) + "\" could be written to, and " +
                (at_or_below(real, *cache) ? "is" : "holds") + " the cache of " + name + " (" +
                escape_for_terminal(*cache) + "), which other sessions run from; mount it ro, or the folder you need");
  }
  return {};
}

}  // namespace bulkhead::session

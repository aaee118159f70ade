#include "tier/gvisor/saved.h"

#include <sys/stat.h>
#include <sys/utsname.h>

#include <nlohmann/json.hpp>

#include "base/sys.h"
#include "policy/digest.h"
#include "tier/gvisor/bundle.h"
#include "tier/stage/facts.h"
#include "tier/stage/stage.h"

namespace bulkhead::tier::gvisor {
namespace {

using nlohmann::json;

Result<std::string> kernel() {
  utsname name{};
  if (::uname(&name) != 0) return fail_errno("uname", "", errno);
  return std::string(static_cast<const char*>(name.release)) + " " + static_cast<const char*>(name.machine);
}

// Without what each session has its own: where a mount comes from, whether it can be written to, and by which uid (as
// root that is another each time; inside it is gVisor's uid 0 whichever it is). The shim makes the plan's folders where
// they are not there yet, but leaves a link that is.
Result<std::string> sandbox(const Plan& plan) {
  json shape = configuration(plan, {});
  for (json& mount : shape["mounts"]) {
    if (mount["type"] == "bind") mount.erase("options");
  }
  json& kinds = shape["kinds"] = json::array();
  for (const PlannedMount& mount : plan.mounts) {
    BH_TRY(const struct stat found, sys::stat_fd(mount.source.get(), mount.described));
    kinds.push_back(S_ISDIR(found.st_mode));
  }
  json& links = shape["links"] = json::array();
  for (const PlannedLink& link : links_inside(plan)) links.push_back({link.target, link.to});
  shape["image"] = plan.image ? plan.image->host : "";
  return sha256_hex(shape.dump(-1, ' ', false, json::error_handler_t::replace));
}

std::string process(const Plan& plan, const std::vector<std::string>& words) {
  return configuration(plan, words)["process"].dump(-1, ' ', false, json::error_handler_t::strict);
}

}  // namespace

Result<std::map<std::string, std::string>> saved_shape(const Plan& plan, int runsc, int shim) {
  std::map<std::string, std::string> out;
  out["bulkhead"] = BULKHEAD_VERSION;
  BH_TRY(out["runsc"], digest_of(runsc));
  BH_TRY(out["shim"], digest_of(shim));
  BH_TRY(out["kernel"], kernel());
  BH_TRY(out["processor"], processor_digest());
  BH_TRY(out["sandbox"], sandbox(plan));
  return out;
}

Result<void> furnish_saved(Stage& stage, const Plan& plan, const std::vector<std::string>& shim_words) {
  BH_CHECK(stage.bind(plan.saved->folder, saved_folder));
  BH_CHECK(stage.restrict(saved_folder, plan.saved->make));
  BH_CHECK(stage.file(shim_file, process(plan, shim_words)));
  return stage.file(alone_file, process(plan, {shim_words.front(), "alone"}));
}

}  // namespace bulkhead::tier::gvisor

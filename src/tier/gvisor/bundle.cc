#include "tier/gvisor/bundle.h"

#include <stdio.h>

namespace bulkhead::tier::gvisor {
namespace {

using nlohmann::json;

constexpr const char* mounts_prefix = "/mounts/";  // of the policy's, as inside_mounts() says

json mounted(const std::string& type, const std::string& source, const std::string& target,
             const std::vector<std::string>& options) {
  return {{"destination", target}, {"type", type}, {"source", source}, {"options", options}};
}

json mounted(const InsideMount& mount) {
  if (!mount.source.empty()) {
    return mounted("bind", mount.source, mount.target, {"rbind", mount.writable ? "rw" : "ro", "nosuid", "nodev"});
  }
  char mode[20];
  (void)::snprintf(mode, sizeof mode, "mode=%o", mount.mode);
  return mounted("tmpfs", "tmpfs", mount.target, {"nosuid", "nodev", mode, "size=" + std::to_string(mount.size)});
}

json mounts(const Plan& plan) {
  json out = json::array();
  out.push_back(mounted("proc", "proc", "/proc", {}));
  out.push_back(mounted("tmpfs", "tmpfs", "/dev", {"mode=755"}));
  for (InsideMount& mount : inside_mounts(plan)) {
    // In a template it is for the sessions that come from it to say: the host's kernel holds each to its own.
    if (plan.saved && mount.source.starts_with(mounts_prefix)) mount.writable = true;
    out.push_back(mounted(mount));
  }
  return out;
}

}  // namespace

json configuration(const Plan& plan, const std::vector<std::string>& arguments) {
  const json none = json::array();
  json namespaces = json::array({{{"type", "network"}, {"path", "/proc/self/ns/net"}}});
  for (const char* type : {"pid", "ipc", "uts", "mount"}) namespaces.push_back(json::object({{"type", type}}));
  json out = {
      {"ociVersion", "1.0.2"},
      {"process",
       {{"terminal", false},
        {"user", {{"uid", 0}, {"gid", 0}}},
        {"args", arguments},
        {"env", json::array()},
        {"cwd", "/"},
        {"capabilities",
         {{"bounding", none}, {"effective", none}, {"permitted", none}, {"inheritable", none}, {"ambient", none}}},
        {"noNewPrivileges", true}}},
      {"root", {{"path", root_folder}, {"readonly", true}}},
      {"hostname", "bulkhead"},
      {"mounts", mounts(plan)},
      {"linux", {{"namespaces", namespaces}}},
  };
  // What free(1) says inside; the supervisor holds the session to it.
  if (plan.limits.memory) out["linux"]["resources"]["memory"]["limit"] = *plan.limits.memory;
  return out;
}

}  // namespace bulkhead::tier::gvisor

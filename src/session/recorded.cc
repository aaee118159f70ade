#include "session/recorded.h"

#include <nlohmann/json.hpp>

#include "base/text.h"

namespace bulkhead::session {

nlohmann::json policy_event(const Policy& policy, const Planned& planned) {
  nlohmann::json grants = nlohmann::json::array();
  for (const Grant& grant : policy.grants) {
    nlohmann::json rules = nlohmann::json::array();
    for (const Rule& rule : grant.allow) rules.push_back(join(rule.methods, ",") + " " + rule.path);
    grants.push_back({{"id", grant.id},
                      {"host", grant.host},
                      {"port", grant.port},
                      {"protocol", name_of(grant.protocol)},
                      {"credential", grant.credential},
                      {"allow", rules},
                      {"from", grant.origin.layer}});
  }
  nlohmann::json mounts = nlohmann::json::array();
  for (const auto& mount : planned.plan.mounts) {
    mounts.push_back({{"path", mount.described}, {"at", mount.target}, {"mode", name_of(mount.mode)}});
  }
  return {{"policy", {{"grants", grants}, {"mounts", mounts}}}, {"sources", policy.sources}};
}

nlohmann::json start_event(const Options& options, const std::string& workspace, uid_t uid,
                           const std::vector<std::string>& missing) {
  return {{"tier", name_of(options.policy.tier)},
          {"command", options.command},
          {"workspace", workspace},
          {"profile", options.policy.profile},
          {"uid", uid},
          {"missing", missing}};
}

std::string source_name(const Credential& credential) {
  switch (credential.source) {
    case Credential::Source::env:
      return "env:" + credential.source_value;
    case Credential::Source::file:
      return "file:" + credential.source_value;
    case Credential::Source::command:
      return "command:";
  }
  return "";
}

std::string death(const std::string& name, ExitStatus status, const std::string& printed) {
  return name + " died (" +
         (status.signal != 0 ? "signal " + std::to_string(status.signal) : "status " + std::to_string(status.code)) +
         (printed.empty() ? "" : ": " + escape_for_terminal(printed)) +
         "); without it there is no boundary, so the session was stopped";
}

}  // namespace bulkhead::session

#include "session/recorded.h"

#include <nlohmann/json.hpp>

#include "base/text.h"
#include "policy/json.h"
#include "policy/managed.h"

namespace bulkhead::session {

namespace {

// An event has 63 KiB. With a policy that nears that, what tells its versions apart is what can be done without.
constexpr std::size_t room_for_fingerprints = 48 * 1024;

void add_fingerprints(const std::vector<Grant>& of, nlohmann::json& grants) {
  if (grants.dump().size() > room_for_fingerprints) return;
  for (std::size_t i = 0; i < of.size(); ++i) {
    nlohmann::json fingerprints = nlohmann::json::array();
    for (const Rule& rule : of[i].allow) fingerprints.push_back(fingerprint(rule));
    grants[i]["fingerprints"] = std::move(fingerprints);
    grants[i]["fingerprint"] = fingerprint(of[i]);
  }
  // Short paths have fingerprints longer than themselves.
  if (grants.dump().size() <= room_for_fingerprints) return;
  for (nlohmann::json& grant : grants) {
    grant.erase("fingerprints");
    grant.erase("fingerprint");
  }
}

}  // namespace

nlohmann::json grants_event(const std::vector<Grant>& of) {
  nlohmann::json grants = nlohmann::json::array();
  for (const Grant& grant : of) {
    nlohmann::json rules = nlohmann::json::array();
    for (const Rule& rule : grant.allow) rules.push_back(join(rule.methods, ",") + " " + rule.path);
    grants.push_back({{"id", grant.id},
                      {"hosts", grant.hosts},
                      {"port", grant.port},
                      {"protocol", name_of(grant.protocol)},
                      {"credential", grant.credential},
                      {"allow", rules},
                      {"address", grant.address},
                      {"preset", grant.preset},
                      {"from", grant.origin.layer}});
  }
  add_fingerprints(of, grants);
  return grants;
}

nlohmann::json policy_event(const Policy& policy, const Planned& planned) {
  nlohmann::json mounts = nlohmann::json::array();
  for (const auto& mount : planned.plan.mounts) {
    nlohmann::json one{{"path", mount.described}, {"at", mount.target}, {"mode", name_of(mount.mode)}};
    if (mount.served) one["protect"] = true;
    if (mount.output) {
      one["output"] = {
          {"max_size", mount.output->max_size}, {"max_files", mount.output->max_files}, {"apply", mount.output->apply}};
    }
    if (!mount.allow_control.empty()) one["allow_control"] = mount.allow_control;
    mounts.push_back(std::move(one));
  }
  nlohmann::json out{{"policy", {{"grants", grants_event(policy.grants)}, {"mounts", mounts}, {"ask", policy.ask}}},
                     {"sources", policy.sources}};
  if (planned.image) out["policy"]["image"] = {{"path", planned.image->path}, {"digest", planned.image->digest}};
  if (const Upstream& upstream = policy.upstream; !upstream.proxy_host.empty()) {
    out["policy"]["upstream"] = {{"proxy", proxy_url(upstream)},
                                 {"credential", upstream.credential},
                                 {"no_proxy", upstream.no_proxy},
                                 {"resolve", upstream.proxy_resolves ? "proxy" : "gateway"}};
  }
  for (const Publish& one : policy.publish) out["policy"]["publish"].push_back(publish_text(one));
  return out;
}

nlohmann::json managed_event(const Managed& managed) {
  nlohmann::json out = nlohmann::json::array();
  for (const ManagedFile& file : managed.files) out.push_back({{"file", file.file}, {"sha256", file.sha256}});
  return out;
}

nlohmann::json start_event(const Options& options, const std::string& workspace, uid_t uid,
                           const std::vector<std::string>& missing) {
  nlohmann::json out{{"tier", name_of(options.policy.tier)},
                     {"command", options.command},
                     {"workspace", workspace},
                     {"profile", options.policy.profile},
                     {"uid", uid},
                     {"missing", missing}};
  if (options.announce) out["lives"] = true;
  if (options.saved) out["template"] = {{"name", options.saved->name}, {"made", options.saved->make}};
  if (!options.labels.empty()) out["labels"] = options.labels;
  if (options.policy.managed) out["managed"] = managed_event(*options.policy.managed);
  return out;
}

namespace {

nlohmann::json brief(const std::vector<Grant>& grants) {
  nlohmann::json out = nlohmann::json::array();
  for (const Grant& grant : grants) {
    out.push_back({{"id", grant.id}, {"hosts", grant.hosts}, {"port", grant.port}, {"credential", grant.credential}});
  }
  return out;
}

}  // namespace

nlohmann::json revoked_fields(const LiveGrants::Revoked& revoked) {
  return {{"grants", brief(revoked.now)}, {"before", brief(revoked.before)}, {"credentials", revoked.credentials}};
}

nlohmann::json reloaded_fields(const LiveGrants::Reloaded& reloaded) {
  return {{"result", reloaded.waiting ? "waiting" : "done"},
          {"narrowed", brief(reloaded.narrowed)},
          {"removed", brief(reloaded.removed)},
          {"widened", brief(reloaded.widened)},
          {"revoked", brief(reloaded.revoked)}};
}

std::string source_name(const Credential& credential) {
  const std::string kind = std::string(name_of(credential.source)) + ":";
  // A command line may hold a secret of its own.
  return credential.source == Credential::Source::command ? kind : kind + credential.source_value;
}

std::string death(const std::string& name, ExitStatus status, const std::string& printed) {
  return name + " died (" +
         (status.signal != 0 ? "signal " + std::to_string(status.signal) : "status " + std::to_string(status.code)) +
         (printed.empty() ? "" : ": " + escape_for_terminal(printed)) +
         "); without it there is no boundary, so the session was stopped";
}

}  // namespace bulkhead::session

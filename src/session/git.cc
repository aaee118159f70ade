#include "session/git.h"

#include <algorithm>
#include <set>
#include <vector>

namespace bulkhead::session {
namespace {

bool opens_git(const Grant& grant) {
  return grant.protocol == Protocol::https && std::any_of(grant.allow.begin(), grant.allow.end(), [](const Rule& rule) {
           return rule.path.ends_with("/info/refs");
         });
}

// Goes into a line of shell, between single quotes.
bool plain(const std::string& word) {
  return !word.empty() && std::all_of(word.begin(), word.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
  });
}

}  // namespace

std::map<std::string, std::string> git_environment(const Policy& policy) {
  std::vector<std::pair<std::string, std::string>> config;
  std::set<std::string> seen;
  for (const Grant& grant : policy.grants) {
    if (!opens_git(grant)) continue;
    for (const std::string& host : grant.hosts) {
      if (host.starts_with("*.") || !seen.insert(host).second) continue;
      const std::string url = "https://" + host + (grant.port == 443 ? "" : ":" + std::to_string(grant.port));
      for (const std::string& ssh : {"git@" + host + ":", "ssh://git@" + host + "/", "ssh://" + host + "/"}) {
        config.emplace_back("url." + url + "/.insteadOf", ssh);
      }
      const auto credential = policy.credentials.find(grant.credential);
      if (credential == policy.credentials.end() || credential->second.carrier != Credential::Carrier::basic ||
          !plain(credential->second.expose_env) || !plain(credential->second.basic_user)) {
        continue;
      }
      // An empty one first: no helper of the user's, or of the repository's, is asked.
      config.emplace_back("credential." + url + ".helper", "");
      config.emplace_back("credential." + url + ".helper",
                          "!f() { test \"$1\" = get || exit 0; echo 'username=" + credential->second.basic_user +
                              "'; echo \"password=$" + credential->second.expose_env + "\"; }; f");
    }
  }
  std::map<std::string, std::string> out;
  if (config.empty() || policy.env.set.contains("GIT_CONFIG_COUNT")) return out;
  out["GIT_CONFIG_COUNT"] = std::to_string(config.size());
  for (std::size_t i = 0; i < config.size(); ++i) {
    out["GIT_CONFIG_KEY_" + std::to_string(i)] = config[i].first;
    out["GIT_CONFIG_VALUE_" + std::to_string(i)] = config[i].second;
  }
  return out;
}

}  // namespace bulkhead::session

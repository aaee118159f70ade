#include "policy/layers.h"

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>

#include "base/text.h"
#include "policy/json.h"
#include "policy/names.h"
#include "policy/publish.h"

namespace bulkhead {
namespace {

constexpr const char* command_line = "command line";

// Grants go to front and egress in one datagram (base/ipc.h: 160 KiB), beside listeners and tokens.
constexpr std::size_t max_grant_bytes = 120 * 1024;

std::string where(const Origin& origin) {
  if (origin.file.empty()) return origin.layer;
  return escape_for_terminal(origin.file) + ":" + std::to_string(origin.line);
}

// Is `path` the folder `above` or below it? Both absolute and normal.
bool is_within(const std::string& path, const std::string& above) {
  return path == above || above == "/" || path.starts_with(above + "/");
}

std::string place_of(const Mount& mount, const Place& place) {
  return absolute_path(mount.target.empty() ? mount.path : mount.target, place);
}

Result<void> merge_mounts(const std::vector<Document>& layers, const Place& place, Policy& policy) {
  std::set<std::string> stronger_paths, stronger_places;
  bool has_workspace = false;
  for (const Document& layer : layers) {
    std::set<std::string> paths, places;
    for (const Mount& mount : layer.mounts) {
      const std::string path = absolute_path(mount.path, place);
      const std::string target = place_of(mount, place);
      if (!places.insert(target).second) {
        return fail(where(mount.origin) + ": two mounts at " + in_quotes(target) + "; keep one");
      }
      paths.insert(path);
      if (stronger_paths.contains(path) || stronger_places.contains(target)) continue;
      if (is_within(place.working_directory, path)) has_workspace = true;
      policy.mounts.push_back(mount);
    }
    stronger_paths.merge(paths);
    stronger_places.merge(places);
  }
  if (has_workspace) return {};
  const auto says = std::ranges::find_if(
      layers, [](const Document& layer) { return layer.workspace.has_value() || layer.no_workspace; });
  if (says != layers.end() && says->no_workspace) {
    policy.no_workspace = true;
    return {};
  }
  if (is_within(place.home, place.working_directory)) {
    return fail("the working directory is " + in_quotes(place.working_directory) +
                ", which holds your whole home folder: change into a project, or say what to "
                "mount, like --mount "
                "PATH:rw (and `--mount .:rw` if you mean all of it)");
  }
  Mount workspace;
  workspace.path = ".";
  workspace.mode = MountMode::rw;
  workspace.origin.layer = "default";
  if (says != layers.end()) {
    workspace.mode = *says->workspace;
    const auto origin = says->origins.find("workspace");
    workspace.origin = origin != says->origins.end() ? origin->second : Origin{says->layer, says->file, 0};
  }
  policy.mounts.push_back(std::move(workspace));
  return {};
}

void merge_environment(const std::vector<Document>& layers, Policy& policy) {
  std::set<std::string> named;
  const auto keep = [&](const Document& layer, const std::string& key) {
    const auto origin = layer.origins.find(key);
    policy.origins[key] = origin != layer.origins.end() ? origin->second : Origin{layer.layer, layer.file, 0};
  };
  for (const Document& layer : layers) {
    std::set<std::string> names;
    for (const auto& [name, value] : layer.env.set) {
      names.insert(name);
      if (named.contains(name)) continue;
      policy.env.set[name] = value;
      keep(layer, "env.set." + name);
    }
    for (const std::string& name : layer.env.pass) {
      names.insert(name);
      if (named.contains(name)) continue;
      policy.env.pass.push_back(name);
      keep(layer, "env.pass." + name);
    }
    named.merge(names);
  }
}

void merge_grants(const std::vector<Document>& layers, Policy& policy) {
  std::set<std::string> stronger_presets;
  for (const Document& layer : layers) {
    std::set<std::string> presets;
    for (const Grant& grant : layer.grants) {
      if (!grant.preset.empty()) {
        if (stronger_presets.contains(grant.preset)) continue;
        presets.insert(grant.preset);
      }
      policy.grants.push_back(grant);
      policy.grants.back().id = std::to_string(policy.grants.size());
    }
    stronger_presets.merge(presets);
  }
}

template <class T>
void take(std::optional<T>& value, const std::optional<T>& weaker, const std::string& key, const Document& layer,
          Policy& policy) {
  if (value || !weaker) return;
  value = weaker;
  const auto origin = layer.origins.find(key);
  policy.origins[key] = origin != layer.origins.end() ? origin->second : Origin{layer.layer, layer.file, 0};
}

void merge_scalars(const std::vector<Document>& layers, Policy& policy) {
  std::optional<Tier> tier;
  std::optional<std::string> image;
  std::optional<bool> old_runsc, toolchains, ask;
  std::optional<std::vector<std::string>> upstream_ca, dns;
  std::optional<Upstream> upstream;
  for (const Document& layer : layers) {
    take(tier, layer.tier, "tier", layer, policy);
    take(old_runsc, layer.old_runsc, "runsc", layer, policy);
    take(image, layer.image, "image", layer, policy);
    take(toolchains, layer.toolchains, "toolchains", layer, policy);
    take(ask, layer.ask, "ask", layer, policy);
    take(upstream_ca, layer.upstream_ca, "upstream_ca", layer, policy);
    take(dns, layer.dns_servers, "dns", layer, policy);
    take(upstream, layer.upstream, "upstream", layer, policy);
    take(policy.limits.memory, layer.limits.memory, "limits.memory", layer, policy);
    take(policy.limits.processes, layer.limits.processes, "limits.processes", layer, policy);
    take(policy.limits.open_files, layer.limits.open_files, "limits.open_files", layer, policy);
    take(policy.limits.tmp, layer.limits.tmp, "limits.tmp", layer, policy);
    take(policy.limits.duration, layer.limits.duration, "limits.duration", layer, policy);
    take(policy.limits.image_size, layer.limits.image_size, "limits.image_size", layer, policy);
    take(policy.limits.image_files, layer.limits.image_files, "limits.image_files", layer, policy);
    take(policy.limits.cpu, layer.limits.cpu, "limits.cpu", layer, policy);
    take(policy.limits.cpus, layer.limits.cpus, "limits.cpus", layer, policy);
    take(policy.limits.output, layer.limits.output, "limits.output", layer, policy);
    take(policy.limits.file_size, layer.limits.file_size, "limits.file_size", layer, policy);
    take(policy.processes, layer.processes, "evidence.processes", layer, policy);
    take(policy.files, layer.files, "evidence.files", layer, policy);
    take(policy.limits.idle, layer.limits.idle, "limits.idle", layer, policy);
    take(policy.limits.tenant_sessions, layer.limits.tenant_sessions, "limits.tenant_sessions", layer, policy);
    take(policy.limits.tenant_memory, layer.limits.tenant_memory, "limits.tenant_memory", layer, policy);
  }
  policy.tier = tier.value_or(policy.tier);
  if (image && *image != "host") policy.image = *image;
  policy.old_runsc = old_runsc.value_or(policy.old_runsc);
  policy.toolchains = toolchains.value_or(policy.toolchains);
  policy.ask = ask.value_or(policy.ask);
  policy.upstream_ca = upstream_ca.value_or(std::vector<std::string>{});
  policy.dns_servers = dns.value_or(std::vector<std::string>{});
  policy.upstream = upstream.value_or(Upstream());
}

Result<void> merge_publish(const std::vector<Document>& layers, Policy& policy) {
  std::set<std::uint16_t> stronger;
  for (const Document& layer : layers) {
    std::set<std::uint16_t> ports;
    for (const Publish& one : layer.publish) {
      if (!ports.insert(one.port).second) {
        return fail(where(one.origin) + ": port " + std::to_string(one.port) + " is published twice; keep one");
      }
      if (!stronger.contains(one.port)) policy.publish.push_back(one);
    }
    stronger.merge(ports);
  }
  if (policy.publish.size() > max_published) {
    return fail("more than " + std::to_string(max_published) + " published ports; publish fewer");
  }
  // Round and round.
  for (const Publish& one : policy.publish) {
    for (const Grant& grant : policy.grants) {
      const bool named = std::ranges::find(grant.hosts, one.address) != grant.hosts.end();
      if (grant.port != one.port || (!named && grant.address != one.address)) continue;
      return fail(where(grant.origin) + ": " + one.address + " port " + std::to_string(one.port) +
                  " is published, and leads back inside; the workload reaches its own server at 127.0.0.1 port " +
                  std::to_string(one.inside));
    }
  }
  return {};
}

// The proxy is dialled by egress alone: its password must not be worth anything inside, and nobody inside may speak to
// it.
Result<void> judge_upstream(const Policy& policy) {
  const Upstream& upstream = policy.upstream;
  if (upstream.proxy_host.empty()) return {};
  const auto origin = policy.origins.find("upstream");
  const std::string at = origin == policy.origins.end() ? "[upstream]" : where(origin->second);
  for (const Grant& grant : policy.grants) {
    const bool named = std::ranges::find(grant.hosts, upstream.proxy_host) != grant.hosts.end();
    if (grant.port == upstream.proxy_port && (named || grant.address == upstream.proxy_host)) {
      return fail(where(grant.origin) + ": " + in_quotes(upstream.proxy_host) + " port " + std::to_string(grant.port) +
                  " is the proxy of [upstream], which no grant may lead to");
    }
    if (!upstream.credential.empty() && grant.credential == upstream.credential) {
      return fail(where(grant.origin) + ": credential " + in_quotes(grant.credential) +
                  " is the proxy's ([upstream]); give the grant one of its own");
    }
  }
  if (upstream.credential.empty()) return {};
  const auto found = policy.credentials.find(upstream.credential);
  if (found == policy.credentials.end()) {
    return fail(at + ": credential " + in_quotes(upstream.credential) + " is nowhere defined; add [credential." +
                upstream.credential + "]");
  }
  const Credential& credential = found->second;
  if (credential.carrier != Credential::Carrier::basic) {
    return fail(where(credential.origin) +
                ": a proxy is told a name and a password: write carry = { basic = \"USER\" }");
  }
  if (!credential.expose_env.empty()) {
    return fail(where(credential.origin) + ": the proxy's credential is of no use inside; leave out `expose`");
  }
  if (credential.optional) {
    return fail(where(credential.origin) + ": without the proxy's credential nothing is reached; leave out `optional`");
  }
  return {};
}

// Values that servers hand out need somewhere to come from, and somewhere to go.
Result<void> judge_issued(const Policy& policy) {
  std::set<std::string> issuing;
  for (const Grant& grant : policy.grants) {
    if (grant.response.issue.empty()) continue;
    const auto credential = policy.credentials.find(grant.credential);
    if (credential == policy.credentials.end() || credential->second.source != Credential::Source::answer) {
      return fail(
          where(grant.origin) +
          (grant.preset.empty() ? ": `issue`" : ": preset " + in_quotes(grant.preset) + ", which has `issue`,") +
          " needs a credential for what is handed out: add [credential.NAME] with source = \"answer\" and "
          "carry = { bearer = true }, and here credential = \"NAME\"");
    }
    issuing.insert(grant.credential);
  }
  for (const Grant& grant : policy.grants) {
    const auto credential = policy.credentials.find(grant.credential);
    if (credential == policy.credentials.end() || credential->second.source != Credential::Source::answer) continue;
    if (issuing.contains(grant.credential)) continue;
    return fail(where(grant.origin) + ": no grant hands out values of credential " + in_quotes(grant.credential) +
                " (source = \"answer\"): add issue = [\"PLACE\"] to the [grant.response] of the one whose server does");
  }
  return {};
}

// Only a login is refreshed, and its grants have no other word for what comes back.
Result<void> judge_logins(const Policy& policy) {
  for (const Grant& grant : policy.grants) {
    const auto credential = policy.credentials.find(grant.credential);
    const bool login = credential != policy.credentials.end() && credential->second.source == Credential::Source::login;
    for (const Rule& rule : grant.allow) {
      if (!rule.refresh || login) continue;
      return fail(where(grant.origin) +
                  ": `refresh` needs the login it refreshes: credential = \"NAME\", whose source is login:PATH");
    }
    const bool wildcard = std::ranges::any_of(grant.hosts, [](const auto& host) { return host.starts_with("*."); });
    if (login && (wildcard || grant.hosts.size() != 1)) {
      return fail(where(grant.origin) + ": a login's tokens go to one host each: write a grant for every host");
    }
  }
  return {};
}

// What only the whole shows.
Result<void> judge_whole(const Policy& policy) {
  std::size_t bytes = 0;
  for (const Grant& grant : policy.grants) {
    if (!grant.credential.empty() && !policy.credentials.contains(grant.credential)) {
      std::vector<std::string> names;
      for (const auto& [name, credential] : policy.credentials) names.push_back(name);
      const std::string near = suggestion(grant.credential, names);
      return fail(where(grant.origin) + ": credential " + in_quotes(grant.credential) + " is nowhere defined" +
                  (near.empty() ? "; add [credential." + grant.credential + "]" : "; did you mean \"" + near + "\"?"));
    }
    if (is_websocket(grant.protocol) && !grant.credential.empty() &&
        policy.credentials.at(grant.credential).carrier == Credential::Carrier::sigv4) {
      return fail(where(grant.origin) + ": credential " + in_quotes(grant.credential) +
                  " is carried in signatures, and the request that opens a WebSocket is not signed anew; one that is "
                  "carried in a header can be exchanged there");
    }
    bytes += to_json(grant).dump().size();
  }
  BH_CHECK(judge_issued(policy));
  BH_CHECK(judge_logins(policy));
  if (bytes > max_grant_bytes) {
    return fail("the grants are too many: " + std::to_string(bytes / 1024) + " KiB of " +
                std::to_string(max_grant_bytes / 1024) +
                " KiB; use fewer rules, or templates instead of lists of paths");
  }
  std::map<std::string, std::string> exposed;  // variable -> credential
  for (const auto& [name, credential] : policy.credentials) {
    for (const std::string& variable : {credential.expose_env, credential.expose_secret_env}) {
      if (variable.empty()) continue;
      const auto [other, fresh] = exposed.emplace(variable, name);
      if (fresh) continue;
      return fail(where(credential.origin) + ": credentials \"" + other->second + "\" and \"" + name +
                  "\" are both exposed in " + variable +
                  "; give each its own variable, or both the same name so that the stronger "
                  "layer's counts");
    }
  }
  for (const auto& [variable, value] : policy.env.set) {
    if (const auto it = exposed.find(variable); it != exposed.end()) {
      return fail(where(policy.origins.at("env.set." + variable)) + ": " + variable +
                  " is where the token of credential \"" + it->second + "\" goes; don't set it");
    }
  }
  for (const std::string& variable : policy.env.pass) {
    const Origin& origin = policy.origins.at("env.pass." + variable);
    if (const auto it = exposed.find(variable); it != exposed.end()) {
      return fail(where(origin) + ": " + variable + " is where the token of credential \"" + it->second +
                  "\" goes; don't pass it");
    }
    for (const auto& [name, credential] : policy.credentials) {
      if (credential.source == Credential::Source::env && credential.source_value == variable) {
        return fail(where(origin) + ": " + variable + " holds credential \"" + name +
                    "\", and a credential is never passed in; the workload gets a token in its place");
      }
    }
  }
  return {};
}

}  // namespace

std::string absolute_path(std::string_view path, const Place& place) {
  std::filesystem::path full;
  if (path == "~" || path.starts_with("~/")) {
    full = place.home + "/" + std::string(path.substr(path.size() > 1 ? 2 : 1));
  } else if (path.starts_with("/")) {
    full = std::string(path);
  } else {
    full = place.working_directory + "/" + std::string(path);
  }
  std::string normal = full.lexically_normal().string();
  while (normal.size() > 1 && normal.back() == '/') normal.pop_back();
  if (normal.starts_with("//")) normal.erase(0, 1);
  return normal;
}

Result<Document> command_line_document(const CommandLine& flags) {
  Document document;
  document.layer = command_line;
  document.tier = flags.tier;
  const Origin origin{command_line, "", 0};
  if (flags.tier) document.origins["tier"] = origin;
  if (!flags.image.empty()) {
    if (auto ok = check_path(flags.image); !ok) return fail("--image: " + ok.error().message);
    if (!valid_utf8(flags.image)) return fail("--image: not valid UTF-8");
    document.image = flags.image;
    document.origins["image"] = origin;
  }
  if (flags.ask) {
    document.ask = true;
    document.origins["ask"] = origin;
  }
  for (const std::string& flag : flags.mounts) {
    Mount mount;
    mount.path = flag;
    mount.mode = MountMode::rw;
    mount.origin = origin;
    // A path may hold a colon; what follows the last one is a mode or belongs to the path.
    const std::size_t colon = flag.rfind(':');
    if (colon != std::string::npos && flag.find('/', colon) == std::string::npos) {
      const std::string word = flag.substr(colon + 1);
      bool known = false;
      std::vector<std::string> names;
      for (const MountMode mode : {MountMode::ro, MountMode::rw, MountMode::rw_no_delete, MountMode::review}) {
        names.emplace_back(name_of(mode));
        if (word != name_of(mode)) continue;
        mount.mode = mode;
        mount.path = flag.substr(0, colon);
        known = true;
      }
      names.emplace_back("protect");
      if (word == names.back()) {
        mount.protect = true;
        mount.path = flag.substr(0, colon);
        known = true;
      }
      if (!known) {
        return fail("--mount " + in_quotes(flag) + ": no mode " + in_quotes(word) + "; one of " + join(names, ", ") +
                    " (a path with a colon in its last part goes into a policy file)");
      }
    }
    if (!valid_utf8(mount.path)) return fail("--mount " + in_quotes(flag) + ": not valid UTF-8");
    if (auto ok = check_path(mount.path); !ok) return fail("--mount: " + ok.error().message);
    document.mounts.push_back(std::move(mount));
  }
  for (const std::string& flag : flags.publish) {
    auto port = publish_from(flag);
    if (!port) return fail("--publish " + port.error().message);
    port->origin = origin;
    document.publish.push_back(std::move(*port));
  }
  for (const std::string& flag : flags.environment) {
    const std::size_t equals = flag.find('=');
    const std::string name = flag.substr(0, equals);
    if (auto ok = check_variable(name); !ok) return fail("--env: " + ok.error().message);
    const bool has_set = document.env.set.contains(name);
    const bool has_pass = document.origins.contains("env.pass." + name);
    if (has_set || has_pass) return fail("--env " + name + ": named twice");
    if (equals == std::string::npos) {
      document.env.pass.push_back(name);
      document.origins["env.pass." + name] = origin;
    } else {
      const std::string value = flag.substr(equals + 1);
      if (!valid_utf8(value)) return fail("--env " + name + ": the value is not valid UTF-8");
      document.env.set[name] = value;
      document.origins["env.set." + name] = origin;
    }
  }
  return document;
}

Result<Policy> merge_layers(const std::vector<Document>& strongest_first, const Place& given) {
  Place place;
  place.working_directory = absolute_path(given.working_directory, given);
  place.home = absolute_path(given.home, given);
  Policy policy;
  for (const Document& layer : strongest_first) {
    if (!layer.file.empty()) policy.sources.push_back(layer.file);
    for (const auto& [name, credential] : layer.credentials) policy.credentials.emplace(name, credential);
  }
  merge_scalars(strongest_first, policy);
  BH_CHECK(merge_mounts(strongest_first, place, policy));
  // A table of their own in a file, and behind the other mounts there.
  std::vector<Mount> outputs;
  for (Mount& mount : policy.mounts) {
    if (mount.output) outputs.push_back(mount);
  }
  std::erase_if(policy.mounts, [](const Mount& mount) { return mount.output.has_value(); });
  policy.mounts.insert(policy.mounts.end(), outputs.begin(), outputs.end());
  merge_environment(strongest_first, policy);
  merge_grants(strongest_first, policy);
  BH_CHECK(merge_publish(strongest_first, policy));
  BH_CHECK(judge_whole(policy));
  BH_CHECK(judge_upstream(policy));
  return policy;
}

}  // namespace bulkhead

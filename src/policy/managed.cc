#include "policy/managed.h"

#include <algorithm>
#include <filesystem>

#include "base/sys.h"
#include "base/text.h"
#include "policy/layers.h"
#include "policy/names.h"
#include "policy/within.h"

namespace bulkhead {
namespace {

std::string where(const Origin& origin) {
  if (origin.file.empty()) return origin.layer;
  return escape_for_terminal(origin.file) + ":" + std::to_string(origin.line);
}

// WHERE: WHAT: your organisation's policy (FILE:LINE) RULE; FIX
tl::unexpected<Error> refuse(const ManagedFile& file, int line, const std::string& what, const std::string& rule,
                             const std::string& fix) {
  const std::string whose =
      file.organisation.empty() ? "your organisation" : escape_for_terminal(file.organisation, 200);
  return fail(what + ": the policy of " + whose + " (" + escape_for_terminal(file.file) + ":" + std::to_string(line) +
              ") " + rule + "; " + fix +
              (file.contact.empty() ? "" : " (questions: " + escape_for_terminal(file.contact, 200) + ")"));
}

bool at_or_below(const std::string& path, const std::string& folder) {
  return path == folder || folder == "/" || path.starts_with(folder + "/");
}

// `~` as each of these homes. `links`: also where the path leads, which only what takes something away may follow: a
// user could have put the link there.
std::vector<std::string> meant(const std::string& path, const std::vector<std::string>& homes, bool links) {
  std::vector<std::string> out;
  const auto add = [&](const std::string& one) {
    std::string normal = std::filesystem::path(one).lexically_normal().string();
    while (normal.size() > 1 && normal.ends_with('/')) normal.pop_back();
    out.push_back(normal);
    if (!links) return;
    if (auto real = sys::real_path(normal)) out.push_back(*real);
  };
  if (!path.starts_with('~')) {
    add(path);
  } else {
    for (const std::string& home : homes) add(home + path.substr(1));
  }
  return out;
}

template <class Test>
bool any_path(const std::vector<std::string>& paths, const std::vector<std::string>& homes, bool links, Test test) {
  return std::ranges::any_of(
      paths, [&](const std::string& path) { return std::ranges::any_of(meant(path, homes, links), test); });
}

std::string quoted(const std::vector<std::string>& words) {
  if (words.empty()) return "nothing";
  std::vector<std::string> out;
  for (const std::string& word : words) out.push_back(in_quotes(word));
  return join(out, ", ");
}

// Neither in a denied place nor with one in it; and in one that is allowed.
Result<void> judge_place(const Managed& managed, const std::string& what, const std::string& real,
                         const std::string& fix) {
  for (const ManagedFile& file : managed.files) {
    if (const auto& deny = file.mount_deny) {
      for (const std::string& path : deny->value) {
        if (any_path({path}, managed.all_homes, true,
                     [&](const std::string& one) { return at_or_below(real, one) || at_or_below(one, real); })) {
          return refuse(file, deny->line, what, "keeps " + in_quotes(path) + " out of every session", fix);
        }
      }
    }
    const auto& allow = file.mount_allow;
    if (allow && !any_path(allow->value, managed.own_homes, false,
                           [&](const std::string& one) { return at_or_below(real, one); })) {
      return refuse(file, allow->line, what, "lets sessions have of files only " + quoted(allow->value), fix);
    }
  }
  return {};
}

// Is `host` of a grant, maybe a wildcard, `denied` or below it, or can it be?
bool reaches(const std::string& host, const std::string& denied) {
  const bool wildcard = host.starts_with("*.");
  const std::string base = wildcard ? host.substr(2) : host;
  if (base == denied || base.ends_with("." + denied)) return true;
  // One more label than the base, and no address has any.
  if (!wildcard || !denied.ends_with("." + base)) return false;
  return denied.substr(0, denied.size() - base.size() - 1).find('.') == std::string::npos;
}

Result<void> judge_hosts(const ManagedFile& file, const Grant& grant) {
  std::vector<std::string> hosts = grant.hosts;
  if (!grant.address.empty()) hosts.push_back(grant.address);
  hosts.insert(hosts.end(), grant.response.follow.begin(), grant.response.follow.end());
  for (const std::string& host : hosts) {
    const std::string what = where(grant.origin) + ": a grant for " + in_quotes(host);
    if (const auto& deny = file.deny_hosts) {
      for (const std::string& one : deny->value) {
        if (reaches(host, one)) {
          return refuse(file, deny->line, what, "denies " + in_quotes(one) + " and what is below it",
                        "leave the grant out");
        }
      }
    }
    if (const auto& allow = file.allow_hosts; allow && !within(host, allow->value)) {
      return refuse(file, allow->line, what, "allows " + quoted(allow->value), "leave the grant out");
    }
  }
  return {};
}

Result<void> judge_grant(const ManagedFile& file, const Grant& grant) {
  BH_CHECK(judge_hosts(file, grant));
  const std::string what = where(grant.origin) + ": a grant for " + in_quotes(join(grant.hosts, ", "));
  if (!file.tcp.value && grant.protocol == Protocol::tcp) {
    return refuse(file, file.tcp.line, what, "allows no tcp grants, because nobody sees what is in them",
                  "grant https, or leave it out");
  }
  if (!file.presets) return {};
  std::vector<std::string> names;
  for (const ManagedFile::Preset& one : file.presets->value) names.push_back(one.name);
  const auto pinned = std::ranges::find(file.presets->value, grant.preset, &ManagedFile::Preset::name);
  if (grant.preset.empty() || pinned == file.presets->value.end()) {
    return refuse(file, file.presets->line,
                  grant.preset.empty() ? what : where(grant.origin) + ": preset " + in_quotes(grant.preset),
                  "lets grants be made by these presets only: " + quoted(names),
                  "name one of them with preset = \"NAME\"");
  }
  if (pinned->sha256 != grant.preset_sha256) {
    return refuse(file, pinned->line, where(grant.origin) + ": preset " + in_quotes(grant.preset),
                  "pins another content of it (SHA-256 " + pinned->sha256.substr(0, 12) + "…, and this one has " +
                      grant.preset_sha256.substr(0, 12) + "…)",
                  "an administrator looks at the preset and pins it anew");
  }
  return {};
}

template <class T>
bool cap(std::optional<T>& value, const std::optional<T>& most) {
  if (!most || (value && *value <= *most)) return false;
  value = most;
  return true;
}

void cap(Budget& budget, const Budget& most) {
  cap(budget.requests, most.requests);
  cap(budget.requests_per_minute, most.requests_per_minute);
  cap(budget.bytes_up, most.bytes_up);
  cap(budget.bytes_down, most.bytes_down);
  cap(budget.bytes_up_per_minute, most.bytes_up_per_minute);
  cap(budget.bytes_down_per_minute, most.bytes_down_per_minute);
}

void cap_limits(const ManagedFile& file, Policy& policy) {
  const auto one = [&](auto& value, const auto& most, const std::string& key) {
    if (cap(value, most)) policy.origins[key] = file.layer.origins.at(key);
  };
  const Limits& most = file.layer.limits;
  one(policy.limits.memory, most.memory, "limits.memory");
  one(policy.limits.processes, most.processes, "limits.processes");
  one(policy.limits.open_files, most.open_files, "limits.open_files");
  one(policy.limits.tmp, most.tmp, "limits.tmp");
  one(policy.limits.duration, most.duration, "limits.duration");
  one(policy.limits.image_size, most.image_size, "limits.image_size");
  one(policy.limits.image_files, most.image_files, "limits.image_files");
  one(policy.limits.cpu, most.cpu, "limits.cpu");
  one(policy.limits.cpus, most.cpus, "limits.cpus");
  one(policy.limits.output, most.output, "limits.output");
  one(policy.limits.file_size, most.file_size, "limits.file_size");
  one(policy.limits.idle, most.idle, "limits.idle");
  one(policy.limits.tenant_sessions, most.tenant_sessions, "limits.tenant_sessions");
  one(policy.limits.tenant_memory, most.tenant_memory, "limits.tenant_memory");
}

std::string said_at(const Policy& policy, const std::string& key) {
  const auto origin = policy.origins.find(key);
  return origin == policy.origins.end() ? "default" : where(origin->second);
}

bool matches(const std::string& name, const std::string& pattern) {
  return pattern.ends_with('*') ? name.starts_with(pattern.substr(0, pattern.size() - 1)) : name == pattern;
}

Result<void> judge_environment(const ManagedFile& file, const Policy& policy) {
  if (!file.env_forbid) return {};
  std::vector<std::pair<std::string, std::string>> named;  // variable, key
  for (const auto& [name, value] : policy.env.set) named.emplace_back(name, "env.set." + name);
  for (const std::string& name : policy.env.pass) named.emplace_back(name, "env.pass." + name);
  for (const auto& [name, key] : named) {
    const auto origin = policy.origins.find(key);
    if (origin != policy.origins.end() && origin->second.layer == "managed") continue;
    for (const std::string& pattern : file.env_forbid->value) {
      if (!matches(name, pattern)) continue;
      return refuse(file, file.env_forbid->line, said_at(policy, key) + ": the variable " + name,
                    "forbids " + in_quotes(pattern), "leave it out");
    }
  }
  return {};
}

Result<void> judge_settings(const ManagedFile& file, const Policy& policy) {
  if (file.tiers && std::ranges::find(file.tiers->value, policy.tier) == file.tiers->value.end()) {
    std::vector<std::string> names;
    for (const Tier tier : file.tiers->value) names.emplace_back(name_of(tier));
    return refuse(file, file.tiers->line, said_at(policy, "tier") + ": the tier " + in_quotes(name_of(policy.tier)),
                  "allows " + quoted(names), "--tier " + names.front());
  }
  // Whoever lists tiers means what gvisor promises everywhere else.
  if (file.tiers && policy.old_runsc) {
    return refuse(file, file.tiers->line, said_at(policy, "runsc") + ": `runsc = \"debian-12\"`",
                  "names tiers, and an old gVisor is none of them", "leave it out");
  }
  if (!file.ask.value && policy.ask) {
    return refuse(file, file.ask.line, said_at(policy, "ask") + ": `ask`", "lets nobody open what no grant allows",
                  "leave --ask and `ask` out");
  }
  if (!file.toolchains.value && policy.toolchains) {
    return refuse(file, file.toolchains.line, said_at(policy, "toolchains") + ": `toolchains`",
                  "shows no toolchains of home folders", "write toolchains = false");
  }
  for (const Publish& one : policy.publish) {
    using Publishing = ManagedFile::Publish;
    if (file.publish.value == Publishing::anywhere) break;
    if (file.publish.value == Publishing::loopback && is_loopback(one)) continue;
    return refuse(file, file.publish.line, where(one.origin) + ": publishing " + in_quotes(publish_text(one)),
                  file.publish.value == Publishing::none ? "lets nothing be published"
                                                         : "lets ports be published for this machine alone",
                  file.publish.value == Publishing::none ? "leave it out" : "leave the address out");
  }
  if (file.only_managed) {
    for (const std::string& key : file.only_managed->value) {
      const auto origin = policy.origins.find(key);
      if (origin == policy.origins.end() || origin->second.layer == "managed") continue;
      return refuse(file, file.only_managed->line, where(origin->second) + ": `" + key + "`", "keeps it to itself",
                    "leave it out");
    }
  }
  if (file.sources) {
    std::vector<std::string> names;
    for (const auto source : file.sources->value) names.emplace_back(name_of(source));
    for (const auto& [name, credential] : policy.credentials) {
      if (std::ranges::find(file.sources->value, credential.source) != file.sources->value.end()) continue;
      return refuse(file, file.sources->line,
                    where(credential.origin) + ": credential " + in_quotes(name) + " with the source " +
                        in_quotes(name_of(credential.source)),
                    "lets credentials be read from " + quoted(names), "keep it there");
    }
  }
  return judge_environment(file, policy);
}

}  // namespace

Document layer_of(const ManagedFile& file) {
  Document layer = file.layer;
  layer.limits = {};  // those are caps
  std::erase_if(layer.origins, [](const auto& one) { return one.first.starts_with("limits."); });
  return layer;
}

Result<void> judge_mount(const Managed& managed, const Mount& mount, const std::string& real) {
  const std::string what = where(mount.origin) + ": mount " + in_quotes(mount.path) +
                           (real == mount.path ? "" : ", which is " + in_quotes(real) + ",");
  BH_CHECK(judge_place(managed, what, real,
                       mount.origin.layer == "default" ? "go to a folder that may be mounted" : "leave the mount out"));
  if (mount.copy) return {};  // nothing of what is written to it stays
  for (const ManagedFile& file : managed.files) {
    if (const auto& modes = file.forbid_modes;
        modes && std::ranges::find(modes->value, mount.mode) != modes->value.end()) {
      return refuse(file, modes->line, what, std::string("forbids the mode ") + name_of(mount.mode),
                    "mount it by another, like --mount " + in_quotes(mount.path + ":review"));
    }
    if (!file.allow_control.value && !mount.allow_control.empty()) {
      return refuse(file, file.allow_control.line, what + " with `allow_control`",
                    "lets no session write control files", "leave `allow_control` out");
    }
    const auto& review = file.mount_review;
    const bool seen_first = mount.mode == MountMode::review && !(mount.output && mount.output->apply);
    if (!review || seen_first || mount.mode == MountMode::ro) continue;
    for (const std::string& path : review->value) {
      if (!any_path({path}, managed.all_homes, true,
                    [&](const std::string& one) { return at_or_below(real, one) || at_or_below(one, real); })) {
        continue;
      }
      return refuse(file, review->line, what, "wants what is in " + in_quotes(path) + " looked at before it is changed",
                    "--mount " + in_quotes(mount.path + ":review") + ", or ro");
    }
  }
  return {};
}

Result<void> judge_toolchain(const Managed& managed, const std::string& real) {
  // Which they are is for view.cc to say; a home folder that is no home could make anything one.
  const bool at_home =
      std::ranges::any_of(managed.own_homes, [&](const std::string& home) { return at_or_below(real, home); });
  Managed rules = managed;
  if (at_home) {
    for (ManagedFile& file : rules.files) file.mount_allow.reset();
  }
  return judge_place(rules, "toolchain " + in_quotes(real), real, "write toolchains = false, or --mount what you need");
}

Result<void> judge_flags(const Managed& managed, const CommandLine& flags) {
  for (const ManagedFile& file : managed.files) {
    if (file.secrets.value || flags.allow_secrets.empty()) continue;
    return refuse(file, file.secrets.line, "--allow-secrets " + in_quotes(flags.allow_secrets.front()),
                  "lets no mount bring credentials in", "leave it out, and give the session a [credential]");
  }
  return {};
}

Result<void> hold_to(const Managed& managed, std::vector<Grant>& grants) {
  for (const ManagedFile& file : managed.files) {
    for (Grant& grant : grants) {
      BH_CHECK(judge_grant(file, grant));
      cap(grant.budget, file.budget.value);
    }
  }
  return {};
}

Result<void> hold_to(const std::shared_ptr<const Managed>& managed, Policy& policy, const Place& place) {
  policy.managed = managed;
  if (!managed) return {};
  for (const ManagedFile& file : managed->files) {
    BH_CHECK(judge_settings(file, policy));
    cap_limits(file, policy);
  }
  BH_CHECK(hold_to(*managed, policy.grants));
  for (const Mount& mount : policy.mounts) {
    std::string path = absolute_path(mount.path, place);
    if (auto real = sys::real_path(path)) path = *real;
    BH_CHECK(judge_mount(*managed, mount, path));
  }
  return {};
}

}  // namespace bulkhead

#include "policy/project.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>

#include <algorithm>

#include "base/sys.h"
#include "base/text.h"
#include "policy/digest.h"
#include "policy/load_parts.h"
#include "policy/names.h"
#include "policy/profile.h"
#include "policy/units.h"
#include "policy/within.h"

namespace bulkhead {
namespace {

constexpr const char* names[] = {".bulkhead/policy.toml", "bulkhead.toml"};

struct Project {
  Document document;
  Budget budget;
  int budget_line = 0;
  bool network = true;
};

std::string at(const std::string& file, int line) {
  return escape_for_terminal(file) + ":" + std::to_string(line);
}

tl::unexpected<Error> widens(const std::string& file, int line, const std::string& what, const std::string& fix) {
  return fail(at(file, line) + ": " + what + ", and a project's own policy only narrows; " + fix);
}

Result<void> only_off(const TableReader& reader, const char* key, std::optional<bool>& into) {
  BH_TRY(into, reader.boolean(key));
  if (into && *into) return reader.fail_key(key, "a project's own policy only narrows: write false, or leave it out");
  return {};
}

Result<void> load_project_mount(const TomlValue& table, Document& document) {
  const TableReader reader(table, "[[mount]]", document.file);
  BH_CHECK(reader.only(
      {"path", "mode", "protect"},
      {{"allow_control", "a project's own policy only narrows: that is for the user's own policy to say"}}));
  Mount mount;
  mount.origin = {document.layer, document.file, reader.line()};
  BH_TRY(const auto path, reader.string("path"));
  if (!path) return reader.fail_table("`path` is missing");
  BH_CHECK(reader.checked("path", check_path(*path)));
  mount.path = *path;
  BH_TRY(const auto mode, reader.string("mode"));
  std::optional<bool> protect;
  BH_TRY(protect, reader.boolean("protect"));
  if (protect && !*protect) {
    return reader.fail_key("protect", "a project's own policy only narrows: write true, or leave it out");
  }
  mount.protect = protect.value_or(false);
  if (mode == "ro") {
    mount.mode = MountMode::ro;
  } else if (!mode && mount.protect) {
    mount.mode = MountMode::rw;
  } else if (mode == "review") {
    mount.mode = MountMode::review;
  } else {
    return reader.fail_table("`mode` is \"ro\" or \"review\", or there is `protect = true` alone");
  }
  document.mounts.push_back(std::move(mount));
  return {};
}

Result<Project> load_project(std::string_view text, const std::string& file) {
  Project out;
  Document& document = out.document;
  document.file = file;
  document.layer = "project";
  BH_TRY(const TomlValue root, parse_toml(text, escape_for_terminal(file)));
  const TableReader reader(root, "", document.file);
  const char* users = "a project's own policy only narrows: that is for the user's own policy to say";
  BH_CHECK(reader.only({"version", "network", "grant", "mount", "limits", "budget", "toolchains", "ask"},
                       {{"credential", users},
                        {"env", users},
                        {"tier", users},
                        {"runsc", users},
                        {"image", users},
                        {"input", users},
                        {"output", users},
                        {"upstream", users},
                        {"dns", users},
                        {"upstream_ca", users},
                        {"publish", users},
                        {"profile", users}}));
  BH_TRY(const auto version, reader.count("version", 0, 1000000));
  if (!version) return fail(at(file, 1) + ": `version` is missing: the file starts with `version = 1`");
  if (*version != 1) return reader.fail_key("version", "this Bulkhead reads version 1");
  BH_CHECK(only_off(reader, "toolchains", document.toolchains));
  BH_CHECK(only_off(reader, "ask", document.ask));
  std::optional<bool> network;
  BH_CHECK(only_off(reader, "network", network));
  out.network = network.value_or(true);
  BH_TRY(const auto mounts, reader.tables_at("mount"));
  for (const TomlValue* mount : mounts) BH_CHECK(load_project_mount(*mount, document));
  BH_TRY(const auto grants, reader.tables_at("grant"));
  for (const TomlValue* grant : grants) BH_CHECK(load_grant(*grant, DocumentKind::policy, document));
  if (!out.network && !document.grants.empty()) return reader.fail_key("network", "there are grants below it");
  BH_TRY(const TomlValue* limits, reader.table_at("limits"));
  if (limits != nullptr) BH_CHECK(load_limits(*limits, document));
  BH_TRY(const TomlValue* budget, reader.table_at("budget"));
  if (budget != nullptr) {
    BH_TRY(out.budget, load_budget(*budget, "[budget]", document.file));
    out.budget_line = budget->line;
  }
  return out;
}

template <class T>
std::optional<T> smaller(const std::optional<T>& a, const std::optional<T>& b) {
  return a && b ? std::optional(std::min(*a, *b)) : a ? a : b;
}

Budget smaller(const Budget& a, const Budget& b) {
  return {smaller(a.requests, b.requests),
          smaller(a.requests_per_minute, b.requests_per_minute),
          smaller(a.bytes_up, b.bytes_up),
          smaller(a.bytes_down, b.bytes_down),
          smaller(a.bytes_up_per_minute, b.bytes_up_per_minute),
          smaller(a.bytes_down_per_minute, b.bytes_down_per_minute)};
}

// What `wanted` and `has` both allow. What `wanted` leaves open is as `has` says; a budget is the smaller one.
std::optional<Grant> narrowed(Grant wanted, const Grant& has) {
  if (!wanted.credential.empty() && wanted.credential != has.credential) return std::nullopt;
  if (wanted.port != has.port || wanted.protocol != has.protocol) return std::nullopt;
  if (!wanted.address.empty() && wanted.address != has.address) return std::nullopt;
  wanted.credential = has.credential;
  wanted.address = has.address;
  wanted.budget = smaller(wanted.budget, has.budget);
  wanted.expires = smaller(wanted.expires, has.expires);
  wanted.labels = std::min(wanted.labels, has.labels);
  if (wanted.response == ResponseRules()) wanted.response = has.response;
  Common common = common_part(wanted, has);
  if (!common.whole) return std::nullopt;
  // Made by the same preset, as far as who pins presets is concerned.
  common.grant.preset = has.preset;
  common.grant.preset_sha256 = has.preset_sha256;
  return std::move(common.grant);
}

Result<void> narrow_grants(const Project& project, Policy& policy) {
  if (!project.network) policy.grants.clear();
  if (!project.document.grants.empty()) {
    std::vector<Grant> grants;
    for (const Grant& wanted : project.document.grants) {
      std::optional<Grant> found;
      for (const Grant& has : policy.grants) {
        found = narrowed(wanted, has);
        if (found) break;
      }
      if (!found) {
        return widens(project.document.file, wanted.origin.line,
                      "the session's policy has no grant that allows all that this one for " +
                          in_quotes(join(wanted.hosts, ", ")) + " would",
                      "ask for less, or have the user grant it");
      }
      found->origin = wanted.origin;
      found->id = std::to_string(grants.size() + 1);
      grants.push_back(std::move(*found));
    }
    policy.grants = std::move(grants);
  }
  for (Grant& grant : policy.grants) grant.budget = smaller(grant.budget, project.budget);
  return {};
}

template <class T>
Result<void> narrow_limit(const Project& project, const char* name, std::optional<T>& value,
                          const std::optional<T>& wanted, Policy& policy) {
  if (!wanted) return {};
  const std::string key = std::string("limits.") + name;
  const Origin& origin = project.document.origins.at(key);
  if (value && *wanted > *value) {
    return widens(project.document.file, origin.line,
                  std::string("`") + name + "` is more than the session's policy has", "write less, or leave it out");
  }
  value = wanted;
  policy.origins[key] = origin;
  return {};
}

Result<void> narrow_limits(const Project& project, Policy& policy) {
  const Limits& wanted = project.document.limits;
  Limits& limits = policy.limits;
  BH_CHECK(narrow_limit(project, "memory", limits.memory, wanted.memory, policy));
  BH_CHECK(narrow_limit(project, "processes", limits.processes, wanted.processes, policy));
  BH_CHECK(narrow_limit(project, "open_files", limits.open_files, wanted.open_files, policy));
  BH_CHECK(narrow_limit(project, "tmp", limits.tmp, wanted.tmp, policy));
  BH_CHECK(narrow_limit(project, "duration", limits.duration, wanted.duration, policy));
  BH_CHECK(narrow_limit(project, "image_size", limits.image_size, wanted.image_size, policy));
  BH_CHECK(narrow_limit(project, "image_files", limits.image_files, wanted.image_files, policy));
  BH_CHECK(narrow_limit(project, "cpu", limits.cpu, wanted.cpu, policy));
  BH_CHECK(narrow_limit(project, "cpus", limits.cpus, wanted.cpus, policy));
  BH_CHECK(narrow_limit(project, "output", limits.output, wanted.output, policy));
  BH_CHECK(narrow_limit(project, "file_size", limits.file_size, wanted.file_size, policy));
  BH_CHECK(narrow_limit(project, "idle", limits.idle, wanted.idle, policy));
  BH_CHECK(narrow_limit(project, "tenant_sessions", limits.tenant_sessions, wanted.tenant_sessions, policy));
  return narrow_limit(project, "tenant_memory", limits.tenant_memory, wanted.tenant_memory, policy);
}

Result<void> narrow_mounts(const Project& project, const Place& place, Policy& policy) {
  for (const Mount& wanted : project.document.mounts) {
    const std::string path = absolute_path(wanted.path, place);
    const auto found = std::ranges::find_if(
        policy.mounts, [&](const Mount& mount) { return absolute_path(mount.path, place) == path; });
    if (found == policy.mounts.end()) {
      return widens(project.document.file, wanted.origin.line,
                    "the session's policy does not mount " + in_quotes(wanted.path), "leave it out");
    }
    if (found->output) {
      if (!found->output->apply || wanted.mode == MountMode::review) {
        found->output->apply = false;
        continue;
      }
      return widens(project.document.file, wanted.origin.line, in_quotes(wanted.path) + " is an output",
                    "write mode = \"review\", or leave it out");
    }
    if (wanted.mode == MountMode::rw) {  // protect = true, alone: where nothing is live there is nothing to do
      found->protect = found->protect || (found->mode == MountMode::rw && !found->copy);
    } else if (found->copy && wanted.mode == MountMode::ro) {
      found->mode = MountMode::ro;
    } else if (found->mode == MountMode::ro || found->copy) {
      if (wanted.mode == MountMode::ro) continue;
      return widens(project.document.file, wanted.origin.line, in_quotes(wanted.path) + " is less than review here",
                    "leave it out");
    } else {
      found->mode = wanted.mode;
      found->protect = false;
      found->allow_control.clear();
    }
  }
  return {};
}

}  // namespace

std::optional<ProjectFile> find_project(const std::string& folder) {
  const auto root = sys::open(folder, O_PATH | O_DIRECTORY);
  if (!root) return std::nullopt;
  for (const char* name : names) {
    const std::string path = folder + "/" + name;
    auto file = sys::open_at2(root->get(), name, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC,
                              RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS);
    if (!file && (file.error().code == ENOENT || file.error().code == ENOTDIR)) continue;
    if (!file) return ProjectFile{path, "", file.error().code == ELOOP ? "it is a link" : "it can't be read"};
    const auto st = sys::stat_fd(file->get(), path);
    if (!st || !S_ISREG(st->st_mode)) return ProjectFile{path, "", "it is no regular file"};
    auto text = sys::read_all(file->get(), max_toml_bytes, path);
    if (!text) return ProjectFile{path, "", "it can't be read"};
    return ProjectFile{path, std::move(*text), ""};
  }
  return std::nullopt;
}

std::vector<std::string> project_policy_names() {
  return {std::begin(names), std::end(names)};
}

bool is_trusted(const ProjectFile& file, const std::vector<std::string>& trusted) {
  return file.unusable.empty() && std::ranges::find(trusted, sha256_hex(file.text)) != trusted.end();
}

Result<void> narrow(std::string_view text, const std::string& file, const std::string& data_dir, const Place& place,
                    Policy& policy) {
  BH_TRY(Project project, load_project(text, file));
  BH_CHECK(expand_presets(data_dir, project.document));
  Policy narrower = policy;
  if (project.document.toolchains) narrower.toolchains = false;
  if (project.document.ask) narrower.ask = false;
  BH_CHECK(narrow_grants(project, narrower));
  BH_CHECK(narrow_limits(project, narrower));
  BH_CHECK(narrow_mounts(project, place, narrower));
  narrower.sources.push_back(file);
  policy = std::move(narrower);
  return {};
}

Result<void> narrow_to_project(const std::string& data_dir, const Place& place, const std::vector<std::string>& trusted,
                               Policy& policy) {
  const auto file = find_project(place.working_directory);
  if (!file || !is_trusted(*file, trusted)) return {};
  return narrow(file->text, file->path, data_dir, place, policy);
}

std::string project_note(const std::string& folder, const std::vector<std::string>& trusted) {
  const auto file = find_project(folder);
  if (!file) return {};
  const std::string shown = escape_for_terminal(file->path, 300);
  if (!file->unusable.empty()) return shown + " is not used: " + file->unusable;
  if (is_trusted(*file, trusted)) return {};
  return shown + " is not used: it came with the project, which is not trusted, and would only narrow the session; " +
         "`bulkhead trust` shows it";
}

}  // namespace bulkhead

#include "session/reach.h"

#include <algorithm>
#include <cstdio>
#include <iterator>
#include <nlohmann/json.hpp>

#include "base/sys.h"
#include "base/text.h"
#include "secrets/stores.h"
#include "session/plan.h"

namespace bulkhead::session {
namespace {

bool below(const std::string& path, const std::string& folder) {
  return path == folder || path.starts_with(folder + "/");
}

// Those of view.cc that are no host's.
bool is_made(const std::string& target) {
  for (const char* name : {"passwd", "group", "hosts", "hostname", "resolv.conf", "nsswitch.conf"}) {
    if (target == std::string("/etc/") + name) return true;
  }
  return false;
}

const Mount* mount_of(const Policy& policy, const tier::PlannedMount& planned) {
  const auto found = std::ranges::find(policy.mounts, planned.described, &Mount::path);
  return found == policy.mounts.end() ? nullptr : &*found;
}

Reached of_file(const secrets::Patterns& patterns, const tier::PlannedFile& file) {
  Reached out;
  out.at = file.target;
  out.how = is_made(file.target) ? "made" : "copy";
  out.origin = "view";
  if (out.how == "copy") out.path = file.target;
  out.scan.files = 1;
  out.scan.bytes = file.content.size();
  if (const auto* key = secrets::contained(patterns, file.content)) out.scan.keys.push_back({"", key->what});
  return out;
}

// What the session finds in place of the host's login files (logins.h), which are not read here.
std::vector<Reached> of_logins(const Policy& policy, const std::string& home) {
  std::vector<Reached> out;
  for (const auto& [name, credential] : policy.credentials) {
    const bool used = std::ranges::any_of(policy.grants, [&](const Grant& grant) { return grant.credential == name; });
    if (!credential.login || !used) continue;
    Reached one;
    one.at = credential.source_value;
    if (one.at.starts_with("~/")) one.at.replace(0, 1, home);
    if (!sys::real_path(one.at)) continue;  // nobody is logged in
    one.how = "login";
    one.origin = "credential " + name;
    one.scan.files = 1;
    out.push_back(std::move(one));
  }
  return out;
}

// "1.2 MB"
std::string size_shown(std::uint64_t bytes) {
  const char* unit = "B";
  double value = static_cast<double>(bytes);
  for (const char* next : {"KB", "MB", "GB", "TB"}) {
    if (value < 1000) break;
    value /= 1000;
    unit = next;
  }
  char text[32];
  std::snprintf(text, sizeof text, value < 10 && bytes >= 1000 ? "%.1f %s" : "%.0f %s", value, unit);
  return text;
}

std::string short_path(const std::string& path, const std::string& home) {
  return escape_for_terminal(below(path, home) ? "~" + path.substr(home.size()) : path, 300);
}

std::string key_path(const Reached& one, const secrets::Key& key) {
  const std::string& base = one.path.empty() ? one.at : one.path;
  return key.path.empty() ? base : base + "/" + key.path;
}

}  // namespace

Result<std::vector<Reached>> reach(const Policy& policy, const PolicyRequest& request, const std::string& cache) {
  BH_TRY(const Identity identity, decide_identity());
  BH_TRY(const secrets::Patterns patterns, secrets::load_patterns(request.data_dir));
  const std::vector<secrets::Present> stores = secrets::present_stores(patterns, homes_of(identity));
  BH_TRY(Sources sources, Sources::make(identity));
  PlanOf only_looked_at;
  only_looked_at.working_directory = request.place.working_directory;
  only_looked_at.paths.cache = cache;
  BH_TRY(const Planned planned, make_plan(policy, request, identity, sources, only_looked_at));
  std::vector<Reached> out;
  const auto look = [&](const tier::PlannedMount& planned_mount, const Mount* mount) -> Result<void> {
    Reached one;
    BH_TRY(one.path, sys::path_of(planned_mount.source.get()));
    if (mount != nullptr) one.path = absolute_path(mount->path, request.place);
    // Started as root it is a clone whose path is a place of ours.
    if (mount == nullptr) one.path = planned_mount.target;
    if (auto real = sys::real_path(one.path)) one.path = *real;
    one.at = planned_mount.target;
    one.how = mount == nullptr ? "ro" : mount->copy ? "copy" : name_of(mount->mode);
    one.origin = mount == nullptr ? (below(one.at, identity.home) ? "toolchains" : "view") : mount->origin.layer;
    one.scan = secrets::scan(patterns, planned_mount.source.get(), one.path.substr(one.path.rfind('/') + 1),
                             secrets::thorough, true);
    if (mount != nullptr) {
      std::erase_if(one.scan.keys, [&](const secrets::Key& key) { return !in_copy(*mount, key.path); });
      for (const secrets::Present& store : secrets::stores_in(stores, *mount, one.path)) {
        one.stores.push_back(store.path + " (" + store.store->what + ")");
      }
    }
    out.push_back(std::move(one));
    return {};
  };
  if (planned.image) {
    if (planned.plan.image) {
      BH_CHECK(look(*planned.plan.image, nullptr));
    } else {
      out.push_back({.path = "", .at = "/", .how = "", .origin = "", .scan = {}, .unpacked = false, .stores = {}});
    }
    out.back().how = "image";
    out.back().origin = policy.origins.contains("image") ? policy.origins.at("image").layer : "default";
    out.back().path = planned.image->path;
    out.back().digest = planned.image->digest;
  }
  for (const auto& one : planned.plan.mounts) BH_CHECK(look(one, mount_of(policy, one)));
  for (const auto& one : planned.plan.system) {
    if (below(one.target, identity.home) || below(one.target, "/etc")) BH_CHECK(look(one, nullptr));
  }
  for (const tier::PlannedFile& file : planned.plan.files) out.push_back(of_file(patterns, file));
  std::ranges::move(of_logins(policy, identity.home), std::back_inserter(out));
  return out;
}

std::string reach_text(const std::vector<Reached>& reached, const std::string& home) {
  std::string out;
  std::size_t made = 0;
  bool image = false;
  for (const Reached& one : reached) {
    image = image || one.how == "image";
    if (!one.unpacked) {
      out += "image         not unpacked yet, so nobody has looked into it  " + short_path(one.path, home) +
             " at /  (" + one.digest + "; " + escape_for_terminal(one.origin) + ")\n";
      continue;
    }
    if (one.how == "made") {
      ++made;
      continue;
    }
    if (one.how == "login") {
      out += "login         tokens of the session's own, in place of the host's file  " + short_path(one.at, home) +
             "  (" + escape_for_terminal(one.origin) + ")\n";
      continue;
    }
    char line[64];
    std::snprintf(line, sizeof line, "%-12s  %9s  %s%7llu files  ", one.how.c_str(), size_shown(one.scan.bytes).c_str(),
                  one.scan.whole ? " " : ">", static_cast<unsigned long long>(one.scan.files));
    out += line + short_path(one.path, home);
    if (one.at != one.path) out += " at " + short_path(one.at, home);
    out += "  (" + (one.digest.empty() ? "" : one.digest + "; ") + escape_for_terminal(one.origin) + ")\n";
  }
  out +=
      "Beside that: " + std::string(image ? "nothing of the host's /usr or /etc; " : "/usr and its like read-only; ") +
      std::to_string(made) + " files of /etc made for the session; of HOME, /tmp, /run, /var nothing else.\n";
  std::string keys;
  for (const Reached& one : reached) {
    for (const std::string& store : one.stores) {
      keys += "  " + short_path(one.path, home) + ": brings in " + store + ": refused unless it is said twice\n";
    }
    for (const secrets::Key& key : one.scan.keys) {
      keys += "  " + short_path(key_path(one, key), home) + ": " + key.what + "\n";
    }
  }
  return out + (keys.empty() ? "Nothing of it looks like a key.\n" : "What looks like a key:\n" + keys);
}

nlohmann::json reach_json(const std::vector<Reached>& reached) {
  nlohmann::json out = nlohmann::json::array();
  for (const Reached& one : reached) {
    nlohmann::json keys = nlohmann::json::array();
    for (const secrets::Key& key : one.scan.keys) keys.push_back({{"path", key_path(one, key)}, {"what", key.what}});
    nlohmann::json entry{{"path", one.path},
                         {"at", one.at},
                         {"how", one.how},
                         {"from", one.origin},
                         {"files", one.scan.files},
                         {"bytes", one.scan.bytes},
                         {"whole", one.scan.whole && one.unpacked},
                         {"keys", std::move(keys)},
                         {"stores", one.stores}};
    if (one.how == "image") {
      entry["digest"] = one.digest;
      entry["unpacked"] = one.unpacked;
    }
    out.push_back(std::move(entry));
  }
  return {{"reach", std::move(out)}};
}

}  // namespace bulkhead::session

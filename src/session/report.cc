#include "session/report.h"

#include <set>

#include "base/text.h"
#include "session/publish.h"

namespace bulkhead::session {
namespace {

constexpr std::size_t max_entries = 256;
constexpr std::size_t shown_entries = 8;

std::string reach(const Policy& policy) {
  std::vector<std::string> hosts;
  std::set<std::string> seen;
  for (const Grant& grant : policy.grants) {
    for (const std::string& host : grant.hosts) {
      if (seen.insert(host).second) hosts.push_back(host);
    }
  }
  if (hosts.empty()) return "no network";
  const std::size_t count = hosts.size();
  if (count > 3) hosts.resize(3);
  return "network: " + join(hosts, ", ") + (count > 3 ? " and " + std::to_string(count - 3) + " more" : "");
}

std::string secrets(const Policy& policy) {
  std::set<std::string> names;
  for (const Grant& grant : policy.grants) {
    if (!grant.credential.empty()) names.insert(grant.credential);
  }
  if (names.empty()) return "no secrets";
  return "tokens for: " + join({names.begin(), names.end()}, ", ");
}

std::string shown(const RootImage& image) {
  const std::string path = escape_for_terminal(image.path, 200);
  return image.digest.empty() ? path : path + " (" + image.digest.substr(0, 7 + 12) + ")";
}

std::string workspace(const Planned& planned) {
  const std::string shown = escape_for_terminal(planned.workspace);
  if (shown.empty()) return "no folder is writable";
  if (planned.workspace_mode == MountMode::review) return shown + " is under review";
  if (planned.workspace_mode == MountMode::rw_no_delete) {
    return shown + " is writable but for control files, its originals are kept";
  }
  if (planned.workspace_protected) return shown + " is writable but for control files";
  return shown + " is writable, control files (hooks, tasks, agents' settings) too";
}

}  // namespace

std::string start_line(const Policy& policy, const Planned& planned, const std::vector<std::string>& missing) {
  std::string line = std::string(name_of(policy.tier)) + " tier";
  if (!policy.profile.empty()) line += ", profile " + policy.profile;
  if (planned.image) line += ", image " + shown(*planned.image);
  line += "; " + workspace(planned);
  if (!planned.image) line += "; toolchains " + std::string(policy.toolchains ? "read-only" : "hidden");
  line += "; " + reach(policy) + "; " + secrets(policy);
  if (!policy.publish.empty()) {
    std::vector<std::string> ports;
    for (const Publish& one : policy.publish) ports.push_back(published_as(one));
    line += "; published: " + join(ports, ", ");
  }
  if (policy.ask) line += "; asks about what is not granted";
  if (!missing.empty()) line += "; missing here: " + join(missing, ", ") + " (see `bulkhead doctor`)";
  return line;
}

void Denials::add(std::uint64_t count, const std::string& what, const std::string& why, const std::string& add) {
  total_ += count;
  auto found = entries_.find(what);
  if (found == entries_.end()) {
    if (entries_.size() >= max_entries) return;
    found = entries_.emplace(what, Entry{0, why, add}).first;
    order_.push_back(what);
  }
  found->second.count += count;
}

std::string Denials::summary() const {
  std::string out = "denied " + std::to_string(total_) + (total_ == 1 ? " request" : " requests") + ":";
  std::set<std::string> added;
  std::string additions;
  std::size_t shown = 0;
  for (const std::string& what : order_) {
    if (shown++ == shown_entries) {
      out += "\n  … and " + std::to_string(order_.size() - shown_entries) + " more kinds; the evidence has them all";
      break;
    }
    const Entry& entry = entries_.at(what);
    out += "\n  " + escape_for_terminal(what, 200);
    if (entry.count > 1) out += " (" + std::to_string(entry.count) + " times)";
    // Why a request was refused often begins with what it was.
    std::string why = entry.why;
    if (why.starts_with(what + ": ")) why.erase(0, what.size() + 2);
    out += ": " + escape_for_terminal(why, 300);
    if (entry.add.empty() || !added.insert(entry.add).second) continue;
    for (const std::string& line : split(entry.add, '\n')) {
      if (!line.empty()) additions += "\n    " + escape_for_terminal(line, 300);
    }
    additions += "\n";
  }
  if (!additions.empty()) {
    additions.pop_back();
    out += "\n  to allow it, add:" + additions;
  }
  return out;
}

}  // namespace bulkhead::session

// The rules of managed policies as comment lines, for `policy show`: what they keep anybody from saying.
#include "base/text.h"
#include "policy/managed.h"
#include "policy/toml.h"
#include "policy/units.h"

namespace bulkhead {
namespace {

template <class Enum>
std::vector<std::string> names_of(const std::vector<Enum>& values) {
  std::vector<std::string> out;
  for (const Enum value : values) out.emplace_back(name_of(value));
  return out;
}

class Lines {
 public:
  explicit Lines(const ManagedFile& file) {
    out_ = "# " + (file.organisation.empty() ? "managed" : escape_for_terminal(file.organisation, 200)) + ", " +
           escape_for_terminal(file.file) + " (SHA-256 " + file.sha256.substr(0, 16) + "…)\n";
  }

  void add(int line, const std::string& text) { out_ += "#   " + std::to_string(line) + ": " + text + "\n"; }
  void list(const Rules<std::vector<std::string>>& rule, const char* text) {
    if (rule) add(rule->line, std::string(text) + " " + toml_list(rule->value));
  }
  void off(const Said<bool>& rule, const char* text) {
    if (!rule.value) add(rule.line, text);
  }
  void number(const char* name, const std::optional<std::uint64_t>& most) {
    if (most) bounds_.push_back(std::string(name) + " " + std::to_string(*most));
  }
  void size(const char* name, const std::optional<std::uint64_t>& most) {
    if (most) bounds_.push_back(std::string(name) + " " + size_text(*most));
  }
  void duration(const char* name, const std::optional<std::chrono::seconds>& most) {
    if (most) bounds_.push_back(std::string(name) + " " + duration_text(*most));
  }
  void bounds(int line, const char* what) {
    if (!bounds_.empty()) add(line, std::string(what) + " " + join(bounds_, ", "));
    bounds_.clear();
  }
  std::string take() { return std::move(out_); }

 private:
  std::vector<std::string> bounds_;
  std::string out_;
};

std::string text_of(const ManagedFile& file) {
  Lines lines(file);
  if (file.tiers) lines.add(file.tiers->line, "tiers: " + join(names_of(file.tiers->value), ", "));
  lines.off(file.ask, "nobody is asked about what no grant allows");
  lines.off(file.toolchains, "no toolchains of home folders");
  lines.off(file.secrets, "no mount brings credentials in");
  lines.list(file.mount_allow, "mounts lie in");
  lines.list(file.mount_deny, "nothing is mounted of");
  lines.list(file.mount_review, "only reviewed, read-only or copied:");
  if (file.forbid_modes) {
    lines.add(file.forbid_modes->line, "no mount is " + join(names_of(file.forbid_modes->value), ", "));
  }
  lines.off(file.allow_control, "no mount lets control files be written");
  lines.list(file.allow_hosts, "hosts:");
  lines.list(file.deny_hosts, "no host of, or below,");
  lines.off(file.tcp, "no tcp grants");
  if (file.presets) {
    std::vector<std::string> names;
    for (const ManagedFile::Preset& one : file.presets->value) names.push_back(one.name);
    lines.add(file.presets->line, "grants by pinned presets alone: " + (names.empty() ? "none" : join(names, ", ")));
  }
  if (file.publish.value == ManagedFile::Publish::loopback) {
    lines.add(file.publish.line, "ports are published for this machine alone");
  } else if (file.publish.value == ManagedFile::Publish::none) {
    lines.add(file.publish.line, "no ports are published");
  }
  lines.list(file.only_managed, "said here or nowhere:");
  if (file.sources) lines.add(file.sources->line, "credentials come from " + join(names_of(file.sources->value), ", "));
  lines.list(file.env_forbid, "variables that are not set or passed:");
  const Limits& limits = file.layer.limits;
  lines.size("memory", limits.memory);
  lines.number("processes", limits.processes);
  lines.number("open_files", limits.open_files);
  lines.size("tmp", limits.tmp);
  lines.duration("duration", limits.duration);
  lines.size("image_size", limits.image_size);
  lines.number("image_files", limits.image_files);
  lines.duration("cpu", limits.cpu);
  lines.number("cpus", limits.cpus);
  lines.size("output", limits.output);
  lines.size("file_size", limits.file_size);
  lines.duration("idle", limits.idle);
  lines.number("tenant_sessions", limits.tenant_sessions);
  lines.size("tenant_memory", limits.tenant_memory);
  int first = 0;
  for (const auto& [key, origin] : file.layer.origins) {
    if (key.starts_with("limits.") && (first == 0 || origin.line < first)) first = origin.line;
  }
  lines.bounds(first, "at most:");
  const Budget& budget = file.budget.value;
  lines.number("requests", budget.requests);
  lines.number("requests_per_minute", budget.requests_per_minute);
  lines.size("bytes_up", budget.bytes_up);
  lines.size("bytes_down", budget.bytes_down);
  lines.size("bytes_up_per_minute", budget.bytes_up_per_minute);
  lines.size("bytes_down_per_minute", budget.bytes_down_per_minute);
  lines.bounds(file.budget.line, "each grant at most:");
  return lines.take();
}

}  // namespace

std::string managed_text(const Managed& managed) {
  std::string out;
  for (const ManagedFile& file : managed.files) out += text_of(file);
  return out;
}

}  // namespace bulkhead

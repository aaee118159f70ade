#include "policy/show.h"

#include "base/text.h"
#include "policy/toml.h"
#include "policy/units.h"

namespace bulkhead {
namespace {

std::string list_text(const std::vector<std::string>& words) {
  std::vector<std::string> out;
  for (const std::string& word : words) out.push_back(toml_string(word));
  return "[" + join(out, ", ") + "]";
}

class Writer {
 public:
  explicit Writer(const Policy& policy) : policy_(policy) {}

  std::string write() {
    line("version = 1");
    scalar("tier", toml_string(name_of(policy_.tier)), "tier");
    scalar("toolchains", policy_.toolchains ? "true" : "false", "toolchains");
    if (!policy_.profile.empty()) {
      // Its rules are written out below; naming it would load them a second time.
      const auto it = policy_.origins.find("profile");
      line("profile = \"none\"  # the rules of profile " + escape_for_terminal(policy_.profile) + " are below; " +
           (it == policy_.origins.end() ? std::string("default") : origin_text(it->second)));
    }
    if (!policy_.arguments.empty()) {
      line("# the command gets these arguments first: " + list_text(policy_.arguments));
    }
    if (!policy_.upstream_ca.empty()) scalar("upstream_ca", list_text(policy_.upstream_ca), "upstream_ca");
    if (!policy_.dns_servers.empty()) scalar("dns", list_text(policy_.dns_servers), "dns");
    for (const Mount& mount : policy_.mounts) write_mount(mount);
    for (const auto& [name, credential] : policy_.credentials) write_credential(credential);
    if (policy_.grants.empty()) line("\n# no grants: nothing of the network is reachable");
    for (const Grant& grant : policy_.grants) write_grant(grant);
    write_env();
    write_limits();
    return out_;
  }

 private:
  void line(const std::string& text) { out_ += text + "\n"; }

  std::string comment(const std::string& key) const {
    const auto it = policy_.origins.find(key);
    return "  # " + (it == policy_.origins.end() ? std::string("default") : origin_text(it->second));
  }

  void scalar(const std::string& key, const std::string& value, const std::string& origin) {
    line(key + " = " + value + comment(origin));
  }

  void number(const char* key, const std::optional<std::uint64_t>& value) {
    if (value) line(std::string(key) + " = " + std::to_string(*value));
  }

  void size(const char* key, const std::optional<std::uint64_t>& value) {
    if (value) line(std::string(key) + " = " + toml_string(size_text(*value)));
  }

  void write_mount(const Mount& mount) {
    line("\n[[mount]]  # " + origin_text(mount.origin));
    line("path = " + toml_string(mount.path));
    if (!mount.target.empty()) line("target = " + toml_string(mount.target));
    line("mode = " + toml_string(name_of(mount.mode)));
    if (mount.optional) line("optional = true");
    if (mount.copy) line("copy = true");
    if (!mount.except.empty()) line("except = " + list_text(mount.except));
  }

  void write_credential(const Credential& credential) {
    line("\n[credential." + credential.name + "]  # " + origin_text(credential.origin));
    const char* source = credential.source == Credential::Source::env    ? "env:"
                         : credential.source == Credential::Source::file ? "file:"
                                                                         : "command:";
    line("source = " + toml_string(source + credential.source_value));
    if (!credential.expose_env.empty()) {
      line("expose = { env = " + toml_string(credential.expose_env) +
           (credential.expose_prefix.empty() ? "" : ", prefix = " + toml_string(credential.expose_prefix)) + " }");
    }
    switch (credential.carrier) {
      case Credential::Carrier::header:
        line("carry = { header = " + toml_string(credential.header) + " }");
        break;
      case Credential::Carrier::bearer:
        line("carry = { bearer = true }");
        break;
      case Credential::Carrier::basic:
        line("carry = { basic = " + toml_string(credential.basic_user) + " }");
        break;
    }
    if (credential.optional) line("optional = true");
  }

  void write_grant(const Grant& grant) {
    line("\n[[grant]]  # " + grant.id + ": " + origin_text(grant.origin) +
         (grant.preset.empty() ? "" : ", preset " + escape_for_terminal(grant.preset)));
    line("host = " + toml_string(grant.host));
    line("port = " + std::to_string(grant.port));
    line("protocol = " + toml_string(name_of(grant.protocol)));
    if (!grant.credential.empty()) line("credential = " + toml_string(grant.credential));
    for (const Rule& rule : grant.allow) {
      line("[[grant.allow]]");
      line("method = " + list_text(rule.methods));
      line("path = " + toml_string(rule.path));
      if (!rule.query.empty()) line("query = " + list_text(rule.query));
      if (!rule.content_type.empty()) line("content_type = " + toml_string(rule.content_type));
      size("max_body", rule.max_body);
      if (rule.json) write_json_rules(*rule.json);
    }
    const Budget& budget = grant.budget;
    if (budget.requests || budget.requests_per_minute || budget.bytes_up || budget.bytes_down) {
      line("[grant.budget]");
      number("requests", budget.requests);
      number("requests_per_minute", budget.requests_per_minute);
      size("bytes_up", budget.bytes_up);
      size("bytes_down", budget.bytes_down);
    }
  }

  void write_json_rules(const JsonRules& rules) {
    line("[grant.allow.json]");
    if (!rules.deny_keys.empty()) line("deny_keys = " + list_text(rules.deny_keys));
    const auto values = [&](const char* key, const std::map<std::string, std::vector<std::string>>& places) {
      if (places.empty()) return;
      line(std::string("[grant.allow.json.") + key + "]");
      for (const auto& [place, texts] : places) line(toml_string(place) + " = " + list_text(texts));
    };
    values("deny_values", rules.deny_values);
    values("allow_values", rules.allow_values);
    values("require", rules.require);
  }

  void write_env() {
    if (!policy_.env.pass.empty()) {
      line("\n[env]");
      line("pass = [");
      for (const std::string& name : policy_.env.pass)
        line("  " + toml_string(name) + "," + comment("env.pass." + name));
      line("]");
    }
    if (!policy_.env.set.empty()) {
      line("\n[env.set]");
      for (const auto& [name, value] : policy_.env.set) scalar(name, toml_string(value), "env.set." + name);
    }
  }

  void write_limits() {
    const Limits& limits = policy_.limits;
    if (!limits.memory && !limits.processes && !limits.open_files && !limits.tmp && !limits.duration) return;
    line("\n[limits]");
    if (limits.memory) scalar("memory", toml_string(size_text(*limits.memory)), "limits.memory");
    if (limits.processes) scalar("processes", std::to_string(*limits.processes), "limits.processes");
    if (limits.open_files) scalar("open_files", std::to_string(*limits.open_files), "limits.open_files");
    if (limits.tmp) scalar("tmp", toml_string(size_text(*limits.tmp)), "limits.tmp");
    if (limits.duration) scalar("duration", toml_string(duration_text(*limits.duration)), "limits.duration");
  }

  const Policy& policy_;
  std::string out_;
};

}  // namespace

std::string origin_text(const Origin& origin) {
  std::string out = escape_for_terminal(origin.layer);
  if (!origin.file.empty()) out += ", " + escape_for_terminal(origin.file) + ":" + std::to_string(origin.line);
  return out;
}

std::string policy_text(const Policy& policy) {
  return Writer(policy).write();
}

}  // namespace bulkhead

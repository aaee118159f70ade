#include "policy/show.h"

#include <algorithm>

#include "base/text.h"
#include "policy/toml.h"
#include "policy/units.h"

namespace bulkhead {
namespace {

class Writer {
 public:
  explicit Writer(const Policy& policy) : policy_(policy) {}

  std::string write() {
    line("version = 1");
    scalar("tier", toml_string(name_of(policy_.tier)), "tier");
    if (policy_.old_runsc) scalar("runsc", toml_string("debian-12"), "runsc");
    if (!policy_.image.empty()) scalar("image", toml_string(policy_.image), "image");
    if (policy_.no_workspace) scalar("workspace", toml_string("none"), "workspace");
    scalar("toolchains", policy_.toolchains ? "true" : "false", "toolchains");
    if (policy_.ask) scalar("ask", "true", "ask");
    if (!policy_.profile.empty()) {
      // Its rules are written out below; naming it would load them a second time.
      const auto it = policy_.origins.find("profile");
      line("profile = \"none\"  # the rules of profile " + escape_for_terminal(policy_.profile) + " are below; " +
           (it == policy_.origins.end() ? std::string("default") : origin_text(it->second)));
    }
    if (!policy_.arguments.empty()) {
      line("# the command gets these arguments first: " + toml_list(policy_.arguments));
    }
    if (!policy_.upstream_ca.empty()) scalar("upstream_ca", toml_list(policy_.upstream_ca), "upstream_ca");
    if (!policy_.dns_servers.empty()) scalar("dns", toml_list(policy_.dns_servers), "dns");
    if (!policy_.publish.empty()) write_publish();
    write_upstream();
    for (const Mount& mount : policy_.mounts) write_mount(mount);
    for (const auto& [name, credential] : policy_.credentials) write_credential(credential);
    if (policy_.grants.empty()) line("\n# no grants: nothing of the network is reachable");
    for (const Grant& grant : policy_.grants) write_grant(grant);
    write_env();
    write_limits();
    write_evidence();
    return out_;
  }

  std::string only(const Credential& credential) {
    write_credential(credential);
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

  void write_publish() {
    line("publish = [");
    for (const Publish& one : policy_.publish) {
      line("  " + toml_string(publish_text(one)) + ",  # " +
           (one.origin.layer.empty() ? std::string("default") : origin_text(one.origin)));
    }
    line("]");
  }

  void write_upstream() {
    const Upstream& upstream = policy_.upstream;
    if (upstream.proxy_host.empty()) return;
    line("\n[upstream]" + comment("upstream"));
    line("proxy = " + toml_string(proxy_url(upstream)));
    if (!upstream.credential.empty()) line("credential = " + toml_string(upstream.credential));
    if (!upstream.no_proxy.empty()) line("no_proxy = " + toml_list(upstream.no_proxy));
    line(std::string("resolve = ") + (upstream.proxy_resolves ? "\"proxy\"" : "\"gateway\""));
  }

  void write_output(const Mount& mount) {
    line("\n[[output]]  # " + origin_text(mount.origin));
    line("path = " + toml_string(mount.path));
    if (!mount.target.empty()) line("target = " + toml_string(mount.target));
    line("max_size = " + toml_string(size_text(mount.output->max_size)));
    line("max_files = " + std::to_string(mount.output->max_files));
    if (mount.output->apply) line("apply = true");
  }

  void write_mount(const Mount& mount) {
    if (mount.output) return write_output(mount);
    line("\n[[mount]]  # " + origin_text(mount.origin));
    line("path = " + toml_string(mount.path));
    if (!mount.target.empty()) line("target = " + toml_string(mount.target));
    line("mode = " + toml_string(name_of(mount.mode)));
    if (mount.optional) line("optional = true");
    if (mount.copy) line("copy = true");
    if (mount.only) line("only = " + toml_list(*mount.only));
    if (!mount.except.empty()) line("except = " + toml_list(mount.except));
    if (mount.protect) line("protect = true");
    if (!mount.allow_control.empty()) line("allow_control = " + toml_list(mount.allow_control));
    if (!mount.secrets.empty()) line("secrets = " + toml_list(mount.secrets));
  }

  void write_credential(const Credential& credential) {
    line("\n[credential." + credential.name + "]  # " + origin_text(credential.origin));
    const std::string source = name_of(credential.source);
    const bool answer = credential.source == Credential::Source::answer;
    line("source = " + toml_string(answer ? source : source + ":" + credential.source_value));
    if (!credential.expose_env.empty()) {
      line("expose = { env = " + toml_string(credential.expose_env) +
           (credential.expose_secret_env.empty() ? "" : ", secret_env = " + toml_string(credential.expose_secret_env)) +
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
      case Credential::Carrier::sigv4:
        line("carry = { sigv4 = { region = " + toml_string(credential.region) +
             ", service = " + toml_string(credential.service) + " } }");
        break;
    }
    if (credential.optional) line("optional = true");
    if (credential.login) write_login(credential);
  }

  void write_login(const Credential& credential) {
    const Login& login = *credential.login;
    line("[credential." + credential.name + ".login]");
    for (const auto& [key, value] : {std::pair{"access", &login.access},
                                     {"refresh", &login.refresh},
                                     {"id", &login.id},
                                     {"expires", &login.expires},
                                     {"refreshed", &login.refreshed},
                                     {"prefix", &credential.expose_prefix}}) {
      if (!value->empty()) line(std::string(key) + " = " + toml_string(*value));
    }
    if (!login.keep.empty()) line("keep = " + toml_list(login.keep));
    if (!login.claims.empty()) line("claims = " + toml_list(login.claims));
    if (login.send.empty()) return;
    line("[credential." + credential.name + ".login.send]");
    for (const auto& [field, words] : login.send) line(toml_string(field) + " = " + toml_list(words));
  }

  void write_grant(const Grant& grant) {
    line("\n[[grant]]  # " + grant.id + ": " + origin_text(grant.origin) +
         (grant.preset.empty() ? "" : ", preset " + escape_for_terminal(grant.preset)));
    line(grant.hosts.size() == 1 ? "host = " + toml_string(grant.hosts.front()) : "hosts = " + toml_list(grant.hosts));
    const bool wildcard = std::any_of(grant.hosts.begin(), grant.hosts.end(),
                                      [](const std::string& host) { return host.starts_with("*."); });
    if (!grant.address.empty()) line("address = " + toml_string(grant.address));
    if (wildcard) line("labels = " + std::to_string(grant.labels));
    line("port = " + std::to_string(grant.port));
    line("protocol = " + toml_string(name_of(grant.protocol)));
    if (!grant.credential.empty()) line("credential = " + toml_string(grant.credential));
    if (grant.expires) line("expires = " + toml_string(duration_text(*grant.expires)));
    for (const Rule& rule : grant.allow) {
      line("[[grant.allow]]");
      line("method = " + toml_list(rule.methods));
      line("path = " + toml_string(rule.path));
      if (!rule.query.empty()) line("query = " + toml_list(rule.query));
      if (!rule.headers.empty()) line("headers = " + toml_list(rule.headers));
      if (!rule.content_type.empty()) line("content_type = " + toml_string(rule.content_type));
      size("max_body", rule.max_body);
      if (rule.refresh) line("refresh = true");
      if (!rule.packages.empty()) line("packages = " + toml_list(rule.packages));
      if (rule.json) write_json_rules(*rule.json);
      if (rule.git) write_git_rules(*rule.git);
    }
    const Budget& budget = grant.budget;
    if (budget != Budget()) {
      line("[grant.budget]");
      number("requests", budget.requests);
      number("requests_per_minute", budget.requests_per_minute);
      size("bytes_up", budget.bytes_up);
      size("bytes_down", budget.bytes_down);
      size("bytes_up_per_minute", budget.bytes_up_per_minute);
      size("bytes_down_per_minute", budget.bytes_down_per_minute);
    }
    const ResponseRules& response = grant.response;
    if (response != ResponseRules()) {
      line("[grant.response]");
      size("max_body", response.max_body);
      if (response.content_type) line("content_type = " + toml_list(*response.content_type));
      if (!response.streaming) line("streaming = false");
      if (!response.redact.empty()) line("redact = " + toml_list(response.redact));
      if (!response.issue.empty()) line("issue = " + toml_list(response.issue));
      if (!response.follow.empty()) line("follow = " + toml_list(response.follow));
    }
  }

  void write_json_rules(const JsonRules& rules) {
    line("[grant.allow.json]");
    if (!rules.deny_keys.empty()) line("deny_keys = " + toml_list(rules.deny_keys));
    if (!rules.allow_keys.empty()) line("allow_keys = " + toml_list(rules.allow_keys));
    const auto values = [&](const char* key, const std::map<std::string, std::vector<std::string>>& places) {
      if (places.empty()) return;
      line(std::string("[grant.allow.json.") + key + "]");
      for (const auto& [place, texts] : places) line(toml_string(place) + " = " + toml_list(texts));
    };
    values("deny_values", rules.deny_values);
    values("allow_values", rules.allow_values);
    values("require", rules.require);
  }

  void write_git_rules(const GitRules& rules) {
    line("[grant.allow.git]");
    line("refs = " + toml_list(rules.refs));
    line(std::string("delete = ") + (rules.remove ? "true" : "false"));
    if (!rules.push_options.empty()) line("push_options = " + toml_list(rules.push_options));
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
    if (limits == Limits()) return;
    line("\n[limits]");
    if (limits.memory) scalar("memory", toml_string(size_text(*limits.memory)), "limits.memory");
    if (limits.processes) scalar("processes", std::to_string(*limits.processes), "limits.processes");
    if (limits.open_files) scalar("open_files", std::to_string(*limits.open_files), "limits.open_files");
    if (limits.tmp) scalar("tmp", toml_string(size_text(*limits.tmp)), "limits.tmp");
    if (limits.duration) scalar("duration", toml_string(duration_text(*limits.duration)), "limits.duration");
    if (limits.image_size) scalar("image_size", toml_string(size_text(*limits.image_size)), "limits.image_size");
    if (limits.image_files) scalar("image_files", std::to_string(*limits.image_files), "limits.image_files");
    if (limits.cpu) scalar("cpu", toml_string(duration_text(*limits.cpu)), "limits.cpu");
    if (limits.cpus) scalar("cpus", std::to_string(*limits.cpus), "limits.cpus");
    if (limits.output) scalar("output", toml_string(size_text(*limits.output)), "limits.output");
    if (limits.file_size) scalar("file_size", toml_string(size_text(*limits.file_size)), "limits.file_size");
    if (limits.idle) scalar("idle", toml_string(duration_text(*limits.idle)), "limits.idle");
    if (limits.tenant_sessions) {
      scalar("tenant_sessions", std::to_string(*limits.tenant_sessions), "limits.tenant_sessions");
    }
    if (limits.tenant_memory) {
      scalar("tenant_memory", toml_string(size_text(*limits.tenant_memory)), "limits.tenant_memory");
    }
  }

  void write_evidence() {
    if (!policy_.processes && !policy_.files) return;
    line("\n[evidence]");
    if (policy_.processes) scalar("processes", *policy_.processes ? "true" : "false", "evidence.processes");
    if (policy_.files) scalar("files", *policy_.files ? "true" : "false", "evidence.files");
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

std::string credential_text(const Credential& credential) {
  return Writer(Policy{}).only(credential);
}

std::string policy_text(const Policy& policy) {
  return Writer(policy).write();
}

std::string settings_text(Policy policy) {
  policy.grants.clear();
  policy.origins.clear();
  for (Mount& mount : policy.mounts) mount.origin = {};
  for (auto& [name, credential] : policy.credentials) credential.origin = {};
  for (Publish& one : policy.publish) one.origin = {};
  return Writer(policy).write();
}

}  // namespace bulkhead

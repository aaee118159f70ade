#include <algorithm>

#include "base/text.h"
#include "policy/digest.h"
#include "policy/load_parts.h"
#include "policy/managed.h"
#include "policy/names.h"
#include "policy/reader.h"

namespace bulkhead {
namespace {

// What stands there, with its line.
template <class T>
Rules<T> said(const TableReader& reader, std::string_view key, std::optional<T> value) {
  if (!value) return std::nullopt;
  return Said<T>{std::move(*value), reader.find(key)->line};
}

// A list every word of which `check` takes. An empty one says something only where `empty` is left out.
template <class Check>
Result<Rules<std::vector<std::string>>> list(const TableReader& reader, std::string_view key, Check check,
                                             const char* empty = nullptr) {
  BH_TRY(auto words, reader.strings(key));
  if (!words) return std::nullopt;
  if (words->empty() && empty != nullptr) return reader.fail_key(key, empty);
  for (const std::string& word : *words) BH_CHECK(reader.checked(key, check(word)));
  return said(reader, key, std::move(words));
}

// The words of a list as values that have them for names.
template <class Enum>
Result<Rules<std::vector<Enum>>> choices(const TableReader& reader, std::string_view key,
                                         std::initializer_list<Enum> all, const char* empty) {
  BH_TRY(const auto words, reader.strings(key));
  if (!words) return std::nullopt;
  if (words->empty()) return reader.fail_key(key, empty);
  std::vector<std::string> names;
  for (const Enum one : all) names.emplace_back(name_of(one));
  std::vector<Enum> out;
  for (const std::string& word : *words) {
    const auto found = std::ranges::find(names, word);
    if (found == names.end()) return reader.fail_key(key, in_quotes(word) + ": of " + join(names, ", "));
    out.push_back(*(all.begin() + (found - names.begin())));
  }
  return said(reader, key, std::optional(std::move(out)));
}

// A switch that can only be off: what is on without it needs no word, and none makes anybody turn it on.
Result<void> only_off(const TableReader& reader, std::string_view key, Said<bool>& into) {
  BH_TRY(const auto value, reader.boolean(key));
  if (!value) return {};
  if (*value) return reader.fail_key(key, "a rule takes away: write false, or leave it out");
  into = {false, reader.find(key)->line};
  return {};
}

Result<void> check_rule_path(const std::string& path) {
  BH_CHECK(check_path(path));
  if (!path.starts_with('/') && path != "~" && !path.starts_with("~/")) {
    return fail(in_quotes(path) + ": absolute, or `~/…` for each user's home");
  }
  const std::vector<std::string> parts = split(path, '/');
  if (std::ranges::find(parts, "..") != parts.end()) return fail(in_quotes(path) + ": without `..`");
  return {};
}

Result<void> check_pattern(const std::string& name) {
  return check_variable(name.size() > 1 && name.ends_with('*') ? name.substr(0, name.size() - 1) : name);
}

Result<void> one_line(const TableReader& reader, const char* key, std::string& into) {
  BH_TRY(const auto text, reader.string(key));
  if (!text) return {};
  if (text->empty() || text->size() > 200) return reader.fail_key(key, "1 to 200 characters");
  into = *text;
  return {};
}

Result<void> load_mount_rules(const TomlValue& table, ManagedFile& out) {
  const TableReader reader(table, "[mount]", out.layer.file);
  BH_CHECK(reader.only({"allow", "deny", "review", "forbid_modes", "allow_control"}));
  BH_TRY(out.mount_allow, list(reader, "allow", check_rule_path));
  BH_TRY(out.mount_deny, list(reader, "deny", check_rule_path, "an empty list keeps nothing out; leave it out"));
  BH_TRY(out.mount_review, list(reader, "review", check_rule_path, "an empty list asks for nothing; leave it out"));
  BH_TRY(out.forbid_modes,
         choices(reader, "forbid_modes", {MountMode::ro, MountMode::rw, MountMode::rw_no_delete, MountMode::review},
                 "an empty list forbids nothing; leave it out"));
  return only_off(reader, "allow_control", out.allow_control);
}

Result<void> load_presets(const TomlValue& table, ManagedFile& out) {
  const TableReader reader(table, "[network.presets]", out.layer.file);
  std::vector<ManagedFile::Preset> pinned;
  for (const TomlEntry& entry : table.entries) {
    BH_CHECK(reader.checked(entry.key, check_name(entry.key)));
    BH_TRY(const auto digest, reader.string(entry.key));
    const bool is_hex = std::ranges::all_of(*digest, [](char c) { return is_digit(c) || (c >= 'a' && c <= 'f'); });
    if (digest->size() != 64 || !is_hex) {
      return reader.fail_key(
          entry.key, "the SHA-256 of the preset's file, 64 hex digits: `sha256sum " + entry.key + ".toml` prints it");
    }
    pinned.push_back({entry.key, *digest, entry.line});
  }
  out.presets = Said<std::vector<ManagedFile::Preset>>{std::move(pinned), reader.line()};
  return {};
}

Result<void> load_network(const TomlValue& table, ManagedFile& out) {
  Document& layer = out.layer;
  const TableReader reader(table, "[network]", layer.file);
  BH_CHECK(reader.only(
      {"allow_hosts", "deny_hosts", "tcp", "presets", "dns", "upstream_ca", "upstream", "only_managed", "publish"}));
  BH_TRY(out.allow_hosts, list(reader, "allow_hosts", [](const std::string& host) { return check_host(host); }));
  BH_TRY(out.deny_hosts, list(
                             reader, "deny_hosts",
                             [](const std::string& host) -> Result<void> {
                               BH_CHECK(check_host(host));
                               if (!host.starts_with("*.")) return {};
                               return fail(in_quotes(host) + ": write " + in_quotes(host.substr(2)) +
                                           ", which is denied with all that is below it");
                             },
                             "an empty list denies nothing; leave it out"));
  BH_CHECK(only_off(reader, "tcp", out.tcp));
  BH_TRY(const TomlValue* presets, reader.table_at("presets"));
  if (presets != nullptr) BH_CHECK(load_presets(*presets, out));
  BH_TRY(const auto dns, list(reader, "dns", [](const std::string& one) { return check_dns_server(one); }));
  if (dns) layer.dns_servers = dns->value;
  BH_TRY(const auto roots, list(reader, "upstream_ca", [](const std::string& path) -> Result<void> {
           // A file that its user can write would be the user's word.
           if (!path.starts_with('/')) return fail(in_quotes(path) + ": absolute, a file that only root writes");
           return check_rule_path(path);
         }));
  if (roots) layer.upstream_ca = roots->value;
  BH_TRY(const TomlValue* upstream, reader.table_at("upstream"));
  if (upstream != nullptr) BH_CHECK(load_upstream(*upstream, layer));
  for (const char* key : {"dns", "upstream_ca"}) {
    if (const TomlEntry* entry = reader.find(key)) layer.origins[key] = {layer.layer, layer.file, entry->line};
  }
  BH_TRY(out.only_managed, list(
                               reader, "only_managed",
                               [](const std::string& key) -> Result<void> {
                                 if (key == "dns" || key == "upstream_ca" || key == "upstream") return {};
                                 return fail(in_quotes(key) + ": of dns, upstream_ca, upstream");
                               },
                               "an empty list keeps nothing; leave it out"));
  BH_TRY(const auto publish, reader.string("publish"));
  if (!publish) return {};
  if (*publish != "loopback" && *publish != "none") {
    return reader.fail_key("publish", in_quotes(*publish) + ": \"loopback\" or \"none\"");
  }
  out.publish = {*publish == "none" ? ManagedFile::Publish::none : ManagedFile::Publish::loopback,
                 reader.find("publish")->line};
  return {};
}

Result<void> load_env_rules(const TomlValue& table, ManagedFile& out) {
  const TableReader reader(table, "[env]", out.layer.file);
  BH_CHECK(reader.only({"forbid", "set"}));
  BH_TRY(out.env_forbid, list(reader, "forbid", check_pattern, "an empty list forbids nothing; leave it out"));
  BH_TRY(const TomlValue* set, reader.table_at("set"));
  if (set == nullptr) return {};
  const TableReader values(*set, "[env.set]", out.layer.file);
  for (const TomlEntry& entry : set->entries) {
    BH_CHECK(values.checked(entry.key, check_variable(entry.key)));
    BH_TRY(out.layer.env.set[entry.key], values.string(entry.key).map([](const auto& text) { return *text; }));
    out.layer.origins["env.set." + entry.key] = {out.layer.layer, out.layer.file, entry.line};
  }
  return {};
}

Result<void> load_rules(const TomlValue& root, ManagedFile& out) {
  const TableReader reader(root, "", out.layer.file);
  BH_CHECK(reader.only({"version", "organisation", "contact", "tiers", "ask", "toolchains", "secrets", "mount",
                        "network", "credential", "env", "limits", "budget"}));
  BH_TRY(const auto version, reader.count("version", 0, 1000000));
  if (!version) return fail(out.layer.file + ":1: `version` is missing: the file starts with `version = 1`");
  if (*version != 1) return reader.fail_key("version", "this Bulkhead reads version 1");
  BH_CHECK(one_line(reader, "organisation", out.organisation));
  BH_CHECK(one_line(reader, "contact", out.contact));
  BH_TRY(out.tiers,
         choices(reader, "tiers", {Tier::native, Tier::gvisor, Tier::vm}, "an empty list lets no session run"));
  BH_CHECK(only_off(reader, "ask", out.ask));
  BH_CHECK(only_off(reader, "toolchains", out.toolchains));
  BH_CHECK(only_off(reader, "secrets", out.secrets));
  BH_TRY(const TomlValue* mount, reader.table_at("mount"));
  if (mount != nullptr) BH_CHECK(load_mount_rules(*mount, out));
  BH_TRY(const TomlValue* network, reader.table_at("network"));
  if (network != nullptr) BH_CHECK(load_network(*network, out));
  BH_TRY(const TomlValue* credential, reader.table_at("credential"));
  if (credential != nullptr) {
    const TableReader rules(*credential, "[credential]", out.layer.file);
    BH_CHECK(rules.only({"sources"}));
    using Source = Credential::Source;
    BH_TRY(out.sources, choices(rules, "sources",
                                {Source::env, Source::file, Source::command, Source::secret_service,
                                 Source::systemd_creds, Source::answer, Source::login},
                                "an empty list lets no credential be used; say which sources may be read"));
  }
  BH_TRY(const TomlValue* env, reader.table_at("env"));
  if (env != nullptr) BH_CHECK(load_env_rules(*env, out));
  BH_TRY(const TomlValue* limits, reader.table_at("limits"));
  if (limits != nullptr) BH_CHECK(load_limits(*limits, out.layer));
  BH_TRY(const TomlValue* budget, reader.table_at("budget"));
  if (budget != nullptr) {
    BH_TRY(out.budget.value, load_budget(*budget, "[budget]", out.layer.file));
    out.budget.line = budget->line;
  }
  return {};
}

std::string at(const Document& layer, const std::string& key) {
  const auto origin = layer.origins.find(key);
  return escape_for_terminal(layer.file) + ":" +
         std::to_string(origin == layer.origins.end() ? 1 : origin->second.line);
}

template <class T>
Result<void> agree(const Document& a, const Document& b, const std::optional<T>& left, const std::optional<T>& right,
                   const std::string& key) {
  if (!left || !right || *left == *right) return {};
  return fail(at(b, key) + ": sets " + key + " to something else than " + at(a, key) +
              " does; keep one, so that it is clear which holds");
}

}  // namespace

Result<ManagedFile> load_managed(std::string_view text, const std::string& file) {
  ManagedFile out;
  out.file = file;
  out.sha256 = sha256_hex(text);
  out.layer.file = file;
  out.layer.layer = "managed";
  const std::string shown = escape_for_terminal(file);
  BH_TRY(const TomlValue root, parse_toml(text, shown));
  BH_CHECK(load_rules(root, out));
  return out;
}

Result<void> check_managed(const Managed& managed) {
  for (std::size_t i = 0; i < managed.files.size(); ++i) {
    for (std::size_t k = i + 1; k < managed.files.size(); ++k) {
      const Document &a = managed.files[i].layer, &b = managed.files[k].layer;
      BH_CHECK(agree(a, b, a.dns_servers, b.dns_servers, "dns"));
      BH_CHECK(agree(a, b, a.upstream_ca, b.upstream_ca, "upstream_ca"));
      BH_CHECK(agree(a, b, a.upstream, b.upstream, "upstream"));
      for (const auto& [name, value] : a.env.set) {
        const auto other = b.env.set.find(name);
        if (other == b.env.set.end()) continue;
        BH_CHECK(agree(a, b, std::optional(value), std::optional(other->second), "env.set." + name));
      }
    }
  }
  return {};
}

}  // namespace bulkhead

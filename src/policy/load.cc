#include "policy/load.h"

#include <algorithm>

#include "base/sys.h"
#include "base/text.h"
#include "policy/load_parts.h"
#include "policy/names.h"
#include "policy/parameters.h"
#include "policy/publish.h"

namespace bulkhead {
namespace {

constexpr std::initializer_list<MountMode> mount_modes = {MountMode::ro, MountMode::rw, MountMode::rw_no_delete,
                                                          MountMode::review};

template <class Enum>
Result<Enum> one_of(const TableReader& reader, std::string_view key, const std::string& word,
                    std::initializer_list<Enum> values) {
  std::vector<std::string> names;
  for (const Enum value : values) {
    if (word == name_of(value)) return value;
    names.emplace_back(name_of(value));
  }
  const std::string near = suggestion(lower_ascii(word), names);
  return reader.fail_key(key, in_quotes(word) + ": one of " + join(names, ", ") +
                                  (near.empty() ? "" : "; did you mean \"" + near + "\"?"));
}

// Where nothing is judged as it is written, there is nothing to protect, or to open.
Result<void> load_protection(const TableReader& reader, Mount& mount) {
  BH_TRY(const auto protect, reader.boolean("protect"));
  mount.protect = protect.value_or(false);
  if (mount.protect && mount.copy) {
    return reader.fail_key("protect", "a private copy is thrown away, so there is nothing in it to protect");
  }
  if (mount.protect && (mount.mode == MountMode::ro || mount.mode == MountMode::review)) {
    return reader.fail_key("protect", std::string("it is for what is written at once, and the mode is ") +
                                          name_of(mount.mode) + "; write mode = \"rw\", or leave it out");
  }
  if (protect && !mount.protect && mount.mode == MountMode::rw_no_delete) {
    return reader.fail_key(
        "protect", "mode rw-no-delete always protects control files; `allow_control` names what may be written");
  }
  BH_TRY(auto allow, reader.strings("allow_control"));
  if (!allow) return {};
  if (!is_served(mount)) {
    return reader.fail_key("allow_control",
                           "it opens what is protected: it needs `protect = true` with mode rw, or mode rw-no-delete");
  }
  for (const std::string& pattern : *allow) BH_CHECK(reader.checked("allow_control", check_control_pattern(pattern)));
  mount.allow_control = std::move(*allow);
  return {};
}

Result<Mount> mount_of(const TableReader& reader, const Document& document) {
  Mount mount;
  mount.origin = {document.layer, document.file, reader.line()};
  BH_TRY(const auto path, reader.string("path"));
  if (!path) return reader.fail_table("`path` is missing");
  BH_CHECK(reader.checked("path", check_path(*path)));
  mount.path = *path;
  return mount;
}

Result<void> load_target(const TableReader& reader, Mount& mount) {
  BH_TRY(const auto target, reader.string("target"));
  if (!target) return {};
  BH_CHECK(reader.checked("target", check_path(*target)));
  const bool anchored = target->front() == '/' || target->front() == '~';
  const std::vector<std::string> parts = split(*target, '/');
  if (!anchored || std::find(parts.begin(), parts.end(), "..") != parts.end()) {
    return reader.fail_key("target", in_quotes(*target) + ": absolute or `~/…`, without `..`");
  }
  mount.target = *target;
  return {};
}

Result<void> load_mount(const TomlValue& table, Document& document) {
  const TableReader reader(table, "[[mount]]", document.file);
  BH_CHECK(reader.only(
      {"path", "target", "mode", "optional", "copy", "only", "except", "secrets", "protect", "allow_control"}));
  BH_TRY(Mount mount, mount_of(reader, document));
  BH_CHECK(load_target(reader, mount));
  BH_TRY(const auto optional, reader.boolean("optional"));
  mount.optional = optional.value_or(false);
  BH_TRY(const auto copy, reader.boolean("copy"));
  mount.copy = copy.value_or(false);
  // Nobody keeps what is written to a copy, so writing to it is the normal case.
  mount.mode = mount.copy ? MountMode::rw : MountMode::ro;
  BH_TRY(const auto mode, reader.string("mode"));
  if (mode) {
    BH_TRY(mount.mode, one_of(reader, "mode", *mode, mount_modes));
    if (mount.copy && mount.mode != MountMode::ro && mount.mode != MountMode::rw) {
      return reader.fail_key("mode", "a private copy is thrown away, so only ro and rw make sense with `copy`");
    }
  }
  BH_TRY(auto except, reader.strings("except"));
  if (except) {
    if (!mount.copy) return reader.fail_key("except", "leaves names out of a private copy: it needs `copy = true`");
    for (const std::string& name : *except) BH_CHECK(reader.checked("except", check_inner_path(name)));
    mount.except = std::move(*except);
  }
  BH_TRY(auto only, reader.strings("only"));
  if (only) {
    if (!mount.copy) return reader.fail_key("only", "says what a private copy holds: it needs `copy = true`");
    for (const std::string& name : *only) BH_CHECK(reader.checked("only", check_inner_path(name)));
    mount.only = std::move(*only);
  }
  BH_CHECK(load_protection(reader, mount));
  BH_TRY(auto secrets, reader.strings("secrets"));
  if (secrets) {
    for (const std::string& store : *secrets) BH_CHECK(reader.checked("secrets", check_path(store)));
    mount.secrets = std::move(*secrets);
  }
  document.mounts.push_back(std::move(mount));
  return {};
}

// A mount in mode ro, under a name that says what it is for.
Result<void> load_input(const TomlValue& table, Document& document) {
  const TableReader reader(table, "[[input]]", document.file);
  BH_CHECK(reader.only({"path", "target", "copy", "optional"}));
  BH_TRY(Mount mount, mount_of(reader, document));
  BH_CHECK(load_target(reader, mount));
  BH_TRY(const auto copy, reader.boolean("copy"));
  mount.copy = copy.value_or(false);
  BH_TRY(const auto optional, reader.boolean("optional"));
  mount.optional = optional.value_or(false);
  mount.mode = MountMode::ro;
  document.mounts.push_back(std::move(mount));
  return {};
}

Result<void> load_output(const TomlValue& table, Document& document) {
  const TableReader reader(table, "[[output]]", document.file);
  BH_CHECK(reader.only({"path", "target", "max_size", "max_files", "apply"}));
  BH_TRY(Mount mount, mount_of(reader, document));
  BH_CHECK(load_target(reader, mount));
  Output output{.max_size = 256'000'000, .max_files = 10'000, .apply = false};
  BH_TRY(const auto size, reader.size("max_size", 4096));
  output.max_size = size.value_or(output.max_size);
  // It is memory: more than a machine has helps nobody, and the kernel counts pages in 64 bits.
  if (output.max_size > 1'000'000'000'000) return reader.fail_key("max_size", "at most 1 TB");
  BH_TRY(const auto files, reader.count("max_files", 1, 10'000'000));
  output.max_files = files.value_or(output.max_files);
  BH_TRY(const auto apply, reader.boolean("apply"));
  output.apply = apply.value_or(false);
  mount.mode = MountMode::review;
  mount.output = output;
  document.mounts.push_back(std::move(mount));
  return {};
}

Result<void> load_env(const TomlValue& table, Document& document) {
  const TableReader reader(table, "[env]", document.file);
  BH_CHECK(reader.only({"set", "pass"}));
  BH_TRY(const TomlValue* set, reader.table_at("set"));
  if (set != nullptr) {
    const TableReader values(*set, "[env.set]", document.file);
    for (const TomlEntry& entry : set->entries) {
      BH_CHECK(values.checked(entry.key, check_variable(entry.key)));
      BH_TRY(const auto value, values.string(entry.key));
      document.env.set[entry.key] = *value;
      document.origins["env.set." + entry.key] = {document.layer, document.file, entry.line};
    }
  }
  BH_TRY(const auto pass, reader.strings("pass"));
  if (pass) {
    for (const std::string& name : *pass) {
      BH_CHECK(reader.checked("pass", check_variable(name)));
      if (document.env.set.contains(name)) {
        return reader.fail_key("pass", in_quotes(name) + " is also in `set`: one or the other");
      }
      document.origins["env.pass." + name] = {document.layer, document.file, reader.find("pass")->line};
    }
    document.env.pass = *pass;
  }
  return {};
}

// The keys at the top of the file that hold one value.
Result<void> load_scalars(const TableReader& reader, Document& document) {
  BH_TRY(const auto tier, reader.string("tier"));
  if (tier) {
    BH_TRY(document.tier, one_of(reader, "tier", *tier, {Tier::native, Tier::gvisor, Tier::vm}));
  }
  BH_TRY(const auto runsc, reader.string("runsc"));
  if (runsc && *runsc != "debian-12" && *runsc != "usual") {
    return reader.fail_key("runsc", in_quotes(*runsc) + ": \"usual\" (2024 or later) or \"debian-12\" (2022)");
  }
  if (runsc) document.old_runsc = *runsc == "debian-12";
  BH_TRY(document.image, reader.string("image"));
  if (document.image) BH_CHECK(reader.checked("image", check_path(*document.image)));
  BH_TRY(const auto workspace, reader.string("workspace"));
  if (workspace && *workspace == "none") {
    document.no_workspace = true;
  } else if (workspace) {
    BH_TRY(document.workspace, one_of(reader, "workspace", *workspace, mount_modes));
  }
  BH_TRY(document.toolchains, reader.boolean("toolchains"));
  BH_TRY(document.ask, reader.boolean("ask"));
  BH_TRY(document.profile, reader.string("profile"));
  if (document.profile) BH_CHECK(reader.checked("profile", check_name(*document.profile)));
  BH_TRY(document.upstream_ca, reader.strings("upstream_ca"));
  for (const std::string& path : document.upstream_ca.value_or(std::vector<std::string>{})) {
    BH_CHECK(reader.checked("upstream_ca", check_path(path)));
  }
  BH_TRY(document.dns_servers, reader.strings("dns"));
  for (const std::string& server : document.dns_servers.value_or(std::vector<std::string>{})) {
    BH_CHECK(reader.checked("dns", check_dns_server(server)));
  }
  BH_TRY(auto arguments, reader.strings("arguments"));
  if (arguments) document.arguments = std::move(*arguments);
  for (const char* key :
       {"tier", "runsc", "image", "workspace", "toolchains", "ask", "profile", "upstream_ca", "dns"}) {
    if (const TomlEntry* entry = reader.find(key)) {
      document.origins[key] = {document.layer, document.file, entry->line};
    }
  }
  return {};
}

Result<void> load_evidence(const TomlValue& table, Document& document) {
  const TableReader reader(table, "[evidence]", document.file);
  BH_CHECK(reader.only({"processes", "files"}));
  BH_TRY(document.processes, reader.boolean("processes"));
  BH_TRY(document.files, reader.boolean("files"));
  for (const TomlEntry& entry : table.entries) {
    document.origins["evidence." + entry.key] = {document.layer, document.file, entry.line};
  }
  return {};
}

Result<void> load_all(const TomlValue& root, DocumentKind kind, Document& document) {
  const TableReader reader(root, "", document.file);
  std::vector<std::string> known{"version", "grant"};
  if (kind != DocumentKind::preset) {
    known.insert(known.end(), {"tier", "image", "workspace", "mount", "input", "output", "credential", "env", "limits",
                               "evidence", "upstream_ca", "dns", "toolchains"});
  }
  std::vector<TableReader::Later> elsewhere;
  if (kind == DocumentKind::policy) {
    known.insert(known.end(), {"profile", "upstream", "publish", "ask", "runsc"});
  } else {
    elsewhere = {{"upstream", "how this machine reaches the network is for the user's own policy to say"},
                 {"publish", "which ports of this machine are opened is for the user's own policy to say"},
                 {"runsc", "which gVisor is relied on is for the user's own policy to say"},
                 {"ask", "whether somebody is asked is for the user's own policy to say"}};
  }
  if (kind == DocumentKind::profile) known.emplace_back("arguments");
  BH_CHECK(reader.only(known, elsewhere));

  BH_TRY(const auto version, reader.count("version", 0, 1000000));
  if (!version) return fail(document.file + ":1: `version` is missing: the file starts with `version = 1`");
  if (*version != 1) return reader.fail_key("version", "this Bulkhead reads version 1");

  BH_CHECK(load_scalars(reader, document));
  BH_TRY(const auto mounts, reader.tables_at("mount"));
  for (const TomlValue* mount : mounts) BH_CHECK(load_mount(*mount, document));
  BH_TRY(const auto inputs, reader.tables_at("input"));
  for (const TomlValue* input : inputs) BH_CHECK(load_input(*input, document));
  BH_TRY(const auto outputs, reader.tables_at("output"));
  for (const TomlValue* output : outputs) BH_CHECK(load_output(*output, document));
  BH_TRY(const TomlValue* credentials, reader.table_at("credential"));
  if (credentials != nullptr) {
    for (const TomlEntry& entry : credentials->entries) {
      if (entry.value.type != TomlValue::Type::table) {
        return fail(document.file + ":" + std::to_string(entry.line) + ": a credential is a table: write [credential." +
                    escape_for_terminal(entry.key, 60) + "]");
      }
      BH_CHECK(load_credential(entry.value, entry.key, document));
    }
  }
  BH_TRY(const auto grants, reader.tables_at("grant"));
  for (const TomlValue* grant : grants) BH_CHECK(load_grant(*grant, kind, document));
  BH_TRY(const TomlValue* upstream, reader.table_at("upstream"));
  if (upstream != nullptr) BH_CHECK(load_upstream(*upstream, document));
  BH_TRY(const auto publish, reader.strings("publish"));
  for (const std::string& text : publish.value_or(std::vector<std::string>{})) {
    auto port = publish_from(text);
    if (!port) return reader.fail_key("publish", port.error().message);
    port->origin = {document.layer, document.file, reader.find("publish")->line};
    document.publish.push_back(std::move(*port));
  }
  BH_TRY(const TomlValue* env, reader.table_at("env"));
  if (env != nullptr) BH_CHECK(load_env(*env, document));
  BH_TRY(const TomlValue* limits, reader.table_at("limits"));
  if (limits != nullptr) BH_CHECK(load_limits(*limits, document));
  BH_TRY(const TomlValue* evidence, reader.table_at("evidence"));
  if (evidence != nullptr) BH_CHECK(load_evidence(*evidence, document));
  return {};
}

}  // namespace

Result<void> load_limits(const TomlValue& table, Document& document) {
  const TableReader reader(table, "[limits]", document.file);
  BH_CHECK(reader.only({"memory", "processes", "open_files", "tmp", "duration", "image_size", "image_files", "cpu",
                        "cpus", "output", "file_size", "idle", "tenant_sessions", "tenant_memory"}));
  Limits& limits = document.limits;
  BH_TRY(limits.memory, reader.size("memory", 1000'000));
  BH_TRY(limits.processes, reader.count("processes", 1, 4194304));     // PID_MAX_LIMIT on 64 bits
  BH_TRY(limits.open_files, reader.count("open_files", 16, 1048576));  // fs.nr_open's default
  BH_TRY(limits.tmp, reader.size("tmp", 4096));
  BH_TRY(limits.duration, reader.duration("duration"));
  BH_TRY(limits.image_size, reader.size("image_size", 4096));
  BH_TRY(limits.image_files, reader.count("image_files", 1, 100'000'000));
  BH_TRY(limits.cpu, reader.duration("cpu"));
  BH_TRY(limits.cpus, reader.count("cpus", 1, 8192));  // NR_CPUS of the kernel, at most
  BH_TRY(limits.output, reader.size("output", 1));
  BH_TRY(limits.file_size, reader.size("file_size", 1));
  BH_TRY(limits.idle, reader.duration("idle"));
  BH_TRY(limits.tenant_sessions, reader.count("tenant_sessions", 1, 1'000'000));
  BH_TRY(limits.tenant_memory, reader.size("tenant_memory", 1000'000));
  for (const TomlEntry& entry : table.entries) {
    document.origins["limits." + entry.key] = {document.layer, document.file, entry.line};
  }
  return {};
}

namespace {

Document empty_document(const std::string& file, const std::string& layer) {
  Document document;
  document.file = file;
  document.layer = layer;
  return document;
}

Result<Document> preset_from(TomlValue root, const std::string& file, const std::string& layer, const Grant* named) {
  Document document = empty_document(file, layer);
  const std::string shown = escape_for_terminal(file);
  BH_TRY(const auto parameters, load_parameters(root, shown));
  ParameterValues values = example_values(parameters);
  if (named != nullptr) {
    BH_TRY(values, parameter_values(parameters, *named));
  }
  BH_TRY(root, fill_parameters(root, shown, parameters, values));
  BH_CHECK(load_all(root, DocumentKind::preset, document));
  return document;
}

}  // namespace

Result<Document> load_document(std::string_view text, const std::string& file, const std::string& layer,
                               DocumentKind kind) {
  BH_TRY(const TomlValue root, parse_toml(text, escape_for_terminal(file)));
  return load_root(root, file, layer, kind);
}

Result<Document> load_root(const TomlValue& root, const std::string& file, const std::string& layer,
                           DocumentKind kind) {
  if (kind == DocumentKind::preset) return preset_from(root, file, layer, nullptr);
  Document document = empty_document(file, layer);
  BH_CHECK(load_all(root, kind, document));
  return document;
}

Result<Document> load_preset(std::string_view text, const std::string& file, const std::string& layer,
                             const Grant* named) {
  BH_TRY(TomlValue root, parse_toml(text, escape_for_terminal(file)));
  return preset_from(std::move(root), file, layer, named);
}

Result<Document> load_document_file(const std::string& path, const std::string& layer, DocumentKind kind) {
  BH_TRY(const std::string text, sys::read_file(path, max_toml_bytes));
  return load_document(text, path, layer, kind);
}

}  // namespace bulkhead

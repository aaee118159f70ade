#include <algorithm>

#include "policy/load_parts.h"
#include "policy/names.h"

namespace bulkhead {
namespace {

Result<void> load_source(const TableReader& reader, Credential& credential) {
  BH_TRY(const auto source, reader.string("source"));
  if (!source) return reader.fail_table("`source` is missing: where is the secret? e.g. source = \"env:API_KEY\"");
  const std::size_t colon = source->find(':');
  const std::string scheme = source->substr(0, colon);
  credential.source_value = colon == std::string::npos ? "" : source->substr(colon + 1);
  if (scheme == "secret-service" || scheme == "systemd-creds") {
    return reader.fail_key("source", scheme + ": is not supported by this version; use env:, file: or command:");
  }
  if (colon == std::string::npos || (scheme != "env" && scheme != "file" && scheme != "command")) {
    return reader.fail_key("source", in_quotes(*source) + ": write env:VARIABLE, file:PATH or command:SHELL COMMAND");
  }
  if (credential.source_value.empty()) return reader.fail_key("source", "nothing after `" + scheme + ":`");
  if (scheme == "env") {
    credential.source = Credential::Source::env;
    return reader.checked("source", check_variable(credential.source_value));
  }
  if (scheme == "file") {
    credential.source = Credential::Source::file;
    return reader.checked("source", check_path(credential.source_value));
  }
  credential.source = Credential::Source::command;
  return {};
}

Result<void> load_expose(const TableReader& reader, Credential& credential) {
  BH_TRY(const TomlValue* table, reader.table_at("expose"));
  if (table == nullptr) return {};
  const TableReader expose(*table, "`expose` of [credential." + credential.name + "]", reader.file());
  BH_CHECK(expose.only({"env", "prefix"}));
  BH_TRY(const auto env, expose.string("env"));
  if (!env) return expose.fail_table("`env` is missing: the variable in which the workload finds the token");
  BH_CHECK(expose.checked("env", check_variable(*env)));
  credential.expose_env = *env;
  BH_TRY(const auto prefix, expose.string("prefix"));
  if (!prefix) return {};
  // The token goes into headers, so what stands before it must be fit for one.
  const bool fit = std::all_of(prefix->begin(), prefix->end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
           c == '.';
  });
  if (!fit || prefix->size() > 64) {
    return expose.fail_key("prefix", in_quotes(*prefix) + ": at most 64 letters, digits, `-`, `_`, `.`");
  }
  credential.expose_prefix = *prefix;
  return {};
}

Result<void> load_carry(const TableReader& reader, Credential& credential) {
  BH_TRY(const TomlValue* table, reader.table_at("carry"));
  if (table == nullptr) {
    return reader.fail_table(
        "`carry` is missing: the one place it travels in, e.g. carry = { header = \"x-api-key\" } "
        "or { bearer = true }");
  }
  const TableReader carry(*table, "`carry` of [credential." + credential.name + "]", reader.file());
  BH_CHECK(carry.only({"header", "bearer", "basic"}, {{"query", "a credential travels in a header"}}));
  if (table->entries.size() != 1) {
    return carry.fail_table("exactly one of header = \"NAME\", bearer = true, basic = \"USER\"");
  }
  BH_TRY(const auto header, carry.string("header"));
  BH_TRY(const auto bearer, carry.boolean("bearer"));
  BH_TRY(const auto basic, carry.string("basic"));
  if (header) {
    credential.carrier = Credential::Carrier::header;
    auto name = check_carrier_header(*header);
    if (!name) return carry.fail_key("header", name.error().message);
    credential.header = *name;
  } else if (bearer) {
    if (!*bearer) return carry.fail_key("bearer", "only `true` makes sense here");
    credential.carrier = Credential::Carrier::bearer;
  } else {
    const bool fit = std::all_of(basic->begin(), basic->end(), [](char c) { return c > 0x20 && c < 0x7f && c != ':'; });
    if (basic->empty() || basic->size() > 256 || !fit) {
      return carry.fail_key("basic", "the user name that goes with it: printable ASCII without blanks and `:`");
    }
    credential.carrier = Credential::Carrier::basic;
    credential.basic_user = *basic;
  }
  return {};
}

}  // namespace

Result<void> load_credential(const TomlValue& table, const std::string& name, Document& document) {
  const TableReader reader(table, "[credential." + name + "]", document.file);
  Credential credential;
  credential.name = name;
  credential.origin = {document.layer, document.file, reader.line()};
  if (auto ok = check_name(name); !ok) return reader.fail_table(ok.error().message);
  BH_CHECK(reader.only({"source", "expose", "carry", "optional"}));
  BH_CHECK(load_source(reader, credential));
  BH_CHECK(load_expose(reader, credential));
  BH_CHECK(load_carry(reader, credential));
  BH_TRY(const auto optional, reader.boolean("optional"));
  credential.optional = optional.value_or(false);
  document.credentials.emplace(name, std::move(credential));
  return {};
}

}  // namespace bulkhead

#include <algorithm>

#include "base/text.h"
#include "policy/load_parts.h"
#include "policy/names.h"

namespace bulkhead {
namespace {

using Source = Credential::Source;
constexpr Source all_sources[] = {Source::env,           Source::file,  Source::command, Source::secret_service,
                                  Source::systemd_creds, Source::answer};

// secret-tool lookup NAME VALUE…: none may be taken for an option, none be empty.
Result<void> check_attributes(const std::string& value) {
  for (const std::string& attribute : split(value, ',')) {
    const std::size_t equals = attribute.find('=');
    if (equals == std::string::npos || equals == 0 || equals + 1 == attribute.size() || attribute[0] == '-' ||
        attribute[equals + 1] == '-') {
      return fail(in_quotes(attribute) + ": the item's attributes, as in secret-service:service=example,account=me");
    }
  }
  return {};
}

// The name of a unit's credential (systemd.exec(5)), or the path of an encrypted file.
Result<void> check_systemd(const std::string& value) {
  if (value.starts_with('/') || value.starts_with("~/")) return check_path(value);
  const bool fit = value.find('/') == std::string::npos && value != "." && value != ".." && value.size() <= 255 &&
                   std::all_of(value.begin(), value.end(), [](char c) { return c > 0x20 && c < 0x7f && c != ':'; });
  if (!fit) return fail(in_quotes(value) + ": the name of a unit's credential, or the whole path of an encrypted file");
  return {};
}

Result<void> load_source(const TableReader& reader, Credential& credential) {
  BH_TRY(const auto source, reader.string("source"));
  if (!source) return reader.fail_table("`source` is missing: where is the secret? e.g. source = \"env:API_KEY\"");
  const std::size_t colon = source->find(':');
  const std::string scheme = source->substr(0, colon);
  credential.source_value = colon == std::string::npos ? "" : source->substr(colon + 1);
  const auto known = std::find_if(std::begin(all_sources), std::end(all_sources),
                                  [&](Credential::Source one) { return scheme == name_of(one); });
  if (*source == name_of(Source::answer)) {
    credential.source = Source::answer;
    return {};
  }
  if (colon == std::string::npos || known == std::end(all_sources) || *known == Source::answer) {
    return reader.fail_key("source", in_quotes(*source) +
                                         ": write env:VARIABLE, file:PATH, command:SHELL COMMAND, "
                                         "secret-service:NAME=VALUE, systemd-creds:NAME, or answer");
  }
  if (credential.source_value.empty()) return reader.fail_key("source", "nothing after `" + scheme + ":`");
  credential.source = *known;
  switch (credential.source) {
    case Credential::Source::env:
      return reader.checked("source", check_variable(credential.source_value));
    case Credential::Source::file:
      return reader.checked("source", check_path(credential.source_value));
    case Credential::Source::secret_service:
      return reader.checked("source", check_attributes(credential.source_value));
    case Credential::Source::systemd_creds:
      return reader.checked("source", check_systemd(credential.source_value));
    case Credential::Source::command:
    case Credential::Source::answer:
      break;
  }
  return {};
}

// What servers hand out: there is nothing before that to expose, to miss, or to sign with.
Result<void> check_answer(const TableReader& reader, const Credential& credential) {
  for (const char* key : {"expose", "optional"}) {
    if (reader.find(key) != nullptr) {
      return reader.fail_key(key,
                             "with source = \"answer\" there is no value before a server hands one out; leave it out");
    }
  }
  if (credential.carrier == Credential::Carrier::header || credential.carrier == Credential::Carrier::bearer) return {};
  return reader.fail_key("carry", "what a server hands out travels as { bearer = true } or { header = \"NAME\" }");
}

Result<void> load_expose(const TableReader& reader, Credential& credential) {
  BH_TRY(const TomlValue* table, reader.table_at("expose"));
  if (table == nullptr) return {};
  const TableReader expose(*table, "`expose` of [credential." + credential.name + "]", reader.file());
  BH_CHECK(expose.only({"env", "secret_env", "prefix"}));
  BH_TRY(const auto env, expose.string("env"));
  if (!env) return expose.fail_table("`env` is missing: the variable in which the workload finds the token");
  BH_CHECK(expose.checked("env", check_variable(*env)));
  credential.expose_env = *env;
  BH_TRY(const auto secret_env, expose.string("secret_env"));
  if (secret_env) {
    BH_CHECK(expose.checked("secret_env", check_variable(*secret_env)));
    if (*secret_env == *env) return expose.fail_key("secret_env", "the same variable as `env`");
    credential.expose_secret_env = *secret_env;
  }
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

// What a signature is for stands in its scope between slashes.
Result<void> load_sigv4(const TomlValue& table, const TableReader& outer, Credential& credential) {
  const TableReader reader(table, "`sigv4` of [credential." + credential.name + "]", outer.file());
  BH_CHECK(reader.only({"region", "service"}));
  credential.carrier = Credential::Carrier::sigv4;
  for (const auto& [key, into] : {std::pair{"region", &credential.region}, {"service", &credential.service}}) {
    BH_TRY(const auto word, reader.string(key));
    if (!word)
      return reader.fail_table(std::string("`") + key +
                               "` is missing, e.g. region = \"eu-central-1\", service = \"s3\"");
    const bool fit = std::all_of(word->begin(), word->end(),
                                 [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'; });
    if (word->empty() || word->size() > 64 || !fit) {
      return reader.fail_key(key,
                             in_quotes(*word) + ": small letters, digits and `-`, as in \"eu-central-1\" and \"s3\"");
    }
    *into = *word;
  }
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
  BH_CHECK(carry.only({"header", "bearer", "basic", "sigv4"}, {{"query", "a credential travels in a header"}}));
  if (table->entries.size() != 1) {
    return carry.fail_table(
        "exactly one of header = \"NAME\", bearer = true, basic = \"USER\", "
        "sigv4 = { region = \"REGION\", service = \"SERVICE\" }");
  }
  BH_TRY(const TomlValue* sigv4, carry.table_at("sigv4"));
  if (sigv4 != nullptr) return load_sigv4(*sigv4, reader, credential);
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
  if (credential.source == Credential::Source::answer) BH_CHECK(check_answer(reader, credential));
  if (credential.carrier == Credential::Carrier::sigv4) {
    if (!credential.expose_prefix.empty())
      return reader.fail_table("a key pair has no `prefix`: it looks like one already");
    if (!credential.expose_env.empty() && credential.expose_secret_env.empty()) {
      return reader.fail_table(
          "`expose` needs both halves: { env = \"AWS_ACCESS_KEY_ID\", secret_env = \"AWS_SECRET_ACCESS_KEY\" }");
    }
  } else if (!credential.expose_secret_env.empty()) {
    return reader.fail_table("`secret_env` goes with carry = { sigv4 = … } only: other tokens have one half");
  }
  BH_TRY(const auto optional, reader.boolean("optional"));
  credential.optional = optional.value_or(false);
  document.credentials.emplace(name, std::move(credential));
  return {};
}

}  // namespace bulkhead

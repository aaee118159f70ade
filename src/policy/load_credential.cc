#include <algorithm>

#include "base/text.h"
#include "policy/json_path.h"
#include "policy/load_parts.h"
#include "policy/names.h"

namespace bulkhead {
namespace {

using Source = Credential::Source;
constexpr Source all_sources[] = {Source::env,           Source::file,   Source::command, Source::secret_service,
                                  Source::systemd_creds, Source::answer, Source::login};

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
                                         "secret-service:NAME=VALUE, systemd-creds:NAME, login:PATH, or answer");
  }
  if (credential.source_value.empty()) return reader.fail_key("source", "nothing after `" + scheme + ":`");
  credential.source = *known;
  switch (credential.source) {
    case Credential::Source::env:
      return reader.checked("source", check_variable(credential.source_value));
    case Credential::Source::file:
    case Credential::Source::login:
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

// The token goes into headers, so what stands before it must be fit for one.
Result<void> check_prefix(const std::string& prefix) {
  const bool fit = std::all_of(prefix.begin(), prefix.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
           c == '.';
  });
  if (!fit || prefix.size() > 64) return fail(in_quotes(prefix) + ": at most 64 letters, digits, `-`, `_`, `.`");
  return {};
}

// A place in the login's file: keys alone, so that there is one of it.
Result<std::string> load_place(const TableReader& reader, const char* key, bool needed) {
  BH_TRY(const auto place, reader.string(key));
  if (!place && needed) return reader.fail_table(std::string("`") + key + "` is missing: where in the file it stands");
  if (!place) return std::string();
  if (auto path = JsonPath::parse(*place); !path) return reader.fail_key(key, path.error().message);
  if (place->find('*') != std::string::npos)
    return reader.fail_key(key, in_quotes(*place) + ": one place, without `*`");
  return *place;
}

bool is_oauth_word(std::string_view word) {  // RFC 6749, appendix A.4: scope-token
  return !word.empty() &&
         std::ranges::all_of(word, [](char c) { return c > 0x20 && c < 0x7f && c != '"' && c != '\\'; });
}

Result<void> load_send(const TomlValue& table, const TableReader& outer, const std::string& where, Login& login) {
  const TableReader reader(table, where, outer.file());
  for (const TomlEntry& entry : table.entries) {
    if (entry.key == "grant_type" || entry.key == "refresh_token") {
      return reader.fail_key(entry.key, "every refresh has it, and what it holds is not the policy's to say");
    }
    std::vector<std::string> words;
    if (entry.value.type == TomlValue::Type::string) {
      words.push_back(entry.value.string);
    } else {
      BH_TRY(auto several, reader.strings(entry.key));
      words = std::move(*several);
    }
    const bool fit = !words.empty() && std::ranges::all_of(words, is_oauth_word) && is_oauth_word(entry.key);
    if (!fit) return reader.fail_key(entry.key, "one word, or a list of those it may consist of; no blanks in them");
    login.send.emplace(entry.key, std::move(words));
  }
  return {};
}

// [credential.NAME.login]
Result<void> load_login(const TableReader& outer, Credential& credential) {
  BH_TRY(const TomlValue* table, outer.table_at("login"));
  const bool is_login = credential.source == Source::login;
  if (table == nullptr && !is_login) return {};
  if (table == nullptr) {
    return outer.fail_table("`login` is missing: which places of the file hold the tokens; add [credential." +
                            credential.name + ".login]");
  }
  if (!is_login) return outer.fail_key("login", "goes with source = \"login:PATH\" only");
  if (outer.find("expose") != nullptr) {
    return outer.fail_key("expose", "the workload finds a login's tokens in its file; leave it out");
  }
  if (credential.carrier != Credential::Carrier::header && credential.carrier != Credential::Carrier::bearer) {
    return outer.fail_key("carry", "a login's access token travels as { bearer = true } or { header = \"NAME\" }");
  }
  const std::string where = "[credential." + credential.name + ".login]";
  const TableReader reader(*table, where, outer.file());
  BH_CHECK(reader.only({"access", "refresh", "id", "expires", "refreshed", "keep", "claims", "prefix", "send"}));
  Login login;
  BH_TRY(login.access, load_place(reader, "access", true));
  BH_TRY(login.refresh, load_place(reader, "refresh", true));
  BH_TRY(login.id, load_place(reader, "id", false));
  BH_TRY(login.expires, load_place(reader, "expires", false));
  BH_TRY(login.refreshed, load_place(reader, "refreshed", false));
  BH_TRY(auto keep, reader.strings("keep"));
  if (keep) login.keep = std::move(*keep);
  for (const std::string& place : login.keep) {
    if (!JsonPath::parse(place) || place.find('*') != std::string::npos) {
      return reader.fail_key("keep", in_quotes(place) + ": keys with dots between them, without `*`");
    }
    const auto holds = [&](const std::string& other) { return other == place || other.starts_with(place + "."); };
    for (const std::string* token : {&login.access, &login.refresh, &login.id}) {
      if (holds(*token))
        return reader.fail_key("keep", in_quotes(place) + " holds a token, which is never kept as it is");
    }
  }
  BH_TRY(auto claims, reader.strings("claims"));
  if (claims) login.claims = std::move(*claims);
  if (!login.id.empty() && login.claims.empty()) {
    return reader.fail_key("id", "an ID token is a JWT: say in `claims` which of its claims may be read");
  }
  if (login.access == login.refresh || login.id == login.access || login.id == login.refresh) {
    return reader.fail_table("each token has a place of its own");
  }
  BH_TRY(const auto prefix, reader.string("prefix"));
  if (prefix) BH_CHECK(reader.checked("prefix", check_prefix(*prefix)));
  if (prefix && prefix->find('.') != std::string::npos && !login.claims.empty()) {
    return reader.fail_key("prefix", "a JWT's parts are divided by dots: none in the prefix");
  }
  credential.expose_prefix = prefix.value_or("");
  BH_TRY(const TomlValue* send, reader.table_at("send"));
  if (send != nullptr) BH_CHECK(load_send(*send, outer, where.substr(0, where.size() - 1) + ".send]", login));
  credential.login = std::move(login);
  return {};
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
  BH_CHECK(expose.checked("prefix", check_prefix(*prefix)));
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
  BH_CHECK(reader.only({"source", "expose", "carry", "optional", "login"}));
  BH_CHECK(load_source(reader, credential));
  BH_CHECK(load_expose(reader, credential));
  BH_CHECK(load_carry(reader, credential));
  if (credential.source == Credential::Source::answer) BH_CHECK(check_answer(reader, credential));
  BH_CHECK(load_login(reader, credential));
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

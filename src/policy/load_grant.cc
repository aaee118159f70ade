#include <algorithm>
#include <limits>

#include "base/text.h"
#include "policy/json_path.h"
#include "policy/load_parts.h"
#include "policy/names.h"

namespace bulkhead {
namespace {

constexpr std::uint64_t most_refresh = 64'000;
constexpr std::uint64_t most = std::numeric_limits<std::int64_t>::max();

// `method` is a string or an array of them.
Result<std::vector<std::string>> load_methods(const TableReader& reader, Protocol protocol) {
  const TomlEntry* entry = reader.find("method");
  if (entry == nullptr && protocol == Protocol::grpc) return std::vector<std::string>{"POST"};
  if (entry == nullptr && is_websocket(protocol)) return std::vector<std::string>{"GET"};
  if (entry == nullptr) return reader.fail_table("`method` is missing, e.g. method = \"GET\" or [\"GET\", \"HEAD\"]");
  std::vector<std::string> methods;
  if (entry->value.type == TomlValue::Type::string) {
    methods.push_back(entry->value.string);
  } else {
    BH_TRY(auto several, reader.strings("method"));
    methods = std::move(*several);
    if (methods.empty()) return reader.fail_key("method", "an empty list allows nothing; name a method");
  }
  for (const std::string& method : methods) BH_CHECK(reader.checked("method", check_method(method)));
  if (protocol == Protocol::grpc && methods != std::vector<std::string>{"POST"}) {
    return reader.fail_key("method", "gRPC is always POST; the key can be left out");
  }
  if (is_websocket(protocol) && methods != std::vector<std::string>{"GET"}) {
    return reader.fail_key("method", "a WebSocket is always opened by GET; the key can be left out");
  }
  return methods;
}

// What gRPC itself says of its requests is not a rule's to say again.
Result<void> check_grpc_rule(const TableReader& reader, const Rule& rule) {
  for (const char* key : {"query", "content_type", "json"}) {
    if (reader.find(key) != nullptr) {
      return reader.fail_key(key, "a gRPC request has none of a rule's making; `path` and `max_body` judge it");
    }
  }
  return reader.checked("path", check_grpc_path(rule.path));
}

// Of a WebSocket only its opening request is judged; messages are counted, and no rule reads them.
Result<void> check_websocket_rule(const TableReader& reader) {
  for (const char* key : {"content_type", "json", "git"}) {
    if (reader.find(key) != nullptr) {
      return reader.fail_key(key,
                             "a WebSocket's messages are not read: `path`, `query` and `headers` judge how it is "
                             "opened, and `max_body` is the most one message may hold");
    }
  }
  return {};
}

// A refresh has one form (gateway/egress/login.h); which of the two encodings, the content type says.
Result<void> load_refresh(const TableReader& reader, Protocol protocol, Rule& rule) {
  BH_TRY(const auto refresh, reader.boolean("refresh"));
  if (!refresh || !*refresh) return {};
  rule.refresh = true;
  if (protocol != Protocol::https) return reader.fail_key("refresh", "a login is refreshed over https");
  if (rule.methods != std::vector<std::string>{"POST"}) return reader.fail_key("method", "a refresh is a POST");
  if (rule.json || rule.git || !rule.query.empty()) {
    return reader.fail_key("refresh", "a refresh is judged as one: leave out `json`, `git` and `query`");
  }
  if (rule.content_type != "application/json" && rule.content_type != "application/x-www-form-urlencoded") {
    return reader.fail_key("refresh",
                           "say how it is encoded: content_type = \"application/json\" or "
                           "\"application/x-www-form-urlencoded\"");
  }
  if (!rule.max_body) rule.max_body = most_refresh;
  if (*rule.max_body > most_refresh) return reader.fail_key("max_body", "a refresh has at most 64KB");
  return {};
}

// The closed list of what `{package}` in the path may be.
Result<void> load_packages(const TableReader& reader, Rule& rule) {
  BH_TRY(auto packages, reader.strings("packages"));
  if (!packages) return {};
  if (packages->empty()) return reader.fail_key("packages", "an empty list allows nothing; name a package");
  const std::vector<std::string> segments = split(rule.path, '/');
  if (std::count(segments.begin(), segments.end(), "{package}") != 1) {
    return reader.fail_key("packages", "it says what `{package}` in the path may be, and the path has to have it once");
  }
  for (const std::string& name : *packages) {
    BH_CHECK(reader.checked("packages", check_package(name)));
    rule.packages.push_back(lower_ascii(name));
  }
  return {};
}

Result<Rule> load_rule(const TomlValue& table, const Origin& grant, Protocol protocol) {
  const TableReader reader(table, "[[grant.allow]]", grant.file);
  BH_CHECK(reader.only(
      {"method", "path", "query", "headers", "content_type", "max_body", "json", "git", "refresh", "packages"}));
  Rule rule;
  rule.origin = {grant.layer, grant.file, reader.line()};
  BH_TRY(rule.methods, load_methods(reader, protocol));
  BH_TRY(const auto path, reader.string("path"));
  if (!path) return reader.fail_table("`path` is missing, e.g. path = \"/v1/items/{id}\"");
  BH_CHECK(reader.checked("path", check_path_template(*path)));
  rule.path = *path;
  if (protocol == Protocol::grpc) BH_CHECK(check_grpc_rule(reader, rule));
  if (is_websocket(protocol)) BH_CHECK(check_websocket_rule(reader));
  BH_TRY(auto query, reader.strings("query"));
  if (query) {
    for (const std::string& key : *query) BH_CHECK(reader.checked("query", check_query_entry(key)));
    if (query->size() > 1 && std::find(query->begin(), query->end(), "*") != query->end()) {
      return reader.fail_key("query", "\"*\" already means any key; list keys or say \"*\", not both");
    }
    rule.query = std::move(*query);
  }
  BH_TRY(auto headers, reader.strings("headers"));
  if (headers) {
    for (const std::string& name : *headers) BH_CHECK(reader.checked("headers", check_request_header(name)));
    if (headers->size() > 1 && std::find(headers->begin(), headers->end(), "*") != headers->end()) {
      return reader.fail_key("headers", "\"*\" already means any header; list headers or say \"*\", not both");
    }
    rule.headers = std::move(*headers);
  }
  BH_TRY(const auto type, reader.string("content_type"));
  if (type) {
    BH_CHECK(reader.checked("content_type", check_media_type(*type)));
    rule.content_type = *type;
  }
  BH_TRY(rule.max_body, reader.size("max_body"));
  BH_CHECK(load_json_rules(reader, rule));
  BH_CHECK(load_git_rules(reader, rule));
  BH_CHECK(load_refresh(reader, protocol, rule));
  BH_CHECK(load_packages(reader, rule));
  return rule;
}

Result<ResponseRules> load_response(const TomlValue& table, const std::string& file) {
  const TableReader reader(table, "[grant.response]", file);
  BH_CHECK(reader.only({"max_body", "content_type", "streaming", "redact", "issue", "follow"}));
  ResponseRules rules;
  BH_TRY(rules.max_body, reader.size("max_body"));
  BH_TRY(rules.content_type, reader.strings("content_type"));
  if (rules.content_type) {
    for (const std::string& type : *rules.content_type)
      BH_CHECK(reader.checked("content_type", check_media_type(type)));
    if (rules.content_type->empty()) return reader.fail_key("content_type", "an empty list lets no answer through");
  }
  BH_TRY(const auto streaming, reader.boolean("streaming"));
  for (const auto& [key, into] : {std::pair{"redact", &rules.redact}, std::pair{"issue", &rules.issue}}) {
    BH_TRY(auto places, reader.strings(key));
    if (!places) continue;
    for (const std::string& place : *places) {
      if (auto path = JsonPath::parse(place); !path) return reader.fail_key(key, path.error().message);
    }
    *into = std::move(*places);
  }
  for (const std::string& place : rules.issue) {
    if (std::find(rules.redact.begin(), rules.redact.end(), place) != rules.redact.end()) {
      return reader.fail_key("issue", in_quotes(place) + " is in `redact` too: hidden, or handed out as a token");
    }
  }
  BH_TRY(auto follow, reader.strings("follow"));
  if (follow) {
    for (const std::string& host : *follow) {
      BH_CHECK(reader.checked("follow", check_host(host)));
      if (host.starts_with("*.") || is_address(host)) {
        return reader.fail_key("follow", in_quotes(host) + ": whole names of hosts, served over https at port 443");
      }
    }
    rules.follow = std::move(*follow);
  }
  const bool taken_out = !rules.redact.empty() || !rules.issue.empty();
  if (streaming && *streaming && taken_out) {
    return reader.fail_key("streaming",
                           "what values are taken out of is held until it is whole: leave it out, or say false");
  }
  rules.streaming = !taken_out && streaming.value_or(true);
  if (!rules.streaming && (!rules.max_body || *rules.max_body > most_held)) {
    return reader.fail_table("an answer that isn't streamed is held in memory: add max_body, at most \"128MB\"");
  }
  return rules;
}

// `host` is one, `hosts` an enumerated set of them.
Result<std::vector<std::string>> load_hosts(const TableReader& reader) {
  BH_TRY(const auto host, reader.string("host"));
  BH_TRY(auto hosts, reader.strings("hosts"));
  if (host && hosts) return reader.fail_key("hosts", "either `host` or `hosts`");
  if (host) {
    BH_CHECK(reader.checked("host", check_host(*host)));
    return std::vector<std::string>{*host};
  }
  if (!hosts) return reader.fail_table("names neither `host` nor `preset`");
  if (hosts->empty()) return reader.fail_key("hosts", "an empty list grants nothing; name a host");
  for (std::size_t i = 0; i < hosts->size(); ++i) {
    const std::string& one = (*hosts)[i];
    BH_CHECK(reader.checked("hosts", check_host(one)));
    if (std::find(hosts->begin(), hosts->begin() + static_cast<std::ptrdiff_t>(i), one) !=
        hosts->begin() + static_cast<std::ptrdiff_t>(i)) {
      return reader.fail_key("hosts", in_quotes(one) + " stands in it twice");
    }
  }
  return std::move(*hosts);
}

Result<Protocol> load_protocol(const TableReader& reader, const std::string& word) {
  for (const Protocol protocol :
       {Protocol::https, Protocol::http, Protocol::tcp, Protocol::grpc, Protocol::wss, Protocol::ws}) {
    if (word == name_of(protocol)) return protocol;
  }
  if (word == "websocket") {
    return reader.fail_key("protocol", "a WebSocket is \"wss\", over TLS, or \"ws\", without");
  }
  if (word == "http2" || word == "h2") {
    return reader.fail_key("protocol", "\"https\" speaks HTTP/2 and HTTP/1.1, as both sides can");
  }
  if (word == "ssh") return reader.fail_key("protocol", "\"ssh\": write protocol = \"tcp\" and port = 22");
  return reader.fail_key("protocol",
                         in_quotes(word) + ": one of \"https\", \"http\", \"grpc\", \"wss\", \"ws\", \"tcp\"");
}

// Nothing inside an opaque connection can be judged or exchanged, so nothing that would may be said of it.
Result<void> load_opaque(const TableReader& reader, const Grant& grant) {
  if (!grant.credential.empty()) {
    return reader.fail_key("credential",
                           "a tcp connection is not looked into, so no credential can be exchanged there");
  }
  for (const char* key : {"allow", "response"}) {
    if (reader.find(key) != nullptr) {
      return reader.fail_key(key, "a tcp connection is not looked into; leave it out, or grant https");
    }
  }
  return {};
}

// Messages have no type and no end that could be waited for.
Result<void> check_websocket_answers(const TableReader& reader, const Grant& grant) {
  const ResponseRules& rules = grant.response;
  if (!rules.content_type && rules.streaming && rules.redact.empty() && rules.issue.empty() && rules.follow.empty()) {
    return {};
  }
  return reader.fail_key("response",
                         "of a WebSocket only `max_body` can be said, the most one message may hold: its messages "
                         "have no type, are passed on as they come, and are not read");
}

Result<void> load_host(const TableReader& reader, Grant& grant) {
  BH_TRY(grant.hosts, load_hosts(reader));
  BH_TRY(const auto labels, reader.count("labels", 1, most));
  const bool wildcard = std::any_of(grant.hosts.begin(), grant.hosts.end(),
                                    [](const std::string& host) { return host.starts_with("*."); });
  if (labels && !wildcard) return reader.fail_key("labels", "only a wildcard host (\"*.example.com\") has them");
  if (labels) grant.labels = *labels;
  BH_TRY(const auto address, reader.string("address"));
  if (address) {
    if (!is_address(*address)) return reader.fail_key("address", in_quotes(*address) + " is no IP address");
    if (wildcard || grant.hosts.size() != 1 || is_address(grant.hosts.front())) {
      return reader.fail_key("address", "it stands in place of what the name of one host resolves to");
    }
    grant.address = *address;
  }
  BH_TRY(const auto protocol, reader.string("protocol"));
  if (protocol) {
    BH_TRY(grant.protocol, load_protocol(reader, *protocol));
  }
  BH_TRY(const auto port, reader.count("port", 1, 65535));
  if (grant.protocol == Protocol::tcp && !port) return reader.fail_table("`port` is missing, which a tcp grant needs");
  grant.port = port ? static_cast<std::uint16_t>(*port) : usual_port(is_plain(grant.protocol));
  if (grant.port == 53) return reader.fail_key("port", "53 is the room's own name server");
  if (is_plain(grant.protocol) && !grant.credential.empty()) {
    return reader.fail_key("credential",
                           std::string("a credential never travels over plain ") + name_of(grant.protocol));
  }
  if (grant.protocol == Protocol::tcp) return load_opaque(reader, grant);
  if (grant.protocol != Protocol::https && !grant.response.follow.empty()) {
    return reader.fail_key("response", "`follow` is for https: over anything else a redirect could be anybody's");
  }
  if (is_websocket(grant.protocol)) BH_CHECK(check_websocket_answers(reader, grant));
  if (grant.protocol == Protocol::grpc && !(grant.response.redact.empty() && grant.response.issue.empty())) {
    return reader.fail_key("response", "`redact` and `issue` are for JSON, which gRPC's messages are not");
  }

  BH_TRY(const auto rules, reader.tables_at("allow"));
  if (rules.empty()) {
    return reader.fail_table("allows nothing: add a [[grant.allow]] with method and path, or name a preset");
  }
  for (const TomlValue* rule : rules) {
    BH_TRY(Rule loaded, load_rule(*rule, grant.origin, grant.protocol));
    grant.allow.push_back(std::move(loaded));
  }
  return {};
}

// `with`: what the parameters of a preset mean here. Whether it has them shows when it is expanded.
Result<std::map<std::string, PresetArgument>> load_arguments(const TableReader& grant) {
  std::map<std::string, PresetArgument> arguments;
  BH_TRY(const TomlValue* table, grant.table_at("with"));
  if (table == nullptr) return arguments;
  const TableReader reader(*table, "`with`", grant.file());
  for (const TomlEntry& entry : table->entries) {
    PresetArgument argument{{}, entry.line};
    if (entry.value.type == TomlValue::Type::string) {
      BH_TRY(const auto one, reader.string(entry.key));
      argument.values.push_back(*one);
    } else {
      BH_TRY(auto several, reader.strings(entry.key));
      if (several->empty()) return reader.fail_key(entry.key, "an empty list opens nothing; name a value");
      argument.values = std::move(*several);
    }
    arguments.emplace(entry.key, std::move(argument));
  }
  return arguments;
}

}  // namespace

Result<Budget> load_budget(const TomlValue& table, const std::string& where, const std::string& file) {
  const TableReader reader(table, where, file);
  BH_CHECK(reader.only(
      {"requests", "requests_per_minute", "bytes_up", "bytes_down", "bytes_up_per_minute", "bytes_down_per_minute"}));
  Budget budget;
  BH_TRY(budget.requests, reader.count("requests", 0, most));
  BH_TRY(budget.requests_per_minute, reader.count("requests_per_minute", 0, most));
  BH_TRY(budget.bytes_up, reader.size("bytes_up"));
  BH_TRY(budget.bytes_down, reader.size("bytes_down"));
  BH_TRY(budget.bytes_up_per_minute, reader.size("bytes_up_per_minute"));
  BH_TRY(budget.bytes_down_per_minute, reader.size("bytes_down_per_minute"));
  return budget;
}

Result<void> load_grant(const TomlValue& table, DocumentKind kind, Document& document) {
  const TableReader reader(table, "[[grant]]", document.file);
  std::vector<std::string> known{"host",     "hosts", "address", "labels",   "port",
                                 "protocol", "allow", "budget",  "response", "expires"};
  if (kind != DocumentKind::preset) known.insert(known.end(), {"preset", "with", "credential"});
  BH_CHECK(reader.only(known));
  Grant grant;
  grant.origin = {document.layer, document.file, reader.line()};
  BH_TRY(const auto credential, reader.string("credential"));
  if (credential) {
    BH_CHECK(reader.checked("credential", check_name(*credential)));
    grant.credential = *credential;
  }
  BH_TRY(const TomlValue* budget, reader.table_at("budget"));
  if (budget != nullptr) {
    BH_TRY(grant.budget, load_budget(*budget, "[grant.budget]", document.file));
  }
  BH_TRY(grant.expires, reader.duration("expires"));
  BH_TRY(const TomlValue* response, reader.table_at("response"));
  if (response != nullptr) {
    BH_TRY(grant.response, load_response(*response, document.file));
  }
  BH_TRY(const auto preset, reader.string("preset"));
  if (preset) {
    BH_CHECK(reader.checked("preset", check_name(*preset)));
    for (const char* key : {"host", "hosts", "address", "labels", "port", "protocol", "allow", "response"}) {
      if (reader.find(key) != nullptr) {
        return reader.fail_key(
            key, "the preset says that; beside `preset` stand only `with`, `credential`, `budget` and `expires`");
      }
    }
    grant.preset = *preset;
    BH_TRY(grant.with, load_arguments(reader));
  } else {
    if (reader.find("with") != nullptr) return reader.fail_key("with", "only a preset has parameters; name one");
    BH_CHECK(load_host(reader, grant));
  }
  document.grants.push_back(std::move(grant));
  return {};
}

}  // namespace bulkhead

#include <algorithm>
#include <limits>

#include "policy/load_parts.h"
#include "policy/names.h"

namespace bulkhead {
namespace {

constexpr std::uint64_t most = std::numeric_limits<std::int64_t>::max();

// `method` is a string or an array of them.
Result<std::vector<std::string>> load_methods(const TableReader& reader) {
  const TomlEntry* entry = reader.find("method");
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
  return methods;
}

Result<Rule> load_rule(const TomlValue& table, const std::string& file) {
  const TableReader reader(table, "[[grant.allow]]", file);
  BH_CHECK(reader.only({"method", "path", "query", "content_type", "max_body", "json"},
                       {{"headers", "a grant can't list request headers in this version"},
                        {"body", "`content_type`, `max_body` and `json` judge bodies"}}));
  Rule rule;
  BH_TRY(rule.methods, load_methods(reader));
  BH_TRY(const auto path, reader.string("path"));
  if (!path) return reader.fail_table("`path` is missing, e.g. path = \"/v1/items/{id}\"");
  BH_CHECK(reader.checked("path", check_path_template(*path)));
  rule.path = *path;
  BH_TRY(auto query, reader.strings("query"));
  if (query) {
    for (const std::string& key : *query) BH_CHECK(reader.checked("query", check_query_key(key)));
    if (query->size() > 1 && std::find(query->begin(), query->end(), "*") != query->end()) {
      return reader.fail_key("query", "\"*\" already means any key; list keys or say \"*\", not both");
    }
    rule.query = std::move(*query);
  }
  BH_TRY(const auto type, reader.string("content_type"));
  if (type) {
    BH_CHECK(reader.checked("content_type", check_media_type(*type)));
    rule.content_type = *type;
  }
  BH_TRY(rule.max_body, reader.size("max_body"));
  BH_CHECK(load_json_rules(reader, rule));
  return rule;
}

Result<Budget> load_budget(const TomlValue& table, const std::string& file) {
  const TableReader reader(table, "[grant.budget]", file);
  BH_CHECK(reader.only({"requests", "requests_per_minute", "bytes_up", "bytes_down"},
                       {{"expires", "a grant lasts as long as its session in this version"},
                        {"bytes_per_minute", "use `requests_per_minute`"}}));
  Budget budget;
  BH_TRY(budget.requests, reader.count("requests", 0, most));
  BH_TRY(budget.requests_per_minute, reader.count("requests_per_minute", 0, most));
  BH_TRY(budget.bytes_up, reader.size("bytes_up"));
  BH_TRY(budget.bytes_down, reader.size("bytes_down"));
  return budget;
}

Result<void> load_host(const TableReader& reader, Grant& grant) {
  BH_TRY(const auto host, reader.string("host"));
  if (!host) return reader.fail_table("names neither `host` nor `preset`");
  BH_CHECK(reader.checked("host", check_host(*host)));
  grant.host = *host;
  BH_TRY(const auto protocol, reader.string("protocol"));
  if (protocol && *protocol == "http") {
    grant.protocol = Protocol::http;
  } else if (protocol && (*protocol == "ws" || *protocol == "wss" || *protocol == "grpc" || *protocol == "tcp" ||
                          *protocol == "udp" || *protocol == "ssh" || *protocol == "http2" || *protocol == "h2")) {
    return reader.fail_key("protocol",
                           "not supported yet: " + in_quotes(*protocol) + "; this version speaks https and http");
  } else if (protocol && *protocol != "https") {
    return reader.fail_key("protocol", in_quotes(*protocol) + ": one of \"https\", \"http\"");
  }
  BH_TRY(const auto port, reader.count("port", 1, 65535));
  grant.port = port ? static_cast<std::uint16_t>(*port) : grant.protocol == Protocol::http ? 80 : 443;
  if (grant.port == 53) return reader.fail_key("port", "53 is the room's own name server");
  if (grant.protocol == Protocol::http && !grant.credential.empty()) {
    return reader.fail_key("credential", "a credential never travels over plain http");
  }

  BH_TRY(const auto rules, reader.tables_at("allow"));
  if (rules.empty()) {
    return reader.fail_table("allows nothing: add a [[grant.allow]] with method and path, or name a preset");
  }
  for (const TomlValue* rule : rules) {
    BH_TRY(Rule loaded, load_rule(*rule, reader.file()));
    grant.allow.push_back(std::move(loaded));
  }
  return {};
}

}  // namespace

Result<void> load_grant(const TomlValue& table, DocumentKind kind, Document& document) {
  const TableReader reader(table, "[[grant]]", document.file);
  const std::vector<TableReader::Later> later{
      {"expires", "a grant lasts as long as its session in this version"},
      {"expiry", "a grant lasts as long as its session in this version"},
      {"headers", "a grant can't list request headers in this version"},
      {"body", "`content_type`, `max_body` and `json` of [[grant.allow]] judge bodies"}};
  if (kind == DocumentKind::preset) {
    BH_CHECK(reader.only({"host", "port", "protocol", "allow", "budget"}, later));
  } else {
    BH_CHECK(reader.only({"preset", "host", "port", "protocol", "credential", "allow", "budget"}, later));
  }
  Grant grant;
  grant.origin = {document.layer, document.file, reader.line()};
  BH_TRY(const auto credential, reader.string("credential"));
  if (credential) {
    BH_CHECK(reader.checked("credential", check_name(*credential)));
    grant.credential = *credential;
  }
  BH_TRY(const TomlValue* budget, reader.table_at("budget"));
  if (budget != nullptr) {
    BH_TRY(grant.budget, load_budget(*budget, document.file));
  }
  BH_TRY(const auto preset, reader.string("preset"));
  if (preset) {
    BH_CHECK(reader.checked("preset", check_name(*preset)));
    for (const char* key : {"host", "port", "protocol", "allow"}) {
      if (reader.find(key) != nullptr) {
        return reader.fail_key(key, "the preset says that; beside `preset` stand only `credential` and `budget`");
      }
    }
    grant.preset = *preset;
  } else {
    BH_CHECK(load_host(reader, grant));
  }
  document.grants.push_back(std::move(grant));
  return {};
}

}  // namespace bulkhead

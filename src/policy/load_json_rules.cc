#include <algorithm>

#include "policy/json_path.h"
#include "policy/load_parts.h"
#include "policy/names.h"

namespace bulkhead {
namespace {

using Values = std::map<std::string, std::vector<std::string>>;

Result<Values> load_values(const TableReader& reader, const char* key) {
  Values values;
  BH_TRY(const TomlValue* table, reader.table_at(key));
  if (table == nullptr) return values;
  const TableReader places(*table, "[grant.allow.json." + std::string(key) + "]", reader.file());
  for (const TomlEntry& entry : table->entries) {
    const auto path = JsonPath::parse(entry.key);
    if (!path) return places.fail_key(entry.key, path.error().message);
    BH_TRY(auto texts, places.strings(entry.key));
    if (texts->empty()) return places.fail_key(entry.key, "an empty list; name values, or use `deny_keys`");
    for (const std::string& text : *texts) {
      if (text.find('*') < text.size() - 1) {
        return places.fail_key(entry.key, in_quotes(text) + ": `*` stands for the rest of a value, at its end only");
      }
    }
    values.emplace(entry.key, std::move(*texts));
  }
  return values;
}

}  // namespace

Result<void> load_json_rules(const TableReader& rule_reader, Rule& rule) {
  BH_TRY(const TomlValue* table, rule_reader.table_at("json"));
  if (table == nullptr) return {};
  const TableReader reader(*table, "[grant.allow.json]", rule_reader.file());
  BH_CHECK(reader.only({"deny_keys", "deny_values", "allow_keys", "allow_values", "require"}));
  JsonRules rules;
  for (const auto& [key, into] : {std::pair("deny_keys", &rules.deny_keys), {"allow_keys", &rules.allow_keys}}) {
    BH_TRY(auto places, reader.strings(key));
    if (!places) continue;
    for (const std::string& place : *places) {
      if (auto path = JsonPath::parse(place); !path) return reader.fail_key(key, path.error().message);
      if (into == &rules.allow_keys && place.ends_with('*')) {
        return reader.fail_key(key,
                               in_quotes(place) + ": a place here ends with a key: any other beside it is refused");
      }
    }
    *into = std::move(*places);
  }
  BH_TRY(rules.deny_values, load_values(reader, "deny_values"));
  BH_TRY(rules.allow_values, load_values(reader, "allow_values"));
  BH_TRY(rules.require, load_values(reader, "require"));
  if (rule.content_type != "application/json") {
    return reader.fail_table("only a body that says it is JSON can be judged: add content_type = \"application/json\"");
  }
  if (!rule.max_body || *rule.max_body > most_held) {
    return reader.fail_table("a body is held until it is judged: add max_body, at most \"128MB\"");
  }
  const auto bodiless = [](const std::string& method) { return method == "GET" || method == "HEAD"; };
  if (std::any_of(rule.methods.begin(), rule.methods.end(), bodiless)) {
    return reader.fail_table("GET and HEAD have no body; give them a [[grant.allow]] of their own");
  }
  rule.json = std::move(rules);
  return {};
}

}  // namespace bulkhead

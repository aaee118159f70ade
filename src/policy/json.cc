#include "policy/json.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace bulkhead {

using nlohmann::json;

namespace json_read {
namespace {

Result<const json*> value(const json& object, const char* key) {
  if (!object.is_object()) return fail("not a JSON object");
  const auto it = object.find(key);
  if (it == object.end()) return fail(std::string("key \"") + key + "\" is missing");
  return &*it;
}

tl::unexpected<Error> wrong(const char* key, const char* wanted) {
  return fail(std::string("key \"") + key + "\" is not " + wanted);
}

}  // namespace

Result<void> keys(const json& object, const std::vector<std::string>& expected, const char* what) {
  if (!object.is_object()) return fail(std::string(what) + " is not a JSON object");
  for (const auto& [key, unused] : object.items()) {
    if (std::find(expected.begin(), expected.end(), key) == expected.end()) {
      return fail(std::string(what) + " has an unknown key");
    }
  }
  for (const std::string& key : expected) {
    if (!object.contains(key)) return fail(std::string(what) + ": key \"" + key + "\" is missing");
  }
  return {};
}

Result<std::string> string(const json& object, const char* key) {
  BH_TRY(const json* found, value(object, key));
  if (!found->is_string()) return wrong(key, "a string");
  return found->get<std::string>();
}

Result<bool> boolean(const json& object, const char* key) {
  BH_TRY(const json* found, value(object, key));
  if (!found->is_boolean()) return wrong(key, "true or false");
  return found->get<bool>();
}

Result<std::uint64_t> number(const json& object, const char* key, std::uint64_t most) {
  BH_TRY(const json* found, value(object, key));
  // A negative number, a fraction and anything beyond 64 bits are other types to the parser.
  if (!found->is_number_integer() || (!found->is_number_unsigned() && found->get<std::int64_t>() < 0)) {
    return wrong(key, "a number from 0");
  }
  const auto number = found->get<std::uint64_t>();
  if (number > most) return wrong(key, "within range");
  return number;
}

Result<std::vector<std::string>> strings(const json& object, const char* key) {
  BH_TRY(const json* found, array(object, key));
  std::vector<std::string> out;
  for (const json& item : *found) {
    if (!item.is_string()) return wrong(key, "an array of strings");
    out.push_back(item.get<std::string>());
  }
  return out;
}

Result<const json*> array(const json& object, const char* key) {
  BH_TRY(const json* found, value(object, key));
  if (!found->is_array()) return wrong(key, "an array");
  return found;
}

Result<const json*> object(const json& object, const char* key) {
  BH_TRY(const json* found, value(object, key));
  if (!found->is_object()) return wrong(key, "an object");
  return found;
}

}  // namespace json_read

namespace {

// An unset number is null: absent and unset stay two things.
json optional_number(const std::optional<std::uint64_t>& number) {
  return number ? json(*number) : json(nullptr);
}

Result<std::optional<std::uint64_t>> optional_number_from(const json& object, const char* key) {
  if (object.is_object() && object.contains(key) && object.at(key).is_null()) return std::nullopt;
  BH_TRY(const std::uint64_t number, json_read::number(object, key, std::numeric_limits<std::uint64_t>::max()));
  return number;
}

json to_json(const JsonRules& rules) {
  return {{"deny_keys", rules.deny_keys},
          {"deny_values", rules.deny_values},
          {"allow_keys", rules.allow_keys},
          {"allow_values", rules.allow_values},
          {"require", rules.require}};
}

json to_json(const GitRules& rules) {
  return {{"refs", rules.refs}, {"delete", rules.remove}, {"push_options", rules.push_options}};
}

// Places and their values: both are judged again by whoever uses them (gateway/grant/json_body.h).
Result<std::map<std::string, std::vector<std::string>>> values_from(const json& object, const char* key) {
  BH_TRY(const json* places, json_read::object(object, key));
  std::map<std::string, std::vector<std::string>> values;
  for (const auto& [place, unused] : places->items()) {
    BH_TRY(values[place], json_read::strings(*places, place.c_str()));
  }
  return values;
}

Result<std::optional<JsonRules>> json_rules_from(const json& object) {
  if (object.is_object() && object.contains("json") && object.at("json").is_null()) return std::nullopt;
  BH_TRY(const json* rules, json_read::object(object, "json"));
  BH_CHECK(json_read::keys(*rules, {"deny_keys", "deny_values", "allow_keys", "allow_values", "require"},
                           "rules about a body"));
  JsonRules out;
  BH_TRY(out.deny_keys, json_read::strings(*rules, "deny_keys"));
  BH_TRY(out.allow_keys, json_read::strings(*rules, "allow_keys"));
  BH_TRY(out.deny_values, values_from(*rules, "deny_values"));
  BH_TRY(out.allow_values, values_from(*rules, "allow_values"));
  BH_TRY(out.require, values_from(*rules, "require"));
  return out;
}

Result<std::optional<GitRules>> git_rules_from(const json& object) {
  if (object.is_object() && object.contains("git") && object.at("git").is_null()) return std::nullopt;
  BH_TRY(const json* rules, json_read::object(object, "git"));
  BH_CHECK(json_read::keys(*rules, {"refs", "delete", "push_options"}, "rules about a push"));
  GitRules out;
  BH_TRY(out.refs, json_read::strings(*rules, "refs"));
  BH_TRY(out.remove, json_read::boolean(*rules, "delete"));
  BH_TRY(out.push_options, json_read::strings(*rules, "push_options"));
  return out;
}

json to_json(const Rule& rule) {
  return {{"methods", rule.methods},
          {"path", rule.path},
          {"query", rule.query},
          {"headers", rule.headers},
          {"content_type", rule.content_type},
          {"max_body", optional_number(rule.max_body)},
          {"json", rule.json ? to_json(*rule.json) : json(nullptr)},
          {"git", rule.git ? to_json(*rule.git) : json(nullptr)},
          {"target", rule.target},
          {"refresh", rule.refresh},
          {"packages", rule.packages}};
}

Result<Rule> rule_from(const json& object) {
  BH_CHECK(json_read::keys(object,
                           {"methods", "path", "query", "headers", "content_type", "max_body", "json", "git", "target",
                            "refresh", "packages"},
                           "a rule"));
  Rule rule;
  BH_TRY(rule.methods, json_read::strings(object, "methods"));
  BH_TRY(rule.path, json_read::string(object, "path"));
  BH_TRY(rule.query, json_read::strings(object, "query"));
  BH_TRY(rule.headers, json_read::strings(object, "headers"));
  BH_TRY(rule.content_type, json_read::string(object, "content_type"));
  BH_TRY(rule.max_body, optional_number_from(object, "max_body"));
  BH_TRY(rule.json, json_rules_from(object));
  BH_TRY(rule.git, git_rules_from(object));
  BH_TRY(rule.target, json_read::string(object, "target"));
  BH_TRY(rule.refresh, json_read::boolean(object, "refresh"));
  BH_TRY(rule.packages, json_read::strings(object, "packages"));
  if (rule.methods.empty()) return fail("a rule without methods");
  if (rule.path.empty() || rule.path.front() != '/') return fail("a rule's path does not start with '/'");
  for (const auto* words : {&rule.methods, &rule.query, &rule.headers, &rule.packages}) {
    if (std::find(words->begin(), words->end(), "") != words->end()) return fail("a rule with an empty word");
  }
  return rule;
}

json to_json(const Budget& budget) {
  return {{"requests", optional_number(budget.requests)},
          {"requests_per_minute", optional_number(budget.requests_per_minute)},
          {"bytes_up", optional_number(budget.bytes_up)},
          {"bytes_down", optional_number(budget.bytes_down)},
          {"bytes_up_per_minute", optional_number(budget.bytes_up_per_minute)},
          {"bytes_down_per_minute", optional_number(budget.bytes_down_per_minute)}};
}

Result<Budget> budget_from(const json& object) {
  BH_CHECK(json_read::keys(
      object,
      {"requests", "requests_per_minute", "bytes_up", "bytes_down", "bytes_up_per_minute", "bytes_down_per_minute"},
      "a budget"));
  Budget budget;
  BH_TRY(budget.requests, optional_number_from(object, "requests"));
  BH_TRY(budget.requests_per_minute, optional_number_from(object, "requests_per_minute"));
  BH_TRY(budget.bytes_up, optional_number_from(object, "bytes_up"));
  BH_TRY(budget.bytes_down, optional_number_from(object, "bytes_down"));
  BH_TRY(budget.bytes_up_per_minute, optional_number_from(object, "bytes_up_per_minute"));
  BH_TRY(budget.bytes_down_per_minute, optional_number_from(object, "bytes_down_per_minute"));
  return budget;
}

json to_json(const ResponseRules& rules) {
  return {{"max_body", optional_number(rules.max_body)},
          {"content_type", rules.content_type ? json(*rules.content_type) : json(nullptr)},
          {"streaming", rules.streaming},
          {"redact", rules.redact},
          {"issue", rules.issue},
          {"follow", rules.follow}};
}

Result<ResponseRules> response_from(const json& object) {
  BH_CHECK(json_read::keys(object, {"max_body", "content_type", "streaming", "redact", "issue", "follow"},
                           "rules about answers"));
  ResponseRules rules;
  BH_TRY(rules.max_body, optional_number_from(object, "max_body"));
  if (!object.at("content_type").is_null()) {
    BH_TRY(rules.content_type, json_read::strings(object, "content_type"));
  }
  BH_TRY(rules.streaming, json_read::boolean(object, "streaming"));
  BH_TRY(rules.redact, json_read::strings(object, "redact"));
  BH_TRY(rules.issue, json_read::strings(object, "issue"));
  BH_TRY(rules.follow, json_read::strings(object, "follow"));
  return rules;
}

Result<Origin> origin_from(const json& object) {
  BH_CHECK(json_read::keys(object, {"layer", "file", "line"}, "an origin"));
  Origin origin;
  BH_TRY(origin.layer, json_read::string(object, "layer"));
  BH_TRY(origin.file, json_read::string(object, "file"));
  BH_TRY(const std::uint64_t line, json_read::number(object, "line", std::numeric_limits<int>::max()));
  origin.line = static_cast<int>(line);
  return origin;
}

}  // namespace

json to_json(const Login& login) {
  return {
      {"access", login.access},       {"refresh", login.refresh}, {"id", login.id},         {"expires", login.expires},
      {"refreshed", login.refreshed}, {"keep", login.keep},       {"claims", login.claims}, {"send", login.send}};
}

Result<Login> login_from(const json& object) {
  BH_CHECK(json_read::keys(object, {"access", "refresh", "id", "expires", "refreshed", "keep", "claims", "send"},
                           "a login"));
  Login login;
  BH_TRY(login.access, json_read::string(object, "access"));
  BH_TRY(login.refresh, json_read::string(object, "refresh"));
  BH_TRY(login.id, json_read::string(object, "id"));
  BH_TRY(login.expires, json_read::string(object, "expires"));
  BH_TRY(login.refreshed, json_read::string(object, "refreshed"));
  BH_TRY(login.keep, json_read::strings(object, "keep"));
  BH_TRY(login.claims, json_read::strings(object, "claims"));
  BH_TRY(login.send, values_from(object, "send"));
  if (login.access.empty() || login.refresh.empty()) return fail("a login without places for its tokens");
  return login;
}

json to_json(const Grant& grant) {
  json allow = json::array();
  for (const Rule& rule : grant.allow) allow.push_back(to_json(rule));
  return {{"id", grant.id},
          {"hosts", grant.hosts},
          {"address", grant.address},
          {"labels", grant.labels},
          {"port", grant.port},
          {"protocol", name_of(grant.protocol)},
          {"credential", grant.credential},
          {"allow", std::move(allow)},
          {"budget", to_json(grant.budget)},
          {"response", to_json(grant.response)},
          {"expires", grant.expires ? json(grant.expires->count()) : json(nullptr)},
          {"preset", grant.preset},
          {"origin",
           {{"layer", grant.origin.layer}, {"file", grant.origin.file}, {"line", std::max(0, grant.origin.line)}}}};
}

Result<Grant> grant_from(const json& object) {
  BH_CHECK(json_read::keys(object,
                           {"id", "hosts", "address", "labels", "port", "protocol", "credential", "allow", "budget",
                            "response", "expires", "preset", "origin"},
                           "a grant"));
  Grant grant;
  BH_TRY(grant.id, json_read::string(object, "id"));
  BH_TRY(grant.hosts, json_read::strings(object, "hosts"));
  BH_TRY(grant.address, json_read::string(object, "address"));
  BH_TRY(grant.labels, json_read::number(object, "labels", std::numeric_limits<std::uint64_t>::max()));
  BH_TRY(const std::uint64_t port, json_read::number(object, "port", 65535));
  grant.port = static_cast<std::uint16_t>(port);
  BH_TRY(const std::string protocol, json_read::string(object, "protocol"));
  if (protocol == name_of(Protocol::https)) {
    grant.protocol = Protocol::https;
  } else if (protocol == name_of(Protocol::http)) {
    grant.protocol = Protocol::http;
  } else if (protocol == name_of(Protocol::tcp)) {
    grant.protocol = Protocol::tcp;
  } else if (protocol == name_of(Protocol::grpc)) {
    grant.protocol = Protocol::grpc;
  } else if (protocol == name_of(Protocol::wss)) {
    grant.protocol = Protocol::wss;
  } else if (protocol == name_of(Protocol::ws)) {
    grant.protocol = Protocol::ws;
  } else {
    return fail("a grant with an unknown protocol");
  }
  BH_TRY(grant.credential, json_read::string(object, "credential"));
  BH_TRY(const json* rules, json_read::array(object, "allow"));
  for (const json& one : *rules) {
    BH_TRY(Rule rule, rule_from(one));
    grant.allow.push_back(std::move(rule));
  }
  BH_TRY(const json* budget, json_read::object(object, "budget"));
  BH_TRY(grant.budget, budget_from(*budget));
  BH_TRY(const json* response, json_read::object(object, "response"));
  BH_TRY(grant.response, response_from(*response));
  BH_TRY(const auto expires, optional_number_from(object, "expires"));
  if (expires) {
    if (*expires > std::uint64_t{366} * 24 * 3600) return fail("a grant that expires in more than a year");
    grant.expires = std::chrono::seconds(*expires);
  }
  BH_TRY(grant.preset, json_read::string(object, "preset"));
  BH_TRY(const json* origin, json_read::object(object, "origin"));
  BH_TRY(grant.origin, origin_from(*origin));
  const bool named = !grant.hosts.empty() && std::find(grant.hosts.begin(), grant.hosts.end(), "") == grant.hosts.end();
  if (grant.id.empty() || !named || grant.port == 0) return fail("a grant without id, host or port");
  return grant;
}

namespace {

// FNV-1a, 64 bits.
std::string fingerprint_of(const json& object) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const char c : object.dump()) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  std::string out;
  for (int shift = 60; shift >= 0; shift -= 4) out += "0123456789abcdef"[(hash >> shift) & 15];
  return out;
}

// Rules that say nothing of these keep the fingerprints they have in older evidence.
json without_empty_target(json rule) {
  if (rule.at("target") == "") rule.erase("target");
  if (rule.at("refresh") == false) rule.erase("refresh");
  return rule;
}

}  // namespace

std::string fingerprint(const Rule& rule) {
  return fingerprint_of(without_empty_target(to_json(rule)));
}

std::string fingerprint(const Grant& grant) {
  json object = to_json(grant);
  for (const char* key : {"id", "preset", "origin"}) object.erase(key);
  for (json& rule : object.at("allow")) rule = without_empty_target(std::move(rule));
  return fingerprint_of(object);
}

const char* name_of(Credential::Carrier carrier) {
  switch (carrier) {
    case Credential::Carrier::header:
      return "header";
    case Credential::Carrier::bearer:
      return "bearer";
    case Credential::Carrier::basic:
      return "basic";
    case Credential::Carrier::sigv4:
      return "sigv4";
  }
  return "?";
}

Result<Credential::Carrier> carrier_from(const json& object, const char* key) {
  BH_TRY(const std::string word, json_read::string(object, key));
  for (const auto carrier : {Credential::Carrier::header, Credential::Carrier::bearer, Credential::Carrier::basic,
                             Credential::Carrier::sigv4}) {
    if (word == name_of(carrier)) return carrier;
  }
  return fail("an unknown carrier");
}

}  // namespace bulkhead

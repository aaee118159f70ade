#include <nlohmann/json.hpp>

#include "gateway/gateway.h"
#include "policy/json.h"

namespace bulkhead {

using nlohmann::json;

namespace {

json to_json(const Listener& listener) {
  return {{"port", listener.port}, {"stream", listener.stream}, {"ipv6", listener.ipv6}};
}

Result<Listener> listener_from(const json& object) {
  BH_CHECK(json_read::keys(object, {"port", "stream", "ipv6"}, "a listener"));
  Listener listener;
  BH_TRY(const std::uint64_t port, json_read::number(object, "port", 65535));
  if (port == 0) return fail("a listener on port 0");
  listener.port = static_cast<std::uint16_t>(port);
  BH_TRY(listener.stream, json_read::boolean(object, "stream"));
  BH_TRY(listener.ipv6, json_read::boolean(object, "ipv6"));
  return listener;
}

json to_json(const TokenSlot& slot) {
  return {{"credential", slot.credential},
          {"token", slot.token},
          {"carrier", name_of(slot.carrier)},
          {"header", slot.header},
          {"basic_user", slot.basic_user}};
}

Result<TokenSlot> slot_from(const json& object) {
  BH_CHECK(json_read::keys(object, {"credential", "token", "carrier", "header", "basic_user"}, "a token"));
  TokenSlot slot;
  BH_TRY(slot.credential, json_read::string(object, "credential"));
  BH_TRY(slot.token, json_read::string(object, "token"));
  BH_TRY(slot.carrier, carrier_from(object, "carrier"));
  BH_TRY(slot.header, json_read::string(object, "header"));
  BH_TRY(slot.basic_user, json_read::string(object, "basic_user"));
  return slot;
}

// A slot that something is compared with: an empty token would be matched by an empty header.
Result<void> check_slot(const TokenSlot& slot) {
  if (slot.credential.empty() || slot.token.empty()) return fail("a token without credential or value");
  if (slot.carrier == Credential::Carrier::header && slot.header.empty()) return fail("a token without its header");
  return {};
}

template <class T>
json array_of(const std::vector<T>& items) {
  json out = json::array();
  for (const T& item : items) out.push_back(to_json(item));
  return out;
}

template <class T>
Result<std::vector<T>> array_from(const json& object, const char* key, Result<T> (*read)(const json&)) {
  BH_TRY(const json* items, json_read::array(object, key));
  std::vector<T> out;
  for (const json& item : *items) {
    BH_TRY(T one, read(item));
    out.push_back(std::move(one));
  }
  return out;
}

}  // namespace

json to_json(const FrontConfig& config) {
  return {{"session", config.session},
          {"listeners", array_of(config.listeners)},
          {"egress", config.egress},
          {"grants", array_of(config.grants)},
          {"tokens", array_of(config.tokens)}};
}

Result<FrontConfig> front_config_from(const json& object) {
  BH_CHECK(json_read::keys(object, {"session", "listeners", "egress", "grants", "tokens"}, "the configuration"));
  FrontConfig config;
  BH_TRY(config.session, json_read::string(object, "session"));
  BH_TRY(config.listeners, array_from<Listener>(object, "listeners", listener_from));
  BH_TRY(config.egress, json_read::strings(object, "egress"));
  BH_TRY(config.grants, array_from<Grant>(object, "grants", grant_from));
  BH_TRY(config.tokens, array_from<TokenSlot>(object, "tokens", slot_from));
  for (const TokenSlot& slot : config.tokens) BH_CHECK(check_slot(slot));
  return config;
}

json to_json(const EgressConfig& config) {
  return {{"session", config.session},         {"credential", config.credential},
          {"slot", to_json(config.slot)},      {"grants", array_of(config.grants)},
          {"dns_servers", config.dns_servers}, {"upstream_ca", config.upstream_ca}};
}

Result<EgressConfig> egress_config_from(const json& object) {
  BH_CHECK(json_read::keys(object, {"session", "credential", "slot", "grants", "dns_servers", "upstream_ca"},
                           "the configuration"));
  EgressConfig config;
  BH_TRY(config.session, json_read::string(object, "session"));
  BH_TRY(config.credential, json_read::string(object, "credential"));
  BH_TRY(const json* slot, json_read::object(object, "slot"));
  BH_TRY(config.slot, slot_from(*slot));
  BH_TRY(config.grants, array_from<Grant>(object, "grants", grant_from));
  BH_TRY(config.dns_servers, json_read::strings(object, "dns_servers"));
  BH_TRY(const std::uint64_t count, json_read::number(object, "upstream_ca", 250));
  config.upstream_ca = count;
  if (!config.credential.empty()) {
    BH_CHECK(check_slot(config.slot));
    if (config.slot.credential != config.credential) return fail("the slot belongs to another credential");
  }
  // Each egress holds one key: a grant of another credential would be dialled with the wrong one,
  // or with none.
  for (const Grant& grant : config.grants) {
    if (grant.credential != config.credential) return fail("a grant of another credential");
  }
  if (config.dns_servers.empty()) return fail("no DNS server");
  return config;
}

}  // namespace bulkhead

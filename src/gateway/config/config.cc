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

}  // namespace

json to_json(const TokenSlot& slot) {
  return {{"credential", slot.credential},
          {"token", slot.token},
          {"carrier", name_of(slot.carrier)},
          {"header", slot.header},
          {"basic_user", slot.basic_user},
          {"signing_key", slot.signing_key},
          {"region", slot.region},
          {"service", slot.service},
          {"issued", slot.issued},
          {"refresh", slot.refresh},
          {"jwt", slot.jwt}};
}

Result<TokenSlot> slot_from(const json& object) {
  BH_CHECK(json_read::keys(object,
                           {"credential", "token", "carrier", "header", "basic_user", "signing_key", "region",
                            "service", "issued", "refresh", "jwt"},
                           "a token"));
  TokenSlot slot;
  BH_TRY(slot.credential, json_read::string(object, "credential"));
  BH_TRY(slot.token, json_read::string(object, "token"));
  BH_TRY(slot.carrier, carrier_from(object, "carrier"));
  BH_TRY(slot.header, json_read::string(object, "header"));
  BH_TRY(slot.basic_user, json_read::string(object, "basic_user"));
  BH_TRY(slot.signing_key, json_read::string(object, "signing_key"));
  BH_TRY(slot.region, json_read::string(object, "region"));
  BH_TRY(slot.service, json_read::string(object, "service"));
  BH_TRY(slot.issued, json_read::boolean(object, "issued"));
  BH_TRY(slot.refresh, json_read::string(object, "refresh"));
  BH_TRY(slot.jwt, json_read::boolean(object, "jwt"));
  return slot;
}

namespace {

// A slot that something is compared with: an empty token would be matched by an empty header.
Result<void> check_slot(const TokenSlot& slot) {
  if (slot.credential.empty() || slot.token.empty()) return fail("a token without credential or value");
  if (slot.carrier == Credential::Carrier::header && slot.header.empty()) return fail("a token without its header");
  const bool signs = slot.carrier == Credential::Carrier::sigv4;
  if (signs && (slot.signing_key.empty() || slot.region.empty() || slot.service.empty())) {
    return fail("a token that signs without its key, region or service");
  }
  if (slot.issued && slot.carrier != Credential::Carrier::header && slot.carrier != Credential::Carrier::bearer) {
    return fail("a token with numbers in a slot that has no place for them");
  }
  if (!slot.issued && (slot.jwt || !slot.refresh.empty())) return fail("a login's token without a number");
  return {};
}

json to_json(const EgressProxy& proxy) {
  const Upstream& upstream = proxy.upstream;
  return {{"tls", upstream.proxy_tls},     {"host", upstream.proxy_host},
          {"port", upstream.proxy_port},   {"credential", upstream.credential},
          {"no_proxy", upstream.no_proxy}, {"resolves", upstream.proxy_resolves},
          {"user", proxy.slot.basic_user}, {"environment_names_one", proxy.environment_names_one}};
}

Result<EgressProxy> proxy_from(const json& object) {
  BH_CHECK(json_read::keys(
      object, {"tls", "host", "port", "credential", "no_proxy", "resolves", "user", "environment_names_one"},
      "the proxy"));
  EgressProxy proxy;
  Upstream& upstream = proxy.upstream;
  BH_TRY(upstream.proxy_tls, json_read::boolean(object, "tls"));
  BH_TRY(upstream.proxy_host, json_read::string(object, "host"));
  BH_TRY(const std::uint64_t port, json_read::number(object, "port", 65535));
  upstream.proxy_port = static_cast<std::uint16_t>(port);
  BH_TRY(upstream.credential, json_read::string(object, "credential"));
  BH_TRY(upstream.no_proxy, json_read::strings(object, "no_proxy"));
  BH_TRY(upstream.proxy_resolves, json_read::boolean(object, "resolves"));
  proxy.slot.credential = upstream.credential;
  proxy.slot.carrier = Credential::Carrier::basic;
  BH_TRY(proxy.slot.basic_user, json_read::string(object, "user"));
  BH_TRY(proxy.environment_names_one, json_read::boolean(object, "environment_names_one"));
  if (!upstream.proxy_host.empty() && port == 0) return fail("a proxy without its port");
  if (upstream.proxy_host.empty() && !upstream.credential.empty()) return fail("a credential for a proxy that is none");
  return proxy;
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
  return {{"session", config.session},         {"listeners", array_of(config.listeners)}, {"egress", config.egress},
          {"grants", array_of(config.grants)}, {"tokens", array_of(config.tokens)},       {"ask", config.ask}};
}

Result<FrontConfig> front_config_from(const json& object) {
  BH_CHECK(json_read::keys(object, {"session", "listeners", "egress", "grants", "tokens", "ask"}, "the configuration"));
  FrontConfig config;
  BH_TRY(config.session, json_read::string(object, "session"));
  BH_TRY(config.listeners, array_from<Listener>(object, "listeners", listener_from));
  BH_TRY(config.egress, json_read::strings(object, "egress"));
  BH_TRY(config.grants, array_from<Grant>(object, "grants", grant_from));
  BH_TRY(config.tokens, array_from<TokenSlot>(object, "tokens", slot_from));
  for (const TokenSlot& slot : config.tokens) BH_CHECK(check_slot(slot));
  BH_TRY(config.ask, json_read::boolean(object, "ask"));
  return config;
}

json to_json(const EgressConfig& config) {
  return {{"session", config.session},         {"credential", config.credential},
          {"slot", to_json(config.slot)},      {"grants", array_of(config.grants)},
          {"dns_servers", config.dns_servers}, {"upstream_ca", config.upstream_ca},
          {"proxy", to_json(config.proxy)},    {"login", config.login ? to_json(*config.login) : json(nullptr)}};
}

Result<EgressConfig> egress_config_from(const json& object) {
  BH_CHECK(json_read::keys(object,
                           {"session", "credential", "slot", "grants", "dns_servers", "upstream_ca", "proxy", "login"},
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
  BH_TRY(const json* proxy, json_read::object(object, "proxy"));
  BH_TRY(config.proxy, proxy_from(*proxy));
  if (!object.at("login").is_null()) {
    BH_TRY(config.login, login_from(object.at("login")));
  }
  if (config.login.has_value() == config.slot.refresh.empty()) return fail("a login and its slot belong together");
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

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "gateway/gateway.h"

namespace bulkhead {
namespace {

using nlohmann::json;

Grant some_grant(const std::string& credential) {
  Grant grant;
  grant.id = "1";
  grant.hosts = {"api.example.com"};
  grant.credential = credential;
  grant.allow = {{{"POST"}, "/v1/x", {}, "application/json", 1000}};
  return grant;
}

TokenSlot some_slot(const std::string& credential) {
  TokenSlot slot;
  slot.credential = credential;
  slot.token = "bh-0123";
  slot.carrier = Credential::Carrier::basic;
  slot.basic_user = "git";
  return slot;
}

FrontConfig front() {
  FrontConfig config;
  config.session = "s1";
  config.listeners = {{443, true, false}, {53, false, true}};
  config.egress = {"", "key"};
  config.grants = {some_grant("key"), some_grant("")};
  config.tokens = {some_slot("key")};
  return config;
}

EgressConfig egress() {
  EgressConfig config;
  config.session = "s1";
  config.credential = "key";
  config.slot = some_slot("key");
  config.grants = {some_grant("key")};
  config.dns_servers = {"9.9.9.9", "[2620:fe::fe]:53"};
  config.upstream_ca = 2;
  return config;
}

TEST(FrontConfigJson, RoundTrip) {
  const json object = to_json(front());
  auto back = front_config_from(json::parse(object.dump()));
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(to_json(*back), object);
  EXPECT_EQ(back->listeners[1].port, 53);
  EXPECT_FALSE(back->listeners[1].stream);
  EXPECT_TRUE(back->listeners[1].ipv6);
  EXPECT_EQ(back->egress, (std::vector<std::string>{"", "key"}));
  EXPECT_EQ(back->tokens[0].carrier, Credential::Carrier::basic);
  EXPECT_EQ(back->grants[0].allow[0].max_body, 1000U);
}

// Numbers have a place only where the token is all there is.
TEST(ConfigJson, ASlotForWhatIsHandedOut) {
  for (const auto carrier : {Credential::Carrier::bearer, Credential::Carrier::basic}) {
    EgressConfig config = egress();
    config.slot.carrier = carrier;
    config.slot.issued = true;
    const auto back = egress_config_from(to_json(config));
    EXPECT_EQ(back.has_value(), carrier == Credential::Carrier::bearer);
    if (back) EXPECT_TRUE(back->slot.issued);
  }
}

TEST(FrontConfigJson, AnEmptySessionHasNoGrants) {
  FrontConfig config;
  config.session = "s";
  auto back = front_config_from(to_json(config));
  ASSERT_TRUE(back);
  EXPECT_TRUE(back->grants.empty());
  EXPECT_TRUE(back->tokens.empty());
}

TEST(EgressConfigJson, RoundTrip) {
  const json object = to_json(egress());
  auto back = egress_config_from(json::parse(object.dump()));
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(to_json(*back), object);
  EXPECT_EQ(back->upstream_ca, 2U);
  EXPECT_EQ(back->slot.basic_user, "git");
  EXPECT_EQ(back->dns_servers.size(), 2U);
}

TEST(EgressConfigJson, OneWithoutACredential) {
  EgressConfig config;
  config.session = "s";
  config.grants = {some_grant("")};
  config.dns_servers = {"9.9.9.9"};
  EXPECT_TRUE(egress_config_from(to_json(config)));
}

// What can't be meant is refused before it is used.
TEST(ConfigJson, Nonsense) {
  const auto front_with = [](auto change) {
    FrontConfig config = front();
    change(config);
    return static_cast<bool>(front_config_from(to_json(config)));
  };
  EXPECT_TRUE(front_with([](FrontConfig&) {}));
  EXPECT_FALSE(front_with([](FrontConfig& c) { c.tokens[0].token.clear(); }));
  EXPECT_FALSE(front_with([](FrontConfig& c) { c.tokens[0].credential.clear(); }));
  EXPECT_FALSE(front_with([](FrontConfig& c) { c.tokens[0].carrier = Credential::Carrier::header; }));
  EXPECT_FALSE(front_with([](FrontConfig& c) { c.listeners[0].port = 0; }));
  EXPECT_FALSE(front_with([](FrontConfig& c) { c.grants[0].hosts.clear(); }));

  const auto egress_with = [](auto change) {
    EgressConfig config = egress();
    change(config);
    return static_cast<bool>(egress_config_from(to_json(config)));
  };
  EXPECT_TRUE(egress_with([](EgressConfig&) {}));
  EXPECT_FALSE(egress_with([](EgressConfig& c) { c.credential.clear(); }));
  EXPECT_FALSE(egress_with([](EgressConfig& c) { c.slot.token.clear(); }));
  EXPECT_FALSE(egress_with([](EgressConfig& c) { c.slot.credential = "other"; }));
  EXPECT_FALSE(egress_with([](EgressConfig& c) { c.grants.push_back(some_grant("other")); }));
  EXPECT_FALSE(egress_with([](EgressConfig& c) { c.dns_servers.clear(); }));
  const auto proxied = [](EgressConfig& c) {
    c.proxy.upstream = {true, "proxy.example.com", 3128, "corp", {"*.example.com"}, true};
  };
  EXPECT_TRUE(egress_with(proxied));
  EXPECT_FALSE(egress_with([&](EgressConfig& c) { proxied(c), c.proxy.upstream.proxy_port = 0; }));
  EXPECT_FALSE(egress_with([&](EgressConfig& c) { proxied(c), c.proxy.upstream.proxy_host.clear(); }));
  EgressConfig whole = egress();
  proxied(whole);
  whole.proxy.slot.basic_user = "me";
  whole.proxy.environment_names_one = true;
  const auto back = egress_config_from(to_json(whole));
  ASSERT_TRUE(back);
  EXPECT_EQ(back->proxy.upstream, whole.proxy.upstream);
  EXPECT_EQ(back->proxy.slot.basic_user, "me");
  EXPECT_TRUE(back->proxy.environment_names_one);
}

TEST(ConfigJson, EveryKeyIsNeededAndNoOtherKnown) {
  const json f = to_json(front()), e = to_json(egress());
  for (const auto& [key, value] : f.items()) {
    json changed = f;
    changed.erase(key);
    EXPECT_FALSE(front_config_from(changed)) << key;
    changed = f;
    changed[key] = 1.5;
    EXPECT_FALSE(front_config_from(changed)) << key;
  }
  for (const auto& [key, value] : e.items()) {
    json changed = e;
    changed.erase(key);
    EXPECT_FALSE(egress_config_from(changed)) << key;
    changed = e;
    changed[key] = 1.5;
    EXPECT_FALSE(egress_config_from(changed)) << key;
  }
  json changed = f;
  changed["x"] = 1;
  EXPECT_FALSE(front_config_from(changed));
  changed = e;
  changed["x"] = 1;
  EXPECT_FALSE(egress_config_from(changed));
  for (const json& bad : {json(), json(1), json::array(), json::object()}) {
    EXPECT_FALSE(front_config_from(bad));
    EXPECT_FALSE(egress_config_from(bad));
  }
}

}  // namespace
}  // namespace bulkhead

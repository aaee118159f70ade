#include "gateway/grant/grant.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <span>

#include "base/text.h"
#include "gateway/grant/address.h"
#include "gateway/grant/carrier.h"
#include "gateway/grant/host.h"
#include "gateway/grant/target.h"
#include "policy/names.h"

namespace bulkhead::grant {
namespace {

using namespace std::string_view_literals;

// About one connection only, or about the way a request came: never for the next hop.
constexpr std::array hop_by_hop{"connection"sv,
                                "keep-alive"sv,
                                "proxy-connection"sv,
                                "proxy"sv,  // becomes HTTP_PROXY in a CGI program
                                "te"sv,
                                "trailer"sv,
                                "transfer-encoding"sv,
                                "upgrade"sv,
                                "http2-settings"sv,
                                "host"sv,
                                "content-length"sv,
                                "expect"sv,
                                "max-forwards"sv,
                                "forwarded"sv,
                                "via"sv,
                                "x-real-ip"sv,
                                "x-client-ip"sv,
                                "true-client-ip"sv,
                                "cf-connecting-ip"sv,
                                "x-cluster-client-ip"sv};
// They make a server act on another method, path or host than the one that was judged, or on a
// second object beside it.
constexpr std::array overrides{
    "x-http-method-override"sv, "x-http-method"sv,         "x-method-override"sv,    "x-original-url"sv,
    "x-rewrite-url"sv,          "x-original-uri"sv,        "x-override-url"sv,       "x-host"sv,
    "x-original-host"sv,        "x-original-method"sv,     "x-http-host-override"sv, "x-envoy-original-path"sv,
    "x-envoy-original-host"sv,  "x-http-destinationurl"sv, "x-proxy-url"sv,          "destination"sv};
constexpr std::array override_endings{"-copy-source"sv, "-rename-source"sv};
// What a Connection header may list. Anything else would be taken out between the judgement and the
// server.
constexpr std::array listed{"close"sv, "keep-alive"sv, "te"sv, "upgrade"sv, "http2-settings"sv, "trailer"sv};

template <class List>
bool is_in(const List& list, std::string_view word) {
  return std::find(list.begin(), list.end(), word) != list.end();
}

bool is_override(std::string_view folded) {
  return is_in(overrides, folded) || std::any_of(override_endings.begin(), override_endings.end(),
                                                 [&](std::string_view ending) { return folded.ends_with(ending); });
}

bool is_dropped(std::string_view name) {
  std::string scratch;
  name = folded_name(name, scratch);
  return is_in(hop_by_hop, name) || name.starts_with("proxy-") || name.starts_with("x-forwarded-");
}

std::string_view trim(std::string_view text) {
  const auto blank = [](char c) { return c == ' ' || c == '\t'; };
  while (!text.empty() && blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && blank(text.back())) text.remove_suffix(1);
  return text;
}

Decision deny(std::uint16_t status, std::string reason, std::string text) {
  Decision decision;
  decision.status = status;
  decision.reason = std::move(reason);
  decision.text = std::move(text);
  return decision;
}

std::string shown(const RequestHead& head) {
  const bool usual = head.port == (head.scheme == "https" ? 443 : 80);
  const std::string_view path = std::string_view(head.target).substr(0, head.target.find('?'));
  return escape_for_terminal(head.method, 20) + " " + head.scheme + "://" + escape_for_terminal(head.host, 260) +
         (usual ? "" : ":" + std::to_string(head.port)) + escape_for_terminal(path, 200);
}

// What no grant can allow, whatever it says.
std::optional<Decision> never(const RequestHead& head) {
  if (head.method == "CONNECT" || head.method == "TRACE") {
    return deny(405, "method", head.method + " is never available");
  }
  if (canonical_host(head.host) != head.host) {
    return deny(400, "non-canonical", "\"" + escape_for_terminal(head.host, 260) + "\" is no canonical host name");
  }
  std::size_t content_types = 0;
  std::string scratch;
  for (const auto& [name, value] : head.headers) {
    const std::string_view folded = folded_name(name, scratch);
    if (is_override(folded)) {
      return deny(403, "override",
                  "the " + escape_for_terminal(name, 60) + " header asks for something other than what was judged");
    }
    if (folded == "content-type") {
      ++content_types;
      if (name != folded) return deny(400, "content-type", "a Content-Type header in another spelling");
    }
    if (name != "connection" && name != "proxy-connection") continue;
    for (const std::string& part : split(value, ',')) {
      const std::string word = lower_ascii(trim(part));
      if (!word.empty() && !is_in(listed, word)) {
        return deny(400, "connection",
                    "the Connection header lists \"" + escape_for_terminal(word, 60) +
                        "\", which would then be missing upstream");
      }
    }
  }
  if (content_types > 1) return deny(400, "content-type", "more than one Content-Type header");
  return std::nullopt;
}

// Is the host an address that no name may lead to? Whoever wants such a grant has to know what it
// opens, and writes it without being offered it by what asks for it (attack D02).
std::optional<std::string_view> why_not_offered(const std::string& host) {
  std::array<std::uint8_t, 16> bytes{};
  if (::inet_pton(AF_INET, host.c_str(), bytes.data()) == 1) return why_not_dialled(std::span(bytes).first(4));
  if (::inet_pton(AF_INET6, host.c_str(), bytes.data()) == 1) return why_not_dialled(bytes);
  return std::nullopt;
}

// TOML that would allow exactly this. Empty where it can't or shouldn't be written.
std::string addition(const RequestHead& head, const Target& target, const std::string& credential) {
  const std::string host(without_brackets(head.host));
  if (!check_host(host) || !check_method(head.method) || why_not_offered(host)) return {};
  const std::string path = template_for(target);
  if (!path_matches(path, target) || (!credential.empty() && head.scheme == "http")) return {};
  std::string out = "[[grant]]\nhost = \"" + host + "\"\n";
  if (head.scheme == "http") out += "protocol = \"http\"\n";
  if (head.port != (head.scheme == "https" ? 443 : 80)) out += "port = " + std::to_string(head.port) + "\n";
  if (!credential.empty()) out += "credential = \"" + credential + "\"\n";
  out += "[[grant.allow]]\nmethod = \"" + head.method + "\"\npath = \"" + path + "\"\n";
  std::vector<std::string> keys;
  for (const std::string& key : target.query_keys) {
    // `*` in a policy is any key, and whoever asks may not choose that for whoever grants.
    const bool plain =
        key != "*" && check_query_key(key) && key.find_first_of("\"\\") == std::string::npos && valid_utf8(key);
    if (!plain) return {};
    if (std::find(keys.begin(), keys.end(), key) == keys.end()) keys.push_back(key);
  }
  if (!keys.empty()) out += "query = [\"" + join(keys, "\", \"") + "\"]\n";
  return out;
}

bool same_place(const Grant& grant, const RequestHead& head) {
  return grant.port == head.port && head.scheme == name_of(grant.protocol) && host_matches(grant.host, head.host);
}

// How near a denied request came to being allowed: the nearest rule is the one worth telling of.
enum class Near { path, method, query, content_type, encoding, body, all };

struct Match {
  Near near = Near::path;
  const Rule* rule = nullptr;
};

// Without parameters. A list has no one type: it comes back whole, and equals none.
std::string_view media_type(const RequestHead& head) {
  for (const auto& [name, value] : head.headers) {
    if (name != "content-type") continue;
    if (value.find(',') != std::string::npos) return value;
    return trim(std::string_view(value).substr(0, value.find(';')));
  }
  return {};
}

// What is judged as UTF-8 has to be read as UTF-8: another charset or a compressed body is another document.
bool plain_utf8(const RequestHead& head) {
  std::string scratch;
  for (const auto& [name, value] : head.headers) {
    if (folded_name(name, scratch) == "content-encoding") return false;
    if (name != "content-type") continue;
    const std::size_t semicolon = value.find(';');
    if (semicolon == std::string::npos) continue;
    const std::string parameter = lower_ascii(trim(std::string_view(value).substr(semicolon + 1)));
    if (parameter != "charset=utf-8" && parameter != "charset=\"utf-8\"") return false;
  }
  return true;
}

Match match(const Rule& rule, const RequestHead& head, const Target& target) {
  if (!path_matches(rule.path, target)) return {Near::path, &rule};
  if (!is_in(rule.methods, head.method)) return {Near::method, &rule};
  if (!query_matches(rule.query, target)) return {Near::query, &rule};
  const std::string_view type = media_type(head);
  const bool no_body = head.body == lane::BodyKind::none && type.empty();
  if (!rule.content_type.empty() && (!no_body || rule.json) && lower_ascii(type) != rule.content_type) {
    return {Near::content_type, &rule};
  }
  if (rule.json && !plain_utf8(head)) return {Near::encoding, &rule};
  if (rule.max_body && head.body == lane::BodyKind::length && head.body_length > *rule.max_body) {
    return {Near::body, &rule};
  }
  return {Near::all, &rule};
}

Match nearest_rule(const Grant& grant, const RequestHead& head, const Target& target) {
  Match best;
  for (const Rule& rule : grant.allow) {
    const Match found = match(rule, head, target);
    if (best.rule == nullptr || found.near > best.near) best = found;
    if (best.near == Near::all) break;
  }
  return best;
}

const TokenSlot* slot_of(const Grant& grant, const std::vector<TokenSlot>& tokens) {
  if (grant.credential.empty()) return nullptr;
  for (const TokenSlot& token : tokens) {
    if (token.credential == grant.credential) return &token;
  }
  return nullptr;
}

Decision not_allowed(const Match& best, const RequestHead& head, const Target& target, const Grant& grant,
                     const std::vector<TokenSlot>& tokens) {
  Decision decision;
  const std::string what = shown(head);
  // No rule is the answer to a credential that would be refused behind it.
  const CarrierVerdict carriers = judge_carriers(head.headers, head.target, target, slot_of(grant, tokens), tokens);
  const std::string add = carriers.ok ? addition(head, target, grant.credential) : std::string();
  switch (best.near) {
    case Near::path:
      decision = deny(403, "path", what + ": no grant for " + grant.host + " allows this path");
      decision.add = add;
      break;
    case Near::method:
      decision = deny(403, "method", what + ": this path is granted for " + join(best.rule->methods, ", ") + " only");
      decision.add = add;
      break;
    case Near::query: {
      std::string keys;
      for (const std::string& key : target.query_keys) {
        if (!is_in(best.rule->query, key)) keys += (keys.empty() ? "" : ", ") + escape_for_terminal(key, 60);
      }
      decision = deny(403, "query", what + ": the rule for this path allows no query key " + keys);
      decision.add = add;
      break;
    }
    case Near::content_type:
      decision =
          deny(403, "content-type", what + ": the rule for this path wants content type " + best.rule->content_type);
      break;
    case Near::encoding:
      decision =
          deny(403, "content-type",
               what + ": the rule for this path judges the body, which has to come as it is: no Content-Encoding, " +
                   "no charset but UTF-8");
      break;
    case Near::body:
      decision = deny(
          413, "body",
          what + ": the body is larger than the " + std::to_string(*best.rule->max_body) + " bytes the rule allows");
      break;
    case Near::all:
      break;
  }
  if (!carriers.ok) decision.text += "; and " + carriers.text;
  decision.grant = &grant;
  decision.rule = best.rule;
  return decision;
}

// A rule matches; now what the request carries.
Decision judge_matched(const Grant& grant, const Rule& rule, const std::vector<TokenSlot>& tokens,
                       const RequestHead& head, const Target& target) {
  const TokenSlot* slot = slot_of(grant, tokens);
  if (!grant.credential.empty() && slot == nullptr) {
    Decision closed = deny(
        403, "credential",
        shown(head) + ": credential \"" + grant.credential + "\" is not set on the host, so its grants are closed");
    closed.grant = &grant;
    return closed;
  }
  CarrierVerdict carriers = judge_carriers(head.headers, head.target, target, slot, tokens);
  Decision decision;
  if (carriers.ok) {
    decision.verdict = Verdict::allow;
    decision.status = 200;
    decision.slot_filled = carriers.slot_filled;
  } else {
    decision = deny(carriers.status, std::move(carriers.reason), shown(head) + ": " + carriers.text);
  }
  decision.grant = &grant;
  decision.rule = &rule;
  return decision;
}

}  // namespace

Decision judge(const std::vector<Grant>& grants, const std::vector<TokenSlot>& tokens, const RequestHead& head) {
  if (auto refused = never(head)) return std::move(*refused);
  const auto target = split_target(head.target);
  if (!target) return deny(400, "non-canonical", shown(head) + ": " + target.error().text);

  for (const std::string& key : target->query_keys) {
    if (query_overrides(key)) {
      return deny(403, "override",
                  shown(head) + ": the query key \"" + escape_for_terminal(key, 60) +
                      "\" asks for another method than the one that was judged");
    }
  }

  // Denials are put into words once, for the nearest grant, not for each that was passed over.
  const Grant* nearest = nullptr;
  Match best;
  std::optional<Decision> refused;
  for (const Grant& grant : grants) {
    if (!same_place(grant, head)) continue;
    const Match found = nearest_rule(grant, head, *target);
    if (found.near == Near::all) {
      Decision decision = judge_matched(grant, *found.rule, tokens, head, *target);
      if (decision.verdict == Verdict::allow) return decision;
      if (!refused) refused = std::move(decision);
    } else if (nearest == nullptr || found.near > best.near) {
      nearest = &grant;
      best = found;
    }
  }
  if (refused) return std::move(*refused);
  if (nearest != nullptr) return not_allowed(best, head, *target, *nearest, tokens);

  // A foreign key on its way to a host nobody granted is worth its own word, and no grant is the
  // answer to it.
  const CarrierVerdict carriers = judge_carriers(head.headers, head.target, *target, nullptr, tokens);
  Decision decision =
      deny(403, "no-grant",
           shown(head) + ": nothing is granted at this host" + (carriers.ok ? "" : "; and " + carriers.text));
  if (carriers.ok) decision.add = addition(head, *target, "");
  return decision;
}

lane::Headers upstream_headers(const RequestHead& head, const TokenSlot* slot) {
  lane::Headers out;
  out.reserve(head.headers.size());
  for (const auto& header : head.headers) {
    if (is_dropped(header.first)) continue;
    if (slot != nullptr && header.first == slot_header(*slot)) continue;
    out.push_back(header);
  }
  return out;
}

}  // namespace bulkhead::grant

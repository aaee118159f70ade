#include "gateway/grant/grant.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <span>

#include "base/text.h"
#include "gateway/grant/address.h"
#include "gateway/grant/carrier.h"
#include "gateway/grant/headers.h"
#include "gateway/grant/host.h"
#include "gateway/grant/sigv4.h"
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
                                "sec-websocket-key"sv,
                                "sec-websocket-version"sv,
                                "sec-websocket-extensions"sv,
                                "sec-websocket-accept"sv,
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
// What gRPC itself says in a request; a call's metadata is listed by the rule as any header is.
constexpr std::array grpc_headers{"grpc-accept-encoding"sv, "grpc-encoding"sv, "grpc-message-type"sv,
                                  "grpc-previous-rpc-attempts"sv, "grpc-timeout"sv};
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

Decision deny(std::uint16_t status, std::string reason, std::string text) {
  Decision decision;
  decision.status = status;
  decision.reason = std::move(reason);
  decision.text = std::move(text);
  return decision;
}

std::string shown(const RequestHead& head) {
  const bool usual = head.port == usual_port(is_plain(head.scheme));
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
      const std::string word = lower_ascii(trim_blanks(part));
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

// Without parameters. A list has no one type: it comes back whole, and equals none.
std::string_view media_type(const RequestHead& head) {
  for (const auto& [name, value] : head.headers) {
    if (name != "content-type") continue;
    if (value.find(',') != std::string::npos) return value;
    return trim_blanks(std::string_view(value).substr(0, value.find(';')));
  }
  return {};
}

// gRPC's PROTOCOL-HTTP2.md: "application/grpc" [("+proto" / "+json" / {custom})]
bool is_grpc(std::string_view type) {
  const std::string lower = lower_ascii(type);
  return lower == "application/grpc" || lower.starts_with("application/grpc+");
}

bool is_grpc_call(const RequestHead& head, const Target& target) {
  return head.http2 && head.method == "POST" && is_grpc(media_type(head)) && target.query_keys.empty() &&
         check_grpc_path(template_for(target));
}

// TOML that would allow exactly this. Empty where it can't or shouldn't be written.
std::string addition(const RequestHead& head, const Target& target, const std::string& credential,
                     const std::vector<std::string>& headers = {}) {
  const std::string host(without_brackets(head.host));
  if (!check_host(host) || !check_method(head.method) || why_not_offered(host)) return {};
  const std::string path = template_for(target);
  if (!path_matches(path, target) || (!credential.empty() && is_plain(head.scheme))) return {};
  const bool grpc = is_grpc_call(head, target);
  std::string out = "[[grant]]\nhost = \"" + host + "\"\n";
  if (head.scheme != name_of(Protocol::https)) out += "protocol = \"" + head.scheme + "\"\n";
  if (grpc) out += "protocol = \"grpc\"\n";
  if (head.port != usual_port(is_plain(head.scheme))) out += "port = " + std::to_string(head.port) + "\n";
  if (!credential.empty()) out += "credential = \"" + credential + "\"\n";
  out += "[[grant.allow]]\n";
  if (!grpc && !is_websocket(head.scheme)) out += "method = \"" + head.method + "\"\n";
  out += "path = \"" + path + "\"\n";
  std::vector<std::string> keys;
  for (const std::string& key : target.query_keys) {
    // `*` in a policy is any key, and whoever asks may not choose that for whoever grants.
    const bool plain =
        key != "*" && check_query_key(key) && key.find_first_of("\"\\") == std::string::npos && valid_utf8(key);
    if (!plain) return {};
    if (std::find(keys.begin(), keys.end(), key) == keys.end()) keys.push_back(key);
  }
  if (!keys.empty()) out += "query = [\"" + join(keys, "\", \"") + "\"]\n";
  for (const std::string& name : headers) {
    if (!check_request_header(name)) return {};
  }
  if (!headers.empty()) out += "headers = [\"" + join(headers, "\", \"") + "\"]\n";
  return out;
}

bool same_place(const Grant& grant, const RequestHead& head) {
  // Nobody looks into an opaque connection, so no request is granted by one.
  const char* scheme = grant.protocol == Protocol::grpc ? name_of(Protocol::https) : name_of(grant.protocol);
  return grant.port == head.port && head.scheme == scheme && any_host_matches(grant.hosts, head.host);
}

const TokenSlot* slot_of(const Grant& grant, const std::vector<TokenSlot>& tokens) {
  if (grant.credential.empty()) return nullptr;
  for (const TokenSlot& token : tokens) {
    if (token.credential == grant.credential) return &token;
  }
  return nullptr;
}

// How near a denied request came to being allowed: the nearest rule is the one worth telling of.
enum class Near { path, package, method, query, header, http2, opening, content_type, encoding, no_body, body, all };

struct Match {
  Near near = Near::path;
  const Rule* rule = nullptr;
};

// A compressed body is another one than the rule would read.
bool has_encoding(const RequestHead& head) {
  std::string scratch;
  return std::any_of(head.headers.begin(), head.headers.end(),
                     [&](const auto& header) { return folded_name(header.first, scratch) == "content-encoding"; });
}

// What is judged as UTF-8 has to be read as UTF-8: in another charset it is another document.
bool is_utf8(const RequestHead& head) {
  for (const auto& [name, value] : head.headers) {
    if (name != "content-type") continue;
    const std::size_t semicolon = value.find(';');
    if (semicolon == std::string::npos) continue;
    const std::string parameter = lower_ascii(trim_blanks(std::string_view(value).substr(semicolon + 1)));
    if (parameter != "charset=utf-8" && parameter != "charset=\"utf-8\"") return false;
  }
  return true;
}

// Headers that go upstream without the rule, or anything everyday, saying so. Those with a verdict of their own
// (credentials, the slot) are left to it.
std::vector<std::string> unlisted(Protocol protocol, const Rule& rule, const RequestHead& head, const TokenSlot* slot) {
  std::vector<std::string> out;
  std::string scratch, other;
  for (const auto& [name, value] : head.headers) {
    if (protocol == Protocol::grpc && is_in(grpc_headers, name)) continue;
    if (header_listed(rule, name) || is_dropped(name) || carries_credential(name)) continue;
    if (slot != nullptr && folded_name(name, scratch) == folded_name(slot_header(*slot), other)) continue;
    if (slot != nullptr && slot->carrier == Credential::Carrier::sigv4 && sigv4::belongs(name)) continue;
    if (!is_in(out, name)) out.push_back(name);
  }
  return out;
}

// An offer for a request no rule is near: with the headers it would be refused for next.
std::string whole_addition(const RequestHead& head, const Target& target, const std::string& credential,
                           const TokenSlot* slot) {
  const Protocol protocol = is_grpc_call(head, target) ? Protocol::grpc : Protocol::https;
  const std::vector<std::string> headers = unlisted(protocol, Rule{}, head, slot);
  // `*` in a policy is any rest of a name, and whoever asks may not choose that for whoever grants.
  for (const std::string& name : headers) {
    if (name.find('*') != std::string::npos) return {};
  }
  return addition(head, target, credential, headers);
}

Match match(Protocol protocol, const Rule& rule, const RequestHead& head, const Target& target, const TokenSlot* slot) {
  if (!path_matches(rule.path, target) || (!rule.target.empty() && rule.target != head.target)) {
    return {Near::path, &rule};
  }
  if (!rule.packages.empty() && !is_in(rule.packages, package_in(rule.path, target))) return {Near::package, &rule};
  if (!is_in(rule.methods, head.method)) return {Near::method, &rule};
  if (!query_matches(rule.query, target)) return {Near::query, &rule};
  if (!unlisted(protocol, rule, head, slot).empty()) return {Near::header, &rule};
  const std::string_view type = media_type(head);
  // A WebSocket's opening request has none, and nothing that says what it would be.
  if (is_websocket(head.scheme)) {
    if (head.body != lane::BodyKind::none || !type.empty()) return {Near::opening, &rule};
    return {Near::all, &rule};
  }
  if (protocol == Protocol::grpc) {
    if (!head.http2) return {Near::http2, &rule};
    if (!is_grpc(type)) return {Near::content_type, &rule};
  }
  const bool no_body = head.body == lane::BodyKind::none && type.empty();
  const bool judges_body = rule.json || rule.git || rule.refresh;
  if (!rule.content_type.empty() && (!no_body || judges_body) && lower_ascii(type) != rule.content_type) {
    return {Near::content_type, &rule};
  }
  if (judges_body && (has_encoding(head) || !is_utf8(head))) return {Near::encoding, &rule};
  if (judges_body && head.body == lane::BodyKind::none) return {Near::no_body, &rule};
  if (rule.max_body && head.body == lane::BodyKind::length && head.body_length > *rule.max_body) {
    return {Near::body, &rule};
  }
  return {Near::all, &rule};
}

Match nearest_rule(const Grant& grant, const std::vector<TokenSlot>& tokens, const RequestHead& head,
                   const Target& target) {
  Match best;
  const TokenSlot* slot = slot_of(grant, tokens);
  for (const Rule& rule : grant.allow) {
    const Match found = match(grant.protocol, rule, head, target, slot);
    if (best.rule == nullptr || found.near > best.near) best = found;
    if (best.near == Near::all) break;
  }
  return best;
}

Decision not_allowed(const Match& best, const RequestHead& head, const Target& target, const Grant& grant,
                     const std::vector<TokenSlot>& tokens) {
  Decision decision;
  const std::string what = shown(head);
  // No rule is the answer to a credential that would be refused behind it.
  const CarrierVerdict carriers = judge_carriers(head.headers, head.target, target, slot_of(grant, tokens), tokens);
  const std::string add =
      carriers.ok ? whole_addition(head, target, grant.credential, slot_of(grant, tokens)) : std::string();
  switch (best.near) {
    case Near::path:
      decision = deny(403, "path", what + ": no grant for " + join(grant.hosts, ", ") + " allows this path");
      decision.add = add;
      break;
    case Near::package:
      decision = deny(403, "path",
                      what + ": package " + escape_for_terminal(package_in(best.rule->path, target), 100) +
                          " is none of the " + std::to_string(best.rule->packages.size()) + " that are granted");
      decision.add = add;
      break;
    case Near::method:
      decision = deny(403, "method", what + ": this path is granted for " + join(best.rule->methods, ", ") + " only");
      decision.add = add;
      break;
    case Near::query:
      decision = deny(403, "query", what + ": the rule for this path " + query_mismatch(best.rule->query, target));
      decision.add = add;
      break;
    case Near::header: {
      const std::vector<std::string> names = unlisted(grant.protocol, *best.rule, head, slot_of(grant, tokens));
      std::vector<std::string> names_shown;
      for (const std::string& name : names) names_shown.push_back(escape_for_terminal(name, 60));
      decision = deny(403, "header", what + ": the rule for this path lists no header " + join(names_shown, ", "));
      // `*` in a policy is any rest of a name, and whoever asks may not choose that for whoever grants.
      const auto plain = [](const std::string& name) { return name.find('*') == std::string::npos; };
      if (carriers.ok && std::all_of(names.begin(), names.end(), plain)) {
        std::vector<std::string> all = best.rule->headers;
        all.insert(all.end(), names.begin(), names.end());
        decision.add = addition(head, target, grant.credential, all);
      } else if (!carriers.ok) {
        decision.reason = carriers.reason;
      }
      break;
    }
    case Near::http2:
      decision = deny(403, "http2", what + ": this path is granted for gRPC, which needs HTTP/2");
      break;
    case Near::opening:
      decision = deny(403, "body", what + ": the request that opens a WebSocket has no body");
      break;
    case Near::content_type:
      decision = deny(403, "content-type",
                      what + ": the rule for this path wants content type " +
                          (grant.protocol == Protocol::grpc ? "application/grpc" : best.rule->content_type));
      break;
    case Near::encoding:
      decision =
          deny(403, "content-type",
               what + ": the rule for this path judges the body, which has to come as it is: no Content-Encoding, " +
                   "no charset but UTF-8");
      break;
    case Near::no_body:
      decision = deny(403, "body", what + ": the rule for this path judges the body, and there is none");
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
  decision.slot_filled = carriers.ok && carriers.slot_filled;
  decision.issued = decision.slot_filled ? carriers.issued : 0;
  decision.grant = &grant;
  decision.rule = best.rule;
  return decision;
}

// Does the request bring this session's token for the grant's credential, where it is exchanged?
bool fills(const Grant& grant, const std::vector<TokenSlot>& tokens, const RequestHead& head, const Target& target) {
  const TokenSlot* slot = slot_of(grant, tokens);
  if (slot == nullptr) return false;
  const CarrierVerdict carriers = judge_carriers(head.headers, head.target, target, slot, tokens);
  return carriers.ok && carriers.slot_filled;
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
    decision.issued = carriers.issued;
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
    const Match found = nearest_rule(grant, tokens, head, *target);
    if (found.near == Near::all) {
      Decision decision = judge_matched(grant, *found.rule, tokens, head, *target);
      if (decision.verdict == Verdict::allow) return decision;
      if (!refused) refused = std::move(decision);
    } else if (nearest == nullptr || found.near > best.near ||
               (found.near == best.near && fills(grant, tokens, head, *target) &&
                !fills(*nearest, tokens, head, *target))) {
      // Of two that are as near, the one whose token it brings is the one that was meant.
      nearest = &grant;
      best = found;
    }
  }
  if (refused) return std::move(*refused);
  if (nearest != nullptr) return not_allowed(best, head, *target, *nearest, tokens);

  // A foreign key on its way to a host nobody granted is worth its own word, and no grant is the
  // answer to it.
  const CarrierVerdict carriers = judge_carriers(head.headers, head.target, *target, nullptr, tokens);
  Decision decision = deny(403, "no-grant",
                           shown(head) + (is_websocket(head.scheme) ? ": no WebSocket" : ": nothing") +
                               " is granted at this host" + (carriers.ok ? "" : "; and " + carriers.text));
  if (carriers.ok) decision.add = whole_addition(head, *target, "", nullptr);
  return decision;
}

Decision judge_tunnel(const std::vector<Grant>& grants, const std::string& host, std::uint16_t port) {
  const std::string where = escape_for_terminal(host, 260) + ":" + std::to_string(port);
  if (canonical_host(host) != host) return deny(400, "non-canonical", where + " is no canonical host name");
  for (const Grant& grant : grants) {
    if (grant.protocol != Protocol::tcp || grant.port != port || !any_host_matches(grant.hosts, host)) continue;
    Decision decision;
    decision.verdict = Verdict::allow;
    decision.status = 200;
    decision.grant = &grant;
    return decision;
  }
  return deny(403, "no-grant", where + ": no opaque connection is granted to it");
}

bool needs_listing(std::string_view name) {
  std::string scratch;
  return !everyday_header(folded_name(name, scratch)) && !is_dropped(name) && !carries_credential(name);
}

lane::Headers upstream_headers(const RequestHead& head, const TokenSlot* slot) {
  lane::Headers out;
  out.reserve(head.headers.size());
  for (const auto& header : head.headers) {
    if (is_dropped(header.first)) continue;
    // A signature is taken out by egress, which has to check it first.
    const bool exchanged = slot != nullptr && slot->carrier != Credential::Carrier::sigv4;
    if (exchanged && header.first == slot_header(*slot)) continue;
    out.push_back(header);
  }
  return out;
}

}  // namespace bulkhead::grant

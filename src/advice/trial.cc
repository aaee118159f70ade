#include "advice/trial.h"

#include <algorithm>
#include <array>

#include "base/text.h"
#include "credential/exchange.h"
#include "gateway/grant/carrier.h"
#include "gateway/grant/host.h"
#include "gateway/grant/target.h"
#include "policy/json.h"

namespace bulkhead::advice {
namespace {

using namespace std::string_view_literals;

// No token of ours, whatever the slot.
constexpr std::string_view foreign = "somebody-else";

// Of a rule as session.policy writes it: "GET,HEAD /v1/{id}".
bool summary_matches(const std::string& summary, const std::string& method, const grant::Target& target) {
  const std::size_t blank = summary.find(' ');
  if (blank == std::string::npos) return false;
  const std::vector<std::string> methods = split(std::string_view(summary).substr(0, blank), ',');
  return std::ranges::find(methods, method) != methods.end() &&
         grant::path_matches(std::string_view(summary).substr(blank + 1), target);
}

// Was it this rule, and no other, that judged the request then?
bool same_rule(const RecordedGrant* old, const Rule& rule, const std::string& method, const grant::Target& target) {
  if (old == nullptr || old->fingerprints.empty()) return false;
  const std::string* only = nullptr;
  for (std::size_t i = 0; i < old->allow.size(); ++i) {
    if (!summary_matches(old->allow[i], method, target)) continue;
    if (only != nullptr) return false;
    only = &old->fingerprints[i];
  }
  return only != nullptr && *only == fingerprint(rule);
}

}  // namespace

lane::Headers filled(const TokenSlot& slot) {
  const std::string token = slot.token + (slot.issued ? "-1" : "");
  switch (slot.carrier) {
    case Credential::Carrier::header:
      return {{slot.header, token}};
    case Credential::Carrier::bearer:
      return {{"authorization", "Bearer " + token}};
    case Credential::Carrier::basic:
      return {{"authorization", "Basic " + std::string(base64(slot.basic_user + ":" + slot.token).reveal())}};
    case Credential::Carrier::sigv4:  // right or wrong is seen by egress alone
      return {
          {"authorization",
           "AWS4-HMAC-SHA256 Credential=" + slot.token + "/20260102/" + slot.region + "/" + slot.service +
               "/aws4_request, SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature=" + std::string(64, '0')},
          {"x-amz-content-sha256", "UNSIGNED-PAYLOAD"},
          {"x-amz-date", "20260102T000000Z"}};
  }
  return {};
}

bool refused_by_any_policy(const RecordedRequest& request) {
  static constexpr std::array always{"host-mismatch"sv, "host-malformed"sv, "non-canonical"sv, "override"sv,
                                     "connection"sv,    "scheme"sv,         "carrier"sv};
  if (request.allowed) return false;
  return request.method.empty() || request.status == 400 || request.status == 405 || request.status == 421 ||
         std::ranges::find(always, request.rule) != always.end();
}

Trial::Trial(const Policy& policy) : policy_(policy) {
  for (const auto& [name, credential] : policy.credentials) {
    const bool signs = credential.carrier == Credential::Carrier::sigv4;
    tokens_.push_back(
        {.credential = name,
         .token = signs ? "AKIATRIAL" + std::to_string(tokens_.size()) : "token-of-credential-" + name,
         .carrier = credential.carrier,
         .header = credential.header,
         .basic_user = credential.basic_user,
         .signing_key = signs ? "key-of-credential-" + name : "",
         .region = credential.region,
         .service = credential.service,
         .issued = credential.source == Credential::Source::answer || credential.source == Credential::Source::login});
  }
}

// What the headers with credentials may have held.
std::vector<lane::Headers> Trial::carried(const RecordedRequest& request, const RecordedGrant* old) const {
  const bool had_slot = old != nullptr && !old->credential.empty();
  const auto named = [&](const TokenSlot& slot) { return had_slot && slot.credential == old->credential; };
  std::vector<lane::Headers> out;
  if (!request.detailed) {
    out.emplace_back();
    if (request.allowed && had_slot) {
      for (const TokenSlot& slot : tokens_) {
        if (named(slot)) out.push_back(filled(slot));
      }
      // The policy has no such credential any more: what was the session's token is a key like any other.
      if (out.size() == 1) out.push_back({{"authorization", std::string(foreign)}});
    }
    if (!request.allowed && request.rule == "foreign-credential") {
      out.front() = {{"authorization", std::string(foreign)}};
      out.emplace_back();
    }
    return out;
  }
  if (request.credentials.empty()) return {lane::Headers{}};

  lane::Headers all_foreign;
  for (const std::string& name : request.credentials) {
    // Among subprotocols a key is known by the word before it.
    all_foreign.emplace_back(name, name == "sec-websocket-protocol" ? "bearer" : foreign);
  }
  if (request.credentials.size() > 1) return {all_foreign};
  const std::string& name = request.credentials.front();
  if (request.slot) {
    for (const TokenSlot& slot : tokens_) {
      if (named(slot) && grant::slot_header(slot) == name) return {filled(slot)};
    }
  }
  out.push_back(std::move(all_foreign));
  // With another credential in that place, the workload might have held its token.
  for (const TokenSlot& slot : tokens_) {
    if (grant::slot_header(slot) == name) out.push_back(filled(slot));
  }
  return out;
}

std::vector<std::string> Trial::types(const RecordedRequest& request) const {
  if (request.detailed) return {request.content_type};
  std::vector<std::string> out{""};
  for (const Grant& grant : policy_.grants) {
    for (const Rule& rule : grant.allow) {
      if (!rule.content_type.empty() && std::ranges::find(out, rule.content_type) == out.end()) {
        out.push_back(rule.content_type);
      }
    }
  }
  return out;
}

namespace {

// The headers that a rule would have to list, as far as they are known.
std::vector<std::vector<std::string>> listed(const RecordedRequest& request) {
  if (request.detailed && !request.headers_cut) return {request.headers};
  std::vector<std::string> more = request.headers;
  more.emplace_back("x-not-on-record");
  return {request.headers, std::move(more)};
}

}  // namespace

TrialAnswer Trial::judge(const RecordedRequest& request, const RecordedGrant* old) const {
  grant::RequestHead head;
  head.method = request.method;
  head.scheme = request.scheme;
  head.port = request.port;
  head.target = request.target;
  head.http2 = request.http2;
  const auto authority = grant::parse_authority(request.host);
  if (!authority) return {Verdict::deny, "host-malformed", "the host is no canonical host name", nullptr, nullptr};
  head.host = authority->host;

  // How much was in the body: as sent, as announced, or anything.
  struct Size {
    lane::BodyKind kind = lane::BodyKind::none;
    std::uint64_t length = 0;
  };
  std::vector<Size> sizes;
  const bool streamed = request.detailed && request.body == RecordedRequest::Body::streamed;
  if (request.detailed && !streamed) {
    const bool none = request.body == RecordedRequest::Body::none;
    sizes.push_back({none ? lane::BodyKind::none : lane::BodyKind::length, request.length});
  } else if (request.allowed) {
    sizes.push_back({request.up > 0 || streamed ? lane::BodyKind::length : lane::BodyKind::none, request.up});
  } else {
    sizes.push_back({streamed ? lane::BodyKind::length : lane::BodyKind::none, 0});
    sizes.push_back({lane::BodyKind::length, UINT64_MAX});
  }

  std::optional<TrialAnswer> allowed, denied;
  const auto target = grant::split_target(head.target);
  const auto judge_head = [&] {
    const grant::Decision decision = grant::judge(policy_.grants, tokens_, head);
    const bool yes = decision.verdict == grant::Verdict::allow;
    auto& answer = yes ? allowed : denied;
    if (!answer) {
      answer = {yes ? Verdict::allow : Verdict::deny, decision.reason, decision.text, decision.grant, decision.rule};
    }
  };
  const auto names = listed(request);
  for (const std::string& type : types(request)) {
    for (const lane::Headers& keys : carried(request, old)) {
      for (const std::vector<std::string>& others : names) {
        head.headers = keys;
        for (const std::string& name : others) {
          // A signature has brought those that belong to it.
          if (std::ranges::find(keys, name, &lane::Headers::value_type::first) == keys.end()) {
            head.headers.emplace_back(name, "");
          }
        }
        if (!type.empty()) head.headers.emplace_back("content-type", type);
        if (!request.content_encoding.empty()) head.headers.emplace_back("content-encoding", request.content_encoding);
        for (const Size& size : sizes) {
          head.body = size.kind;
          head.body_length = size.length;
          judge_head();
        }
      }
    }
  }
  const auto unknown = [](const TrialAnswer& from, std::string reason, std::string text) {
    return TrialAnswer{Verdict::unknown, std::move(reason), std::move(text), from.grant, from.rule};
  };
  if (request.target.size() >= longest_recorded_target && (allowed || denied->reason != "no-grant")) {
    return unknown(allowed ? *allowed : *denied, "cut", "the record holds only the beginning of its path");
  }
  if (allowed && denied) {
    const bool body = denied->reason == "content-type" || denied->reason == "body";
    const bool header = denied->reason == "header";
    // The same rule decided then as would now: what it saw, it would see again.
    if (request.allowed && (body || header) && target && same_rule(old, *allowed->rule, request.method, *target)) {
      return *allowed;
    }
    if (body) return unknown(*allowed, "body", "the record does not say what its body was");
    if (header) return unknown(*allowed, "header", "the record does not say which headers it had");
    return unknown(*allowed, "credential",
                   "the record does not say which key it carried, or it would carry another now");
  }
  if (!allowed) return *denied;
  if (allowed->rule->json && (!target || !same_rule(old, *allowed->rule, request.method, *target))) {
    return unknown(*allowed, "body", "the rule judges what the body says, and bodies are not recorded");
  }
  return *allowed;
}

}  // namespace bulkhead::advice

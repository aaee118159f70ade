#include "gateway/front/judge.h"

#include <algorithm>

#include "base/text.h"
#include "gateway/front/withdrawn.h"
#include "gateway/grant/carrier.h"
#include "gateway/grant/host.h"
#include "gateway/grant/sigv4.h"
#include "policy/policy.h"
#ifdef BULKHEAD_CORRUPTIBLE
#include "turned/corruption.h"
#endif

namespace bulkhead::front {
namespace {

using namespace std::string_view_literals;

std::string_view path_of(std::string_view target) {
  return target.substr(0, target.find('?'));
}

grant::Decision denied(std::uint16_t status, std::string reason, std::string text) {
  grant::Decision decision;
  decision.status = status;
  decision.reason = std::move(reason);
  decision.text = std::move(text);
  return decision;
}

// What judging it again takes (advice/replay.h): of the headers only what grant::judge() looks at, and no more than the
// names of those that say something of the workload's own.
void describe(const Shared& shared, const http::RequestHead& head, const grant::Decision& decision,
              evidence::Event& event) {
  event.add("body", head.body == lane::BodyKind::none     ? "none"sv
                    : head.body == lane::BodyKind::length ? "length"sv
                                                          : "streamed"sv);
  if (head.body == lane::BodyKind::length) event.add("length", head.body_length);
  if (decision.slot_filled) event.add("slot", true);
  std::vector<std::string_view> credentials, headers;
  std::optional<std::string_view> type, encoding;  // a denied request may have several: the last
  bool cut = false;
  const TokenSlot* own = decision.grant == nullptr ? nullptr : shared.slot_of(*decision.grant);
  const bool signs = own != nullptr && own->carrier == Credential::Carrier::sigv4;
  for (const auto& [name, value] : head.headers) {
    if (signs && grant::sigv4::belongs(name)) continue;  // no rule lists them
    if (name == "content-type") type = std::string_view(value).substr(0, 128);
    if (name == "content-encoding") encoding = std::string_view(value).substr(0, 32);
    const auto is_slot = [&text = name](const TokenSlot& slot) { return grant::slot_header(slot) == text; };
    const bool carries = grant::carries_credential(name) || std::ranges::any_of(shared.tokens, is_slot) ||
                         (name == "sec-websocket-protocol" && grant::protocol_carries_credential(value));
    if (credentials.size() < 8 && carries) {
      credentials.push_back(std::string_view(name).substr(0, 64));
    } else if (grant::needs_listing(name)) {
      if (headers.size() < 32 && name.size() <= 64) {
        headers.emplace_back(name);
      } else {
        cut = true;
      }
    }
  }
  if (type) event.add("content_type", *type);
  if (encoding) event.add("content_encoding", *encoding);
  if (!headers.empty()) event.add("headers", headers);
  if (cut) event.add("headers_cut", true);
  if (!credentials.empty()) event.add("credentials", credentials);
}

}  // namespace

std::string Destination::canonical() const {
  if (!name.empty()) return name;
  return address.find(':') == std::string::npos ? address : "[" + address + "]";
}

std::string scheme_of(const Arrival& arrival, const http::RequestHead& head) {
  if (!head.websocket) return arrival.scheme;
  return arrival.scheme == "https" ? "wss" : "ws";
}

std::string url_of(const Arrival& arrival, const http::RequestHead& head) {
  return scheme_of(arrival, head) + "://" + escape_for_terminal(head.host, 260) +
         escape_for_terminal(path_of(head.target), 300);
}

Judged judge(Shared& shared, const Arrival& arrival, const http::RequestHead& head) {
  Judged judged;
#ifdef BULKHEAD_CORRUPTIBLE  // never in a product: tests/turned/corruption.h
  if (const auto said = corruption::trigger(head)) {
    judged.decision = denied(403, "corrupted", *said);
    return judged;
  }
#endif
  const auto authority = grant::parse_authority(head.host);
  const std::uint16_t usual = usual_port(is_plain(arrival.scheme));
  const char* what = arrival.http2 ? ":authority" : "the Host header";
  if (!authority) {
    judged.decision = denied(400, "host-malformed", std::string(what) + " is no canonical host name");
    return judged;
  }
  if (authority->port.value_or(usual) != arrival.destination.port) {
    judged.decision =
        denied(421, "host-mismatch", std::string(what) + " names another port than the one that was dialled");
    return judged;
  }
  if (arrival.destination.named && authority->host != arrival.destination.canonical()) {
    judged.decision =
        denied(421, "host-mismatch", std::string(what) + " names another host than the proxy was asked for");
    return judged;
  }
  if (arrival.sni && *arrival.sni != authority->host) {
    judged.decision = denied(421, "host-mismatch", std::string(what) + " and the TLS server name differ");
    return judged;
  }
  const grant::RequestHead request{.method = head.method,
                                   .scheme = scheme_of(arrival, head),
                                   .host = authority->host,
                                   .port = arrival.destination.port,
                                   .target = head.target,
                                   .headers = head.headers,
                                   .body = head.body,
                                   .body_length = head.body_length,
                                   .http2 = arrival.http2};
  judged.decision = grant::judge(shared.grants, shared.tokens, request);
  grant::Decision& decision = judged.decision;
  if (decision.verdict != grant::Verdict::allow) {
    if (auto gone = withdrawn(shared, request)) decision = std::move(*gone);
    return judged;
  }

  const auto pool = shared.egress.find(decision.grant->credential);
  if (pool == shared.egress.end()) {
    decision.verdict = grant::Verdict::deny;
    decision.status = 502;
    decision.reason = "egress";
    decision.text = "the gateway has no way out for this grant's credential";
    return judged;
  }
  judged.pool = pool->second.get();
  judged.up = {.grant = decision.grant->id,
               .method = head.method,
               .scheme = request.scheme,
               .host = request.host,
               .port = request.port,
               .target = head.target,
               .headers = grant::upstream_headers(request, shared.slot_of(*decision.grant)),
               .slot_filled = decision.slot_filled,
               .issued = decision.issued,
               .body = head.body,
               .body_length = head.body_length};
  return judged;
}

bool record_request(Shared& shared, const Arrival& arrival, const http::RequestHead& head,
                    const grant::Decision& decision, const Moved& moved, Clock::time_point began) {
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - began).count();
  const bool allowed = decision.verdict == grant::Verdict::allow;
  evidence::Event event("http.request");
  event.add("method", head.method)
      .add("scheme", scheme_of(arrival, head))
      .add("http", arrival.http2 ? "2"sv : "1.1"sv)
      .add("host", head.host)
      .add("port", arrival.destination.port)
      .add("path", std::string_view(head.target).substr(0, 2048))
      .add("decision", allowed ? "allow"sv : "deny"sv)
      .add("rule", decision.reason)
      .add("status", moved.status)
      .add("bytes_up", moved.up)
      .add("bytes_down", moved.down)
      .add("ms", ms);
  if (decision.grant != nullptr) event.add("grant", decision.grant->id);
  if (moved.messages) event.add("messages_up", moved.messages->up).add("messages_down", moved.messages->down);
  describe(shared, head, decision, event);
  return shared.record(event);
}

bool record_malformed(Shared& shared, const Arrival& arrival, const http::Refusal& refusal) {
  const Destination& destination = arrival.destination;
  const std::string where = arrival.scheme + "://" + escape_for_terminal(destination.shown(), 260);
  if (!shared.record("http.request", {{"host", destination.shown()},
                                      {"port", destination.port},
                                      {"http", arrival.http2 ? "2" : "1.1"},
                                      {"decision", "deny"},
                                      {"rule", refusal.reason},
                                      {"status", refusal.status}})) {
    return false;
  }
  shared.denied.add({"malformed " + where + " " + refusal.reason, "a malformed request to " + where, refusal.text, ""},
                    Clock::now());
  return true;
}

void record_refused(Shared& shared, const Arrival& arrival, const std::string& what, const std::string& why) {
  const Destination& destination = arrival.destination;
  const std::string where = escape_for_terminal(destination.shown(), 260) + ":" + std::to_string(destination.port);
  if (!shared.record(
          "net.refused",
          {{"port", destination.port}, {"address", destination.address}, {"name", destination.name}, {"what", what}})) {
    return;
  }
  shared.denied.add({what + " " + where, what + " to " + where, why, ""}, Clock::now());
}

void tell_denied(Shared& shared, const Arrival& arrival, const http::RequestHead& head, const std::string& reason,
                 const std::string& text, const std::string& add) {
  const std::string url = url_of(arrival, head);
  shared.denied.add(
      {head.method + " " + url + " " + reason, escape_for_terminal(head.method, 40) + " " + url, text, add},
      Clock::now());
}

}  // namespace bulkhead::front

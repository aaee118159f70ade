#include "gateway/egress/permit.h"

#include <algorithm>
#include <set>

#include "gateway/grant/budget.h"
#include "gateway/grant/grant.h"
#include "gateway/grant/host.h"
#include "gateway/live.h"

namespace bulkhead::egress {

struct Permits::Entry {
  Entry(Grant grant, grant::Meter::Clock::time_point began) : meter(grant.budget) { hold(std::move(grant), began); }
  // `began`: the session; that is what an expiry counts from.
  void hold(Grant grant, grant::Meter::Clock::time_point began) {
    meter.limit(grant.budget);
    expires.reset();
    if (grant.expires) expires = began + *grant.expires;
    versions.push_back({std::move(grant)});
    open = true;
  }
  const std::vector<Grant>& now() const { return versions.back(); }  // one: what judge() takes
  // Counts one request to `host`, of which `body` bytes are announced; or says why it is one too many.
  std::optional<lane::Failure> count(const std::string& host, std::optional<std::uint64_t> body);
  bool expired() const { return expires && Clock::now() >= *expires; }

  using Clock = grant::Meter::Clock;
  RetiredGrants versions;  // permits point into them
  grant::Meter meter;      // the same through all of them
  std::optional<Clock::time_point> expires;
  std::set<std::string, std::less<>> names;  // asked for so far that only a wildcard matches
  bool open = true;
};

namespace {

tl::unexpected<lane::Failure> refuse(std::uint16_t status, std::string reason, std::string text) {
  return tl::unexpected(lane::Failure{status, std::move(reason), std::move(text)});
}

tl::unexpected<lane::Failure> withdrawn() {
  return refuse(403, "withdrawn", "this grant no longer holds");
}

lane::Failure used_up(std::string_view limit) {
  return {429, "budget", "the grant's budget for " + std::string(limit) + " is used up"};
}

lane::Failure too_old() {
  return {403, "expired", "the grant has expired; a new session begins anew"};
}

}  // namespace

std::optional<lane::Failure> Permits::Entry::count(const std::string& host, std::optional<std::uint64_t> body) {
  const Grant& grant = now().front();
  if (expired()) return too_old();
  const bool labelled = grant::by_wildcard_only(grant.hosts, host);
  if (labelled && names.size() >= grant.labels && !names.contains(host)) {
    return lane::Failure{429, "labels",
                         "the grant lets a session use " + std::to_string(grant.labels) +
                             " names of its wildcard, and all are used: each could carry data to whoever runs the " +
                             "zone (`labels` in the grant)"};
  }
  const auto time = Clock::now();
  if (body) {
    if (const auto limit = meter.fits_up(*body, time)) return used_up(*limit);
  }
  if (const auto limit = meter.request(time)) return used_up(*limit);
  if (labelled) names.insert(host);
  return std::nullopt;
}

namespace {

// The serialiser takes a line break for a defect of ours and aborts: what a front that was taken over sends must not
// get that far. Method, host and target are what the grant says they may be.
bool writable(const lane::Request& request) {
  const auto in_name = [](unsigned char c) {
    return c > 0x20 && c < 0x7f &&
           std::string_view("\"(),/:;<=>?@[\\]{}").find(static_cast<char>(c)) == std::string_view::npos &&
           !(c >= 'A' && c <= 'Z');
  };
  const auto in_value = [](unsigned char c) { return c == '\t' || (c >= 0x20 && c != 0x7f); };
  return std::ranges::all_of(request.headers, [&](const auto& header) {
    return !header.first.empty() && std::ranges::all_of(header.first, in_name) &&
           std::ranges::all_of(header.second, in_value);
  });
}

}  // namespace

Permits::Permits(std::vector<Grant> grants, std::string credential, TokenSlot slot)
    : credential_(std::move(credential)) {
  if (!credential_.empty()) slots_.push_back(std::move(slot));
  replace(std::move(grants));
}

Permits::~Permits() = default;

void Permits::replace(std::vector<Grant> grants) {
  for (auto& [id, entry] : entries_) entry->open = false;
  for (Grant& grant : grants) {
    if (grant.credential != credential_) continue;  // another egress's
    const auto known = entries_.find(grant.id);
    if (known != entries_.end()) {
      known->second->hold(std::move(grant), began_);
    } else {
      const std::string id = grant.id;
      entries_.emplace(id, std::make_unique<Entry>(std::move(grant), began_));
    }
  }
}

tl::expected<Permits::Permit, lane::Failure> Permits::judge(lane::Request& request) {
  const auto found = entries_.find(request.grant);
  if (found == entries_.end()) return refuse(403, "grant", "egress knows no such grant");
  Entry& entry = *found->second;
  if (!entry.open) return withdrawn();
  if (!writable(request)) return refuse(400, "protocol", "a header that can't be written reached egress");
  grant::RequestHead head{.method = request.method,
                          .scheme = request.scheme,
                          .host = request.host,
                          .port = request.port,
                          .target = request.target,
                          .headers = std::move(request.headers),
                          .body = request.body,
                          .body_length = request.body_length,
                          .http2 = true};  // egress sees to it where the grant wants it
  const grant::Decision decision = grant::judge(entry.now(), slots_, head);
  request.headers = grant::upstream_headers(head, slots_.empty() ? nullptr : &slots_.front());
  if (decision.verdict != grant::Verdict::allow) {
    return refuse(decision.status, decision.reason, decision.text);
  }
  if (request.slot_filled && credential_.empty()) {
    return refuse(403, "carrier", "egress holds no credential for this grant");
  }
  if (request.slot_filled && slots_.front().issued != (request.issued != 0)) {
    return refuse(403, "carrier", "front and egress disagree on whether this credential's token has a number");
  }
  const auto length = request.body == lane::BodyKind::length ? std::optional(request.body_length) : std::nullopt;
  if (auto failure = entry.count(head.host, length)) return tl::unexpected(std::move(*failure));
  return Permit{&entry.now().front(), decision.rule, request.slot_filled, request.grant};
}

tl::expected<Permits::Permit, lane::Failure> Permits::judge(const lane::Tunnel& tunnel) {
  const auto found = entries_.find(tunnel.grant);
  if (found == entries_.end()) return refuse(403, "grant", "egress knows no such grant");
  Entry& entry = *found->second;
  if (!entry.open) return withdrawn();
  const grant::Decision decision = grant::judge_tunnel(entry.now(), tunnel.host, tunnel.port);
  if (decision.verdict != grant::Verdict::allow) return refuse(decision.status, decision.reason, decision.text);
  if (auto failure = entry.count(tunnel.host, std::nullopt)) return tl::unexpected(std::move(*failure));
  return Permit{&entry.now().front(), nullptr, false, tunnel.grant};
}

std::optional<lane::Failure> Permits::count_up(const Permit& permit, std::size_t bytes) {
  Entry& entry = *entries_.at(permit.id);
  if (entry.expired()) return too_old();
  if (const auto limit = entry.meter.up(bytes, grant::Meter::Clock::now())) return used_up(*limit);
  return std::nullopt;
}

std::optional<lane::Failure> Permits::count_down(const Permit& permit, std::size_t bytes) {
  Entry& entry = *entries_.at(permit.id);
  if (entry.expired()) return too_old();
  if (const auto limit = entry.meter.down(bytes, grant::Meter::Clock::now())) return used_up(*limit);
  return std::nullopt;
}

std::optional<lane::Failure> Permits::expired(const Permit& permit) const {
  if (entries_.at(permit.id)->expired()) return too_old();
  return std::nullopt;
}

}  // namespace bulkhead::egress
